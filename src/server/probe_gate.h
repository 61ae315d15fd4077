// How fast and how many: one probe a second and client, whichever workers its sessions are on, and so many runs of PING
// and TRACEROUTE at once in the whole process (security reference, TS7). One object a process, which all workers share.
// Threading: any thread. Tested in probe_gate_test.cc.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/time.h"

namespace stile::server {

class ProbeGate {
 public:
  ProbeGate() noexcept = default;
  ProbeGate(const ProbeGate&) = delete;
  ProbeGate& operator=(const ProbeGate&) = delete;
  ~ProbeGate() = default;

  /// One run more, until it leaves. False: there are limits::probe_runs_max already.
  [[nodiscard]] bool enter();
  void leave();

  /// Takes the client's one probe of this second. Otherwise says when to ask again: another probe of the same client
  /// left less than limits::ping_interval ago, or more clients probe than are remembered.
  [[nodiscard]] std::optional<Instant> later(std::string_view client, Instant now);

 private:
  std::mutex mutex_;
  std::size_t runs_ = 0;
  std::map<std::string, Instant, std::less<>> last_;  // of each client; what is older than the interval says nothing
};

}  // namespace stile::server
