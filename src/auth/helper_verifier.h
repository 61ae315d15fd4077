// The verifier of names and passwords that PAM or a program of the operator's judges, and of GSSAPI's tokens: remembers
// passwords that were right for a while, has all else judged by the helper process. Refuses: names that could mean
// something else to a back end than to us (threats TA5, TA6), without asking it. Threading: see verifier.h; what all
// workers share is in HelperOffice. Tested in helper_link_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "auth/digest.h"
#include "auth/helper_link.h"
#include "auth/login_cache.h"
#include "auth/verifier.h"

namespace stile::auth {

/// What all workers have in common.
struct HelperOffice {
  /// `digest_key` outlives it.
  HelperOffice(const DigestKey& digest_key, std::unique_ptr<HelperLink> helper)
      : key(digest_key), link(std::move(helper)) {}

  [[nodiscard]] LoginCache& cache(AuthMethod method) { return caches[static_cast<std::size_t>(method)]; }
  void forget_all() {
    for (LoginCache& one : caches) one.clear();
  }

  const DigestKey& key;
  std::array<LoginCache, auth_method_count> caches;  // each has a lifetime of its own
  std::unique_ptr<HelperLink> link;
};

class HelperVerifier final : public Verifier {
 public:
  /// Both outlive the verifier. No login is pending when it ends (asserted).
  HelperVerifier(engine::Engine& engine, HelperOffice& office);
  ~HelperVerifier() override;

  void verify(Login& login, const LoginRequest& request) override;
  void cancel(Login& login) noexcept override;
  void collect() override;

 private:
  struct UnderWay {
    Login* login = nullptr;
    Digest digest{};
    AuthMethod method = AuthMethod::pam;
    Duration remembered{};
  };

  void submit(std::unique_ptr<LoginJob> job, const UnderWay& under_way);
  void settle(const UnderWay& under_way, LoginResult result);
  void settle_gss(Login& login, LoginResult result);

  engine::Engine& engine_;
  HelperOffice& office_;
  std::shared_ptr<LoginInbox> inbox_;
  std::uint64_t next_ticket_ = 1;
  std::unordered_map<std::uint64_t, UnderWay> under_way_;
};

/// A worker's one verifier: each login goes to whoever judges by its method.
class MethodVerifier final : public Verifier {
 public:
  /// `helper` may be null where no listener needs it. Both outlive it.
  MethodVerifier(Verifier& passwords, Verifier* helper) noexcept : passwords_(passwords), helper_(helper) {}

  void verify(Login& login, const LoginRequest& request) override;
  void cancel(Login& login) noexcept override;
  void collect() override;

 private:
  Verifier& passwords_;
  Verifier* helper_;
};

}  // namespace stile::auth
