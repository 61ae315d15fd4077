#include "auth/pool_verifier.h"

#include <chrono>
#include <utility>

#include "auth/authenticator.h"
#include "auth/login_state.h"

namespace stile::auth {

PoolVerifier::PoolVerifier(engine::Engine& engine, LoginOffice& office)
    : engine_(engine), office_(office), inbox_(std::make_shared<LoginInbox>(engine)) {}

PoolVerifier::~PoolVerifier() {
  STILE_ASSERT(under_way_.empty());
  inbox_->close();
}

void PoolVerifier::verify(Login& login, const LoginRequest& request) {
  const std::uint64_t ticket = next_ticket_++;
  LoginState::begin(login, *this, ticket);
  const UserRecord* const record = request.users->find(request.user);
  const bool usable = record != nullptr && record->may_log_in(today());
  const std::string& hash = usable ? record->hash : request.users->decoy();
  UnderWay under_way{.login = &login,
                     .digest = office_.key->of({request.user, request.password->reveal(), hash}),
                     .identity = {},
                     .remembered = request.remembered};
  if (usable) under_way.identity = Authenticator::password_user(*record);
  LoginState::set_digest(login, under_way.digest);
  // Only successes are kept, and a decoy never succeeds.
  const bool known = request.known != nullptr && request.known->digest == under_way.digest;
  if (usable && (known || office_.cache.holds(under_way.digest, engine_.now()))) {
    return LoginState::succeed(engine_, login, std::move(*under_way.identity), true);
  }
  auto job = std::make_unique<LoginJob>();
  job->digest = under_way.digest;
  job->source = {request.source, request.shared_source ? std::string(request.user) : std::string()};
  job->password = request.password->copy();
  job->hash = hash;
  job->waiters.push_back({inbox_, ticket});
  under_way_.emplace(ticket, std::move(under_way));
  if (office_.pool.submit(std::move(job))) return;
  under_way_.erase(ticket);
  LoginState::fail(engine_, login, Reason::auth_busy);
}

void PoolVerifier::cancel(Login& login) noexcept {
  if (!login.pending()) return;
  const std::uint64_t ticket = LoginState::ticket(login);
  if (under_way_.erase(ticket) != 0) office_.pool.abandon({inbox_, ticket});
  LoginState::cancel(engine_, login);
}

void PoolVerifier::collect() {
  for (const LoginResult& result : inbox_->take()) {
    const auto found = under_way_.find(result.ticket);
    if (found == under_way_.end()) continue;  // cancelled meanwhile
    UnderWay under_way = std::move(found->second);
    under_way_.erase(found);
    settle(under_way, result.outcome);
  }
}

void PoolVerifier::settle(UnderWay& under_way, LoginOutcome outcome) {
  Login& login = *under_way.login;
  if (outcome == LoginOutcome::busy) return LoginState::fail(engine_, login, Reason::auth_busy);
  if (outcome != LoginOutcome::accepted || !under_way.identity) {
    return LoginState::fail(engine_, login, Reason::auth_failed);
  }
  office_.cache.add(under_way.digest, engine_.now(), under_way.remembered);
  LoginState::succeed(engine_, login, std::move(*under_way.identity), false);
}

std::int64_t PoolVerifier::today() const noexcept {
  return std::chrono::floor<std::chrono::days>(engine_.wall_now()).time_since_epoch().count();
}

}  // namespace stile::auth
