// What came of logins that others looked at, on its way to the worker that asked: each worker has an inbox, whoever
// verifies puts results there, and the worker's engine is woken. Threading: `put` from any thread, the rest on the
// worker's. Tested in hash_pool_test.cc and helper_link_test.cc.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "base/identity.h"
#include "base/secret.h"
#include "engine/engine.h"

namespace stile::auth {

enum class LoginOutcome : std::uint8_t {
  accepted,
  more,  // GSSAPI: the client has to go on
  refused,
  busy,         // too many wait: not looked at
  unavailable,  // who verifies does not answer
  crashed,      // who verifies died of it
};

/// What a GSSAPI login brings beside an identity.
struct GssAnswer {
  std::vector<std::uint8_t> token;  // for the client
  Secret context;                   // exported, once it stands
};

struct LoginResult {
  std::uint64_t ticket = 0;
  LoginOutcome outcome = LoginOutcome::refused;
  std::optional<Identity> who;  // where whoever verifies knows more than that
  GssAnswer gss = {};
};

/// Shared with the jobs, and closed by the worker before its engine goes.
class LoginInbox {
 public:
  explicit LoginInbox(engine::Engine& engine) noexcept : engine_(&engine) {}
  LoginInbox(const LoginInbox&) = delete;
  LoginInbox& operator=(const LoginInbox&) = delete;

  void put(LoginResult result);
  [[nodiscard]] std::vector<LoginResult> take();
  void close() noexcept;

 private:
  std::mutex mutex_;
  engine::Engine* engine_;  // nullptr: closed
  std::vector<LoginResult> results_;
};

}  // namespace stile::auth
