#include "server/reach.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/session_id.h"

namespace stile::server {

route::WayKeys keys_of(const Traveller& traveller, const Target& target) {
  const auto key = [](std::string_view text) { return route::group_hash(text); };
  return {.source = key(traveller.client ? traveller.client->address.to_string() : std::string()),
          .user = key(traveller.user),
          .target = key(target.to_string())};
}

Reach::Reach(engine::Engine& engine, resolve::Resolver& resolver, route::Upstreams& upstreams, ReachOwner& owner)
    : engine_(engine), resolver_(resolver), upstreams_(upstreams), owner_(owner) {
  lookup_.bind<&Reach::on_resolved>(this);
}

policy::Verdict Reach::ask(const Target& target) {
  STILE_ASSERT(!pending());
  dial_.reset();
  way_.reset();
  decided_.reset();
  addresses_.clear();
  via_.clear();
  untried_.clear();
  travelled_.reset();
  target_ = target;
  peer_ = {};
  canceled_ = Reason::none;
  redirected_ = stale_ = false;
  const Address* const literal = target_.address();
  const policy::Verdict verdict = literal != nullptr ? decide(*literal) : owner_.decide(target_, std::nullopt);
  rule_ = verdict.rule;
  allowed_ = literal == nullptr && verdict.decision == policy::Verdict::Decision::allow;
  return verdict;
}

void Reach::start(const Target& target, const route::DialLimits& limits) {
  const policy::Verdict verdict = ask(target);
  if (verdict.decision == policy::Verdict::Decision::deny) return finish(verdict.reason);
  connect(limits);
}

void Reach::connect(const route::DialLimits& limits) {
  limits_ = limits;
  connects_ = true;
  errand_ = {.command = wire::Command::connect};
  if (!allowed_ || stale_) return proceed();
  if (owner_.options_of(rule_).redirect) return redirect(rule_, std::nullopt);
  travel(rule_, target_);
}

void Reach::find(const Errand& errand, const route::DialLimits& limits) {
  limits_ = limits;
  connects_ = false;
  errand_ = errand;
  const bool by_name = allowed_ && !stale_ && !owner_.options_of(rule_).via.empty();
  by_name ? travel(rule_, target_) : proceed();
}

void Reach::proceed() {
  STILE_ASSERT(!pending());
  if (const Address* const literal = target_.address()) return judge({literal, 1});
  resolver_.resolve(lookup_, *target_.host_name());
}

void Reach::on_resolved(engine::Status) {
  if (canceled_ != Reason::none) return finish(canceled_);
  if (lookup_.canceled()) return finish(Reason::client_reset);
  const resolve::Answer& answer = lookup_.answer();
  if (answer.addresses.empty()) return finish(answer.reason);
  if (redirected_) return dial_redirected(answer.addresses);
  judge(answer.addresses);
}

policy::Verdict Reach::decide(const Address& address) {
  if (!decided_ || decided_->address != address) decided_ = {address, owner_.decide(target_, address)};
  return decided_->verdict;
}

// Every candidate is decided, and nothing else is used than the allowed ones (principle P2). None left: the refusal's
// reason is told.
void Reach::judge(std::span<const Address> addresses) {
  std::array<Address, limits::candidates_max> allowed;
  std::array<int, limits::candidates_max> rules;
  std::size_t count = 0;
  Reason refusal = Reason::deny_policy;
  int refusing = -1;
  for (const Address& address : addresses.first(std::min(addresses.size(), allowed.size()))) {
    const policy::Verdict verdict = decide(address);
    const bool allows = verdict.decision == policy::Verdict::Decision::allow;
    const Reason reason = allows ? owner_.claim(verdict.rule) : verdict.reason;
    if (reason == Reason::none) {
      if (connects_ && owner_.options_of(verdict.rule).redirect) return redirect(verdict.rule, address);
      allowed[count] = address;
      rules[count++] = verdict.rule;
    } else {
      refusal = reason;
      refusing = verdict.rule;
    }
  }
  const auto candidates = std::span(allowed).first(count);
  if (candidates.empty()) {
    rule_ = refusing;
    return finish(refusal);
  }
  // What has its addresses is answered here.
  const bool leads = connects_ || errand_.command != wire::Command::resolve;
  if (const auto& via = owner_.options_of(rules[0]).via; leads && !via.empty()) {
    for (std::size_t i = count; i > 0; --i) {
      if (owner_.options_of(rules[i - 1]).via == via) untried_.push_back(allowed[i - 1]);
    }
    return travel_next();
  }
  if (connects_) return dial(candidates, rules);
  addresses_.assign(candidates.begin(), candidates.end());
  finish(Reason::none);
}

// The administrator's own word: no rule is asked about the place. What was asked for is not resolved, unless only its
// addresses could tell which rule holds.
void Reach::redirect(int rule, const std::optional<Address>& candidate) {
  rule_ = rule;
  redirected_ = true;
  const policy::Options& options = owner_.options_of(rule);
  place_ = *options.redirect;
  place_egress_ = options.egress;
  place_candidate_ = candidate;
  if (const Reason reason = owner_.claim(rule); reason != Reason::none) return finish(reason);
  if (const Address* const literal = place_.address()) return dial_redirected({literal, 1});
  resolver_.resolve(lookup_, *place_.host_name());
}

// ── through other proxies ───────────────────────────────────────────────────────────────────────────────────────────

void Reach::travel_next() {
  travelled_ = untried_.back();
  untried_.pop_back();
  travel(decide(*travelled_).rule, {*travelled_, target_.port});
}

void Reach::travel(int rule, const Target& place) {
  rule_ = rule;
  const policy::Options& options = owner_.options_of(rule);
  via_ = options.via;
  if (!travelled_) {
    if (const Reason reason = owner_.claim(rule); reason != Reason::none) return finish(reason);
  }
  const Traveller traveller = owner_.traveller();
  session_text_ = session_text(traveller.session);
  user_text_ = traveller.user.substr(0, limits::credential_octets_max);
  route::Ask ask{.command = errand_.command, .target = place, .flags = errand_.flags};
  ask.client = traveller.client;
  ask.tlvs = {.authority = target_.host_name() == nullptr ? std::string_view() : target_.host_name()->text(),
              .unique_id = session_text_,
              .user = user_text_};
  ask.egress = options.egress;
  way_.emplace(engine_, resolver_, upstreams_);
  way_->bind<&Reach::on_led>(this);
  way_->start(via_, ask, keys_of(traveller, target_), limits_.total);
}

// Where the last proxy could not reach an address, another one of the same name is asked for.
void Reach::on_led(engine::Status) {
  const Reason reason = way_->reason();
  const bool of_target = reason != Reason::none && reason != Reason::upstream_failed && reason != Reason::client_reset;
  if (canceled_ == Reason::none && !stale_ && of_target && !untried_.empty()) return travel_next();
  peer_ = travelled_ ? Endpoint{*travelled_, target_.port} : Endpoint{};
  addresses_.clear();
  if (reason == Reason::none && errand_.command == wire::Command::resolve) {
    if (const auto answer = way_->bound().target(); answer && answer->address() != nullptr) {
      addresses_.push_back(*answer->address());
    }
  }
  finish(canceled_ != Reason::none ? canceled_ : reason);
}

Reason Reach::confirm_way() {
  if (!stale_) return Reason::none;
  const policy::Verdict verdict = travelled_ ? decide(*travelled_) : owner_.decide(target_, std::nullopt);
  rule_ = verdict.rule;
  const bool same = verdict.decision == policy::Verdict::Decision::allow && owner_.options_of(rule_).via == via_;
  return same ? owner_.claim(rule_) : Reason::policy_changed;
}

void Reach::take(protect::Line& into) noexcept {
  way_ ? way_->take(into) : dial_->take(into.socket());
}

void Reach::dial_redirected(std::span<const Address> addresses) {
  std::array<Endpoint, limits::candidates_max> candidates;
  std::array<std::optional<engine::Egress>, limits::candidates_max> egress;
  std::size_t count = 0;
  for (const Address& address : addresses.first(std::min(addresses.size(), candidates.size()))) {
    const Endpoint place{address, place_.port};
    if (owner_.is_own(place)) continue;
    candidates[count] = place;
    egress[count++] = route::egress_of(place_egress_, engine_);
  }
  if (count == 0) return finish(Reason::deny_self);
  dial(std::span(candidates).first(count), std::span(egress).first(count));
}

void Reach::dial(std::span<const Address> addresses, std::span<const int> rules) {
  std::array<Endpoint, limits::candidates_max> candidates;
  std::array<std::optional<engine::Egress>, limits::candidates_max> egress;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    candidates[i] = {addresses[i], target_.port};
    egress[i] = route::egress_of(owner_.options_of(rules[i]).egress, engine_);
  }
  dial(std::span(candidates).first(addresses.size()), std::span(egress).first(addresses.size()));
}

