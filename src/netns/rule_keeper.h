// Packet rules and routes that stand from a start to an orderly end. A process of its own puts them in force, keeps the
// one right that taking them back needs, and does so when it is told to. Where it is not told, because the server was
// killed, they stay: what they take is then refused, and the next start clears them.
// Blocking; the main thread of a process that has no other when it starts. Tested in tests/e2e/gateway_test.py.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sys/policy_route.h"
#include "sys/process.h"
#include "sys/unique_fd.h"

namespace stile::netns {

struct RulePlan {
  std::string rules;  // sys/packet_rules.h
  std::string undo;   // likewise
  std::string look;   // succeeds where such rules stand
  std::optional<sys::MarkedDelivery> delivery;
};

class RuleKeeper {
 public:
  /// `forget` wipes secrets from the copy of this process. The error is one line: whose word it is, and that.
  [[nodiscard]] static std::expected<std::unique_ptr<RuleKeeper>, std::string> start(
      const RulePlan& plan, const std::function<void()>& forget);
  RuleKeeper(const RuleKeeper&) = delete;
  RuleKeeper& operator=(const RuleKeeper&) = delete;
  /// Without `undo` it was a start that came to nothing: everything is taken back, but rules that stood before.
  ~RuleKeeper();

  /// Takes everything back. False: nobody could say that it was done.
  [[nodiscard]] bool undo() noexcept;

 private:
  RuleKeeper(sys::Process process, sys::UniqueFd socket) noexcept
      : process_(std::move(process)), socket_(std::move(socket)) {}

  sys::Process process_;
  sys::UniqueFd socket_;  // closed once it was told
};

}  // namespace stile::netns
