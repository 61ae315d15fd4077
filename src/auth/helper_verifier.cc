#include "auth/helper_verifier.h"

#include <utility>

#include "auth/login_state.h"
#include "wire/helper_record.h"

namespace stile::auth {

HelperVerifier::HelperVerifier(engine::Engine& engine, HelperOffice& office)
    : engine_(engine), office_(office), inbox_(std::make_shared<LoginInbox>(engine)) {}

HelperVerifier::~HelperVerifier() {
  STILE_ASSERT(under_way_.empty());
  inbox_->close();
}

void HelperVerifier::verify(Login& login, const LoginRequest& request) {
  const std::uint64_t ticket = next_ticket_++;
  LoginState::begin(login, *this, ticket);
  const Digest digest =
      office_.key.of({name(request.method), request.service, request.user, request.password->reveal()});
  LoginState::set_digest(login, digest);
  if (request.known != nullptr && request.known->digest == digest) {
    return LoginState::succeed(engine_, login, request.known->who, true);
  }
  if (const auto who = office_.cache(request.method).who(digest, engine_.now())) {
    return LoginState::succeed(engine_, login, *who, true);
  }
  if (!wire::is_name_for_back_ends(request.user)) return LoginState::fail(engine_, login, Reason::auth_failed);
  auto job = std::make_unique<LoginJob>();
  job->digest = digest;
  job->alone = request.remembered <= Duration::zero();
  job->source = {request.source, request.shared_source ? std::string(request.user) : std::string()};
  job->password = request.password->copy();
  job->method = request.method;
  job->service = request.service;
  job->user = request.user;
  job->client = request.client;
  job->listener = request.listener;
  job->waiters.push_back({inbox_, ticket});
  under_way_.emplace(ticket, UnderWay{&login, digest, request.method, request.remembered});
  if (office_.link->submit(std::move(job))) return;
  under_way_.erase(ticket);
  LoginState::fail(engine_, login, Reason::auth_busy);
}

void HelperVerifier::cancel(Login& login) noexcept {
  if (!login.pending()) return;
  const std::uint64_t ticket = LoginState::ticket(login);
  if (under_way_.erase(ticket) != 0) office_.link->abandon({inbox_, ticket});
  LoginState::cancel(engine_, login);
}

void HelperVerifier::collect() {
  for (LoginResult& result : inbox_->take()) {
    const auto found = under_way_.find(result.ticket);
    if (found == under_way_.end()) continue;  // cancelled meanwhile
    const UnderWay under_way = found->second;
    under_way_.erase(found);
    settle(under_way, std::move(result));
  }
}

void HelperVerifier::settle(const UnderWay& under_way, LoginResult result) {
  Login& login = *under_way.login;
  if (result.outcome == LoginOutcome::accepted && result.who) {
    auto who = std::make_shared<const Identity>(*result.who);
    office_.cache(under_way.method).add(under_way.digest, engine_.now(), under_way.remembered, std::move(who));
    return LoginState::succeed(engine_, login, std::move(*result.who), false);
  }
  switch (result.outcome) {
    case LoginOutcome::busy:
      return LoginState::fail(engine_, login, Reason::auth_busy);
    case LoginOutcome::unavailable:
      return LoginState::fail(engine_, login, Reason::auth_unavailable);
    case LoginOutcome::crashed:
      return LoginState::fail(engine_, login, Reason::auth_crashed);
    case LoginOutcome::accepted:  // as nobody
    case LoginOutcome::refused:
      return LoginState::fail(engine_, login, Reason::auth_failed);
  }
}

void MethodVerifier::verify(Login& login, const LoginRequest& request) {
  // A listener that needs the helper is opened only where there is one.
  STILE_ASSERT(request.method == AuthMethod::password || helper_ != nullptr);
  (request.method == AuthMethod::password ? passwords_ : *helper_).verify(login, request);
}

void MethodVerifier::cancel(Login& login) noexcept {
  if (login.pending()) LoginState::verifier(login)->cancel(login);
}

void MethodVerifier::collect() {
  passwords_.collect();
  if (helper_ != nullptr) helper_->collect();
}

}  // namespace stile::auth
