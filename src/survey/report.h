// What `stile test` has found out about a proxy: one finding a question, in the order of the questions. A value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace stile::survey {

/// `yes` is what was seen to work, `no` what was seen not to.
enum class Answer : std::uint8_t { yes, no, untested };

struct Finding {
  std::string_view group;  // "commands"
  std::string name;        // "BIND"
  Answer answer = Answer::untested;
  std::string detail;  // what was seen, or why it was not tested; any octets of the proxy's are escaped
};

/// Medians of several connections.
struct Latency {
  Duration dial{};        // the first proxy, its name looked up and its TCP connection made
  Duration let_in{};      // from there until the last proxy has let us in, all others before it included
  Duration granted{};     // from there to its reply
  Duration round_trip{};  // through the tunnel
  bool through = false;   // the last two were measured
  unsigned connections = 0;
};

struct Report {
  std::string proxy;  // the way, without logins
  std::vector<Finding> findings;
  std::optional<Latency> latency;

  void add(std::string_view group, std::string name, Answer answer, std::string detail = {}) {
    findings.push_back({group, std::move(name), answer, std::move(detail)});
  }
  [[nodiscard]] const Finding* find(std::string_view name) const {
    const auto found = std::ranges::find(findings, name, &Finding::name);
    return found == findings.end() ? nullptr : &*found;
  }
};

}  // namespace stile::survey
