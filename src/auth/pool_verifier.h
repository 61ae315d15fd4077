// The verifier of a server: looks a user up, remembers successes for a while, has all else verified by the hashing
// threads. Somebody who is unknown, locked out or expired takes the same way as everybody else, with a decoy of the
// usual cost, and fails at its end. Threading: see verifier.h; what all workers share is in LoginOffice. Tested in
// pool_verifier_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "auth/digest.h"
#include "auth/hash_pool.h"
#include "auth/login_cache.h"
#include "auth/verifier.h"

namespace stile::auth {

/// What all workers have in common.
struct LoginOffice {
  LoginOffice(std::unique_ptr<const DigestKey> digest_key, unsigned threads)
      : key(std::move(digest_key)), pool(threads) {}

  std::unique_ptr<const DigestKey> key;
  /// What is in it counts for the record that it was added for, and no other. Cleared when the users change, it holds
  /// nothing of those that are gone.
  LoginCache cache;
  HashPool pool;
};

class PoolVerifier final : public Verifier {
 public:
  /// Both outlive the verifier. No login is pending when it ends (asserted).
  PoolVerifier(engine::Engine& engine, LoginOffice& office);
  ~PoolVerifier() override;

  void verify(Login& login, const LoginRequest& request) override;
  void cancel(Login& login) noexcept override;
  void collect() override;

 private:
  struct UnderWay {
    Login* login = nullptr;
    Digest digest{};
    std::optional<Identity> identity;  // absent for whoever cannot log in, whatever the password
    Duration remembered{};
  };

  void settle(UnderWay& under_way, LoginOutcome outcome);
  [[nodiscard]] std::int64_t today() const noexcept;

  engine::Engine& engine_;
  LoginOffice& office_;
  std::shared_ptr<LoginInbox> inbox_;
  std::uint64_t next_ticket_ = 1;
  std::unordered_map<std::uint64_t, UnderWay> under_way_;
};

}  // namespace stile::auth
