#include "auth/helper_verifier.h"

#include <utility>

#include "auth/login_state.h"
#include "wire/helper_record.h"

namespace stile::auth {
namespace {

Reason reason_of(LoginOutcome outcome, Reason refused) noexcept {
  switch (outcome) {
    case LoginOutcome::busy:
      return Reason::auth_busy;
    case LoginOutcome::unavailable:
      return Reason::auth_unavailable;
    case LoginOutcome::crashed:
      return Reason::auth_crashed;
    case LoginOutcome::accepted:  // as nobody
    case LoginOutcome::more:      // of what has no second step
    case LoginOutcome::refused:
      break;
  }
  return refused;
}

}  // namespace

HelperVerifier::HelperVerifier(engine::Engine& engine, HelperOffice& office)
    : engine_(engine), office_(office), inbox_(std::make_shared<LoginInbox>(engine)) {}

HelperVerifier::~HelperVerifier() {
  STILE_ASSERT(under_way_.empty());
  inbox_->close();
}

void HelperVerifier::verify(Login& login, const LoginRequest& request) {
  const std::uint64_t ticket = next_ticket_++;
  LoginState::begin(login, *this, ticket);
  auto job = std::make_unique<LoginJob>();
  job->method = request.method;
  job->client = request.client;
  job->listener = request.listener;
  job->source = {request.source, request.shared_source ? std::string(request.user) : std::string()};
  job->waiters.push_back({inbox_, ticket});
  if (request.method == AuthMethod::gssapi) {
    job->alone = true;
    job->token.assign(request.token.begin(), request.token.end());
    job->conversation = request.conversation;
    return submit(std::move(job), {.login = &login, .digest = {}, .method = request.method, .remembered = {}});
  }
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
  job->digest = digest;
  job->alone = request.remembered <= Duration::zero();
  job->password = request.password->copy();
  job->service = request.service;
  job->user = request.user;
  submit(std::move(job),
         {.login = &login, .digest = digest, .method = request.method, .remembered = request.remembered});
}

void HelperVerifier::submit(std::unique_ptr<LoginJob> job, const UnderWay& under_way) {
  const std::uint64_t ticket = job->waiters.front().ticket;
  under_way_.emplace(ticket, under_way);
  if (office_.link->submit(std::move(job))) return;
  under_way_.erase(ticket);
  LoginState::fail(engine_, *under_way.login, Reason::auth_busy);
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
  if (under_way.method == AuthMethod::gssapi) return settle_gss(login, std::move(result));
  if (result.outcome == LoginOutcome::accepted && result.who) {
    auto who = std::make_shared<const Identity>(*result.who);
    office_.cache(under_way.method).add(under_way.digest, engine_.now(), under_way.remembered, std::move(who));
    return LoginState::succeed(engine_, login, std::move(*result.who), false);
  }
  LoginState::fail(engine_, login, reason_of(result.outcome, Reason::auth_failed));
}

// Nothing of it is remembered: each context is another.
void HelperVerifier::settle_gss(Login& login, LoginResult result) {
  LoginState::set_gss(login, std::move(result.gss));
  if (result.outcome == LoginOutcome::more) return LoginState::go_on(engine_, login);
  if (result.outcome == LoginOutcome::accepted && result.who) {
    return LoginState::succeed(engine_, login, std::move(*result.who), false);
  }
  LoginState::fail(engine_, login, reason_of(result.outcome, Reason::gss_accept));
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