void Reach::dial(std::span<const Endpoint> candidates, std::span<const std::optional<engine::Egress>> egress) {
  dial_.emplace(engine_);
  dial_->bind<&Reach::on_dialled>(this);
  dial_->start(candidates, limits_, egress);
}

void Reach::on_dialled(engine::Status) {
  if (dial_->reason() == Reason::none) peer_ = dial_->peer();
  finish(canceled_ != Reason::none ? canceled_ : dial_->reason());
}

// While a name was resolved or a connection made, a new policy may have come.
Reason Reach::settle() {
  if (reason_ != Reason::none) {
    if (stale_) rule_ = -1;
    return reason_;
  }
  if (way_) {
    reason_ = confirm_way();
  } else {
    reason_ = !connects_ ? confirm_found() : redirected_ ? confirm_redirection() : confirm();
  }
  if (reason_ != Reason::none) {
    dial_.reset();
    way_.reset();
  }
  return reason_;
}

Reason Reach::confirm() {
  const policy::Verdict verdict = decide(peer_.address);
  rule_ = verdict.rule;
  if (verdict.decision != policy::Verdict::Decision::allow) return verdict.reason;
  return stale_ ? owner_.claim(rule_) : Reason::none;
}

Reason Reach::confirm_redirection() {
  if (!stale_) return Reason::none;
  const policy::Verdict verdict = place_candidate_ ? decide(*place_candidate_) : owner_.decide(target_, std::nullopt);
  rule_ = verdict.rule;
  const bool same = verdict.decision == policy::Verdict::Decision::allow && owner_.options_of(rule_).redirect == place_;
  return same ? owner_.claim(rule_) : Reason::policy_changed;
}

Reason Reach::confirm_found() {
  if (!stale_) return Reason::none;
  std::erase_if(addresses_, [this](const Address& address) {
    return decide(address).decision != policy::Verdict::Decision::allow;
  });
  rule_ = addresses_.empty() ? -1 : decide(addresses_.front()).rule;
  return addresses_.empty() ? Reason::policy_changed : owner_.claim(rule_);
}

void Reach::cancel(Reason why) noexcept {
  if (!pending()) return;
  canceled_ = why;
  resolver_.cancel(lookup_);
  if (dial_) dial_->cancel();
  if (way_) way_->cancel();
}

void Reach::finish(Reason reason) noexcept {
  reason_ = reason;
  engine_.post(done_);
}

}  // namespace stile::server
