#include "server/http_forward.h"

#include <algorithm>
#include <utility>

#include "base/loopback.h"

namespace stile::server {
namespace {

using session::HttpPhase;

constexpr engine::Interest interest(bool readable, bool writable) noexcept {
  return static_cast<engine::Interest>((readable ? 1 : 0) | (writable ? 2 : 0));
}

}  // namespace

HttpForward::HttpForward(Worker& worker, const HttpClient& client, const session::HttpRules& rules)
    : worker_(worker),
      common_(worker.common_),
      about_(client),
      who_(client.who),
      exchange_(rules),
      reach_(worker.engine_, worker.resolver_, worker.upstreams_, *this),
      began_(client.began),
      idle_since_(client.began),
      last_octet_(client.began),
      id_(client.session) {
  client_.bind<&HttpForward::on_client_ready>(this);
  origin_.bind<&HttpForward::on_origin_ready>(this);
  timer_.bind<&HttpForward::on_timer>(this);
  turn_.bind<&HttpForward::on_turn>(this);
  reach_.bind<&HttpForward::on_reached>(this);
  quiet_.bind<&HttpForward::on_quiet>(this);
  worker_.counters_.handshakes_open.add();
}

void HttpForward::begin(protect::Line& client, ConstBytes octets) {
  client_.take(worker_.engine_, client);
  if (worker_.stage_ != Worker::Stage::serving) exchange_.last_request();
  exchange_.client_octets(octets);
  advance();
}

void HttpForward::drain() {
  if (ending_) return;
  exchange_.last_request();
  if (waiting() && !exchange_.head_begun()) finish(Reason::none);
}

bool HttpForward::enforce() {
  const bool between = waiting() || draining_;  // the next request is decided by whatever holds then
  if (ending_ || between) return true;
  common_ = worker_.common_;
  reach_.forget();
  if (!admitted_) claim_.release_rules();  // what it goes by is claimed anew
  if (!admitted_ && !opening_) {
    rule_ = -1;  // a rule of a policy that is gone
    return true;
  }
  if (const auto who = common_->renewed(who_)) who_ = *who;
  const policy::Verdict verdict = server::decide(*common_, grounds());
  rule_ = verdict.rule;
  if (verdict.decision != policy::Verdict::Decision::deny) return true;
  if (reach_.pending()) {
    reach_.cancel(Reason::policy_changed);  // its completion tells the client
  } else {
    finish(Reason::policy_changed);
  }
  return false;
}

void HttpForward::on_client_ready(engine::Status) {
  if (ending_) return release_when_quiet();
  if (tunnel_due_) return start_tunnel();
  if (draining_) return discard_input();
  advance();
}

void HttpForward::on_origin_ready(engine::Status) {
  if (ending_) return release_when_quiet();
  if (tunnel_due_) return start_tunnel();
  if (reach_due_) return start_reach();
  if (origin_is_idle() && !origin_is_quiet()) origin_.close(worker_.engine_);
  if (!draining_) advance();
}

// ── the pump ────────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpForward::advance() {
  std::size_t budget = limits::octets_per_turn_max;
  while (step(budget)) {
  }
  if (!ending_ && !tunnel_due_ && !draining_) rearm();
}

/// What can be done at present; false when that was nothing, or everything is over.
bool HttpForward::step(std::size_t& budget) {
  bool moved = send_to_client();
  if (ending_) return false;
  moved = send_to_origin() || moved;
  if (over_quota_) {
    finish(Reason::limit_quota);
    return false;
  }
  moved = obey() || moved;
  if (ending_ || tunnel_due_ || draining_) return false;
  moved = receive_from_client(budget) || moved;
  if (ending_) return false;
  moved = receive_from_origin(budget) || moved;
  if (moved) last_octet_ = worker_.engine_.now();
  track();
  return moved;
}

/// Does what the exchange's phase asks for, once it is due.
bool HttpForward::obey() {
  const bool taken = exchange_.to_client().empty();
  switch (exchange_.phase()) {
    case HttpPhase::authenticating:
      if (login_ != nullptr && login_->due) return false;
      log_in();
      return true;
    case HttpPhase::opening:
      if (opening_) return false;
      open();
      return true;
    case HttpPhase::answering:
      charge(exchange_.reason());  // at once: what the client does with the answer is not waited for
      if (taken) settle();
      return taken;
    case HttpPhase::tunnel:
      if (taken) start_tunnel();
      return taken;
    case HttpPhase::closing:
      drain_and_close();
      return true;
    case HttpPhase::silent:
      finish(exchange_.reason());
      return true;
    case HttpPhase::aborting:
      if (taken) finish(exchange_.reason());
      return taken;
    case HttpPhase::request:
    case HttpPhase::exchanging:
      return false;
  }
  return false;
}

bool HttpForward::send_to_client() {
  if (exchange_.to_client().empty()) return false;
  const auto sent = client_.send(worker_.engine_, exchange_.to_client());
  if (!sent && sent.error().kind == ErrorKind::would_block) return false;
  if (!sent) {
    lose_client();
    return false;
  }
  octets_down_ += *sent;
  charge(*sent);
  exchange_.client_took(*sent);
  return true;
}

bool HttpForward::send_to_origin() {
  if (exchange_.phase() != HttpPhase::exchanging || exchange_.to_origin().empty()) return false;
  const auto sent = origin_.send(worker_.engine_, exchange_.to_origin());
  if (!sent && sent.error().kind == ErrorKind::would_block) return false;
  if (!sent) {
    // It may have answered before it went: that is read yet.
    origin_deaf_ = true;
    exchange_.origin_deaf();
    return true;
  }
  octets_up_ += *sent;
  charge(*sent);
  exchange_.origin_took(*sent);
  return true;
}

bool HttpForward::receive_from_client(std::size_t& budget) {
  upload_waits_ = false;
  if (budget == 0 || !exchange_.reads_client()) return false;
  const MutableBytes buffer = worker_.http_->buffer();
  const std::size_t room = allowed(&relay::Terms::up, std::min(buffer.size(), budget));
  upload_waits_ = room == 0;
  if (upload_waits_) return false;
  const auto received = client_.receive(worker_.engine_, buffer.first(room));
  moved(&relay::Terms::up, received.value_or(0));
  if (!received && received.error().kind == ErrorKind::would_block) return false;
  if (!received) {
    lose_client();
  } else if (*received == 0) {
    exchange_.client_fin();
  } else {
    budget -= *received;
    const bool secrets = exchange_.reads_secrets();
    exchange_.client_octets(ConstBytes(buffer).first(*received));
    if (secrets) wipe(buffer.first(*received));
  }
  return true;
}

bool HttpForward::receive_from_origin(std::size_t& budget) {
  download_waits_ = false;
  if (budget == 0 || !exchange_.reads_origin()) return false;
  const MutableBytes buffer = worker_.http_->buffer();
  const std::size_t room = allowed(&relay::Terms::down, std::min(buffer.size(), budget));
  download_waits_ = room == 0;
  if (download_waits_) return false;
  const auto received = origin_.receive(worker_.engine_, buffer.first(room));
  moved(&relay::Terms::down, received.value_or(0));
  if (!received && received.error().kind == ErrorKind::would_block && !origin_deaf_) return false;
  if (!received) {
    const bool silent = received.error().kind == ErrorKind::timed_out;  // keepalive found a dead peer
    exchange_.origin_failed(silent ? Reason::http_unavailable : Reason::reset_target);
  } else if (*received == 0) {
    exchange_.origin_fin();
  } else {
    budget -= *received;
    exchange_.origin_octets(ConstBytes(buffer).first(*received));
  }
  return true;
}

// ── rates and quotas ────────────────────────────────────────────────────────────────────────────────────────────────

/// How much of `budget` may be read this way now; 0: nothing before the flow's turn.
std::size_t HttpForward::allowed(relay::Flow relay::Terms::* way, std::size_t budget) {
  if (terms_ == nullptr || !(*terms_.*way).is_metered()) return budget;
  return std::min(budget, (*terms_.*way).allowed(worker_.engine_.now()));
}

void HttpForward::moved(relay::Flow relay::Terms::* way, std::size_t octets) noexcept {
  if (terms_ != nullptr) (*terms_.*way).moved(octets);
}

void HttpForward::charge(std::size_t octets) {
  if (terms_ == nullptr) return;
  terms_->charge(octets);
  if (!terms_->is_exceeded()) return;
  over_quota_ = true;
  worker_.quota_exceeded();  // which ends all others
}

void HttpForward::on_turn(engine::Status status) {
  if (ending_) return release_when_quiet();
  if (status == engine::Status::canceled || tunnel_due_ || draining_) return;
  last_octet_ = worker_.engine_.now();  // to wait for a turn is not to idle
  advance();
}

/// What was reserved is given back: the session that it was for ends.
void HttpForward::let_go_of_terms() noexcept {
  upload_waits_ = download_waits_ = false;
  if (terms_ == nullptr) return;
  terms_->up.moved(0);
  terms_->down.moved(0);
  terms_.reset();
}

void HttpForward::rearm() {
  engine::Engine& engine = worker_.engine_;
  // A failed socket completes every wait at once: it is dealt with here, or read to its error later, but not waited
  // for.
  if (engine.failed(client_.socket())) return lose_client();
  client_.wait(engine, interest(exchange_.reads_client() && !upload_waits_, !exchange_.to_client().empty()));
  if (origin_.is_open()) {
    // An idle one is watched for its end.
    const bool readable = origin_is_idle() || (exchange_.reads_origin() && !download_waits_);
    const bool writable = exchange_.phase() == HttpPhase::exchanging && !exchange_.to_origin().empty();
    if (readable || writable || !engine.failed(origin_.socket())) origin_.wait(engine, interest(readable, writable));
  }
  arm_timer();
  if (upload_waits_ || download_waits_) {
    Instant due = upload_waits_ ? terms_->up.due() : terms_->down.due();
    if (download_waits_) due = std::min(due, terms_->down.due());
    engine.start_timer(turn_, due);
  }
}

// ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpForward::log_in() {
  if (login_ == nullptr) {
    login_ = std::make_unique<LoginUnderWay>();
    login_->login.bind<&HttpForward::on_login>(this);
  }
  login_->due = true;
  login_->request = worker_.login_request(about_.peer.address, about_.listener, *exchange_.auth().password_judge());
  login_->request.user = exchange_.claimed_user()->name;
  login_->request.password = &exchange_.password();
  login_->request.known = login_->known ? &*login_->known : nullptr;
  worker_.verifier_->verify(login_->login, login_->request);
}

void HttpForward::on_login(engine::Status) {
  if (ending_) return release_when_quiet();
  login_->due = false;
  const auth::Login& login = login_->login;
  if (login.canceled()) return;
  if (const auto identity = worker_.logged_in(login, login_->request)) {
    who_ = *identity;
    login_->known = auth::KnownLogin{login.digest(), *identity};
    exchange_.authenticated();
  } else {
    exchange_.refused(login.reason() == Reason::none ? Reason::auth_failed : login.reason());
  }
  advance();
}

/// Proved, or where that failed claimed.
std::string_view HttpForward::asking_user() const {
  return exchange_.claimed_user() ? std::string_view(exchange_.claimed_user()->name) : about_.who.user();
}

// ── origins ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const policy::Policy& HttpForward::policy() const noexcept {
  return common_->policy_for(about_.local.address, about_.peer.address, about_.proxied);
}

policy::Verdict HttpForward::decide(const Target& target, const std::optional<Address>& candidate) {
  const Asker asker{.who = &who_,
                    .local = about_.local.address,
                    .source = about_.peer.address,
                    .proxied = about_.proxied,
                    .at = worker_.week_time()};
  return server::decide(*common_, asker, policy::Command::tcp, &target, candidate);
}

/// Counts the request in hand as a session, as server/Connection does it.
Reason HttpForward::enter() {
  if (claim_.is_held()) return Reason::none;  // it is tried again
  const bool on_this_host = about_.over_unix || is_loopback(about_.peer.address);
  const Holder holder{.listener = worker_.sessions_of(about_.listener),
                      .source = on_this_host ? std::nullopt : std::optional(about_.peer.address),
                      .user = who_.user()};
  return claim_.enter(*worker_.usage_, holder, common_->limits);
}

Reason HttpForward::claim(int rule) {
  if (rule < 0) return Reason::none;
  const std::string& name = policy().rules()[static_cast<std::size_t>(rule)].name;
  return claim_.enter_rule(rule, name, options_of(rule), who_.user(), worker_.engine_.wall_now());
}

Traveller HttpForward::traveller() const {
  return {.client = about_.over_unix ? std::nullopt : std::optional(about_.peer), .user = who_.user(), .session = id_};
}

void HttpForward::open() {
  opening_ = true;
  if (!exchange_.claimed_user()) who_ = about_.who;
  origin_deaf_ = false;
  common_ = worker_.common_;
  track();
  const Reason refusal = admitted_ ? Reason::none : worker_.refusal();
  if (const Reason full = refusal != Reason::none ? refusal : enter(); full != Reason::none) {
    opening_ = false;
    return exchange_.refused(full);
  }
  if (can_reuse()) {
    opening_ = false;
    begin_session();
    return exchange_.opened(true);
  }
  if (origin_.is_open()) origin_.close(worker_.engine_);
  start_reach();
}

/// The policy's word is asked anew, and the rule that it names must lead the same way.
bool HttpForward::can_reuse() {
  if (!origin_.is_open() || !exchange_.may_reuse() || exchange_.target() != origin_target_) return false;
  if (origin_user_ != who_.user()) return false;  // what it keeps for one user is not for another
  const Address* const literal = origin_target_.address();
  std::optional<Address> candidate = dialled_.address;
  if (origin_redirect_ || dialled_.port == 0) candidate = literal == nullptr ? std::nullopt : std::optional(*literal);
  const policy::Verdict verdict = decide(origin_target_, candidate);
  if (verdict.decision != policy::Verdict::Decision::allow) return false;
  const policy::Options& options = options_of(verdict.rule);
  const bool same_way =
      options.redirect == origin_redirect_ && options.egress == origin_egress_ && options.via == origin_via_;
  if (!same_way || claim(verdict.rule) != Reason::none || !origin_is_quiet()) return false;
  rule_ = verdict.rule;
  return true;
}

bool HttpForward::origin_is_idle() const noexcept {
  return origin_.is_open() && exchange_.phase() != HttpPhase::exchanging && exchange_.phase() != HttpPhase::tunnel;
}

/// Neither ended nor saying anything: what comes while nothing was asked is no answer to the next request.
bool HttpForward::origin_is_quiet() {
  std::uint8_t octet = 0;
  const auto received = origin_.receive(worker_.engine_, MutableBytes(&octet, 1));
  return !received && received.error().kind == ErrorKind::would_block;
}

void HttpForward::start_reach() {
  reach_due_ = origin_.pending();
  if (reach_due_) return;
  const config::Limits& limits = common_->limits;
  reach_.start(exchange_.target(), {.per_address = limits.connect_per_address, .total = limits.connect_total});
}

void HttpForward::on_reached(engine::Status) {
  if (ending_) return release_when_quiet();
  opening_ = false;
  Reason failure = reach_.settle();
  rule_ = reach_.rule();
  if (failure == Reason::none) failure = take_origin();
  if (failure == Reason::none) {
    begin_session();
    exchange_.opened(false);
  } else {
    exchange_.refused(failure);
  }
  advance();
}

Reason HttpForward::take_origin() {
  reach_.take(origin_);
  origin_target_ = exchange_.target();
  origin_user_ = who_.user();
  dialled_ = reach_.peer();
  origin_redirect_ = options_of(rule_).redirect;
  origin_egress_ = options_of(rule_).egress;
  origin_via_ = options_of(rule_).via;
  const route::Way* const way = reach_.way();
  origin_route_ = way == nullptr ? std::string() : way->text();
  origin_is_service_ = way != nullptr && way->ends_at_service();
  passage_ = way == nullptr ? route::Passage() : way->passage();
  if (way != nullptr) return Reason::none;
  const auto client = about_.over_unix ? std::nullopt : std::optional(about_.peer);
  if (announce_client(worker_.engine_, *common_, client, origin_.socket(), dialled_)) return Reason::none;
  origin_.abort(worker_.engine_);
  return Reason::dial_failed;
}

// ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A head is under way from its first octet until it is whole: half-open, under the handshake's deadline.
void HttpForward::track() {
  const bool waits = waiting() && !ending_;
  if (waits && !waits_) ++worker_.http_->waiting_;
  if (!waits && waits_) --worker_.http_->waiting_;
  waits_ = waits;
  const bool in_head = waits && exchange_.head_begun();
  if (in_head == std::exchange(in_head_, in_head)) return;
  if (in_head) {
    began_ = worker_.engine_.now();
    worker_.counters_.handshakes_open.add();
  } else {
    worker_.counters_.handshakes_open.subtract();
  }
}

std::optional<Instant> HttpForward::deadline() const {
  if (draining_) return drain_until_;
  switch (exchange_.phase()) {
    case HttpPhase::request:
      return in_head_ ? began_ + common_->limits.handshake : idle_since_ + limits::http_keep_alive;
    case HttpPhase::authenticating:
      return began_ + common_->limits.handshake;
    case HttpPhase::answering:
      // An answer of the proxy's own is short: who does not take it reads nothing at all.
      if (!admitted_) return refused_at_ + limits::reply_drain;
      if (exchange_.closes() && exchange_.reason() != Reason::none) return refused_at_ + limits::reply_drain;
      break;
    case HttpPhase::opening:
      return std::nullopt;  // the resolver and the dial keep their own time
    default:
      break;
  }
  const Duration idle = terms_ != nullptr && terms_->idle ? *terms_->idle : common_->limits.idle;
  if (idle == Duration::zero()) return std::nullopt;
  return last_octet_ + idle;
}

/// The timer is moved forward when it expires, not with each octet.
void HttpForward::arm_timer() {
  if (exchange_.phase() != HttpPhase::answering) {
    refused_at_ = {};
  } else if (refused_at_ == Instant{}) {
    refused_at_ = worker_.engine_.now();
  }
  const auto due = deadline();
  if (!due || (timer_.pending() && timer_.deadline() <= *due)) return;
  worker_.engine_.start_timer(timer_, *due);
}

void HttpForward::on_timer(engine::Status status) {
  if (ending_) return release_when_quiet();
  if (status == engine::Status::canceled) return;
  const auto due = deadline();
  if (!due) return;
  if (*due > worker_.engine_.now()) return worker_.engine_.start_timer(timer_, *due);
  expire();
}

void HttpForward::expire() {
  if (draining_) return finish(Reason::none);
  switch (exchange_.phase()) {
    case HttpPhase::request:
      if (!in_head_) return finish(Reason::none);
      worker_.counters_.handshake_timeout.add();
      return finish(Reason::timeout_handshake);
    case HttpPhase::authenticating:
      worker_.counters_.handshake_timeout.add();
      return finish(Reason::timeout_handshake);
    case HttpPhase::answering:
      return finish(exchange_.reason() == Reason::none ? Reason::idle : exchange_.reason());
    default:
      if (!exchange_.reads_origin()) return finish(Reason::idle);
      last_octet_ = worker_.engine_.now();
      exchange_.origin_failed(Reason::http_unavailable);
      return advance();
  }
}

// ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpForward::lose_client() {
  const Reason broken = client_.failure();
  finish(broken != Reason::none ? broken : admitted_ ? Reason::reset_client : Reason::client_reset);
}

// The sockets may still be watched; they move to the relay when those waits have ended.
void HttpForward::start_tunnel() {
  tunnel_due_ = true;
  if (client_.pending()) client_.cancel(worker_.engine_);
  if (origin_.pending()) origin_.cancel(worker_.engine_);
  if (client_.pending() || origin_.pending()) return;
  ending_ = true;
  worker_.engine_.cancel(timer_);
  worker_.engine_.cancel(turn_);
  std::unique_ptr<relay::Terms> terms = std::move(terms_);
  std::unique_ptr<SessionInfo> context = worker_.remembers() ? info() : nullptr;
  if (context != nullptr && !exchange_.request()->is_connect()) {
    context->octets_up = octets_up_;
    context->octets_down = octets_down_;
  }
  // An upgrade is no HTTP any longer, and the request for it is recorded.
  const bool plain = exchange_.request()->is_connect();
  const relay::Watch watch = plain ? worker_.watch_for(context.get()) : relay::Watch::nothing;
  if (context == nullptr && !passage_.empty()) context = info();
  if (context != nullptr) context->passage = std::move(passage_);
  SessionInfo* const kept = worker_.keep(about_.listener, std::move(claim_), std::move(context));
  worker_.relay_.start(client_, origin_, exchange_.to_origin(), kept, watch, std::move(terms));
  release_when_quiet();
}

// As server/Connection does it: FIN first, and what still comes is discarded for a while, since closing with unread
// input would make the kernel send RST, and the answer could be lost.
void HttpForward::drain_and_close() {
  draining_ = true;
  origin_.close(worker_.engine_);
  const auto finished = client_.shutdown_write(worker_.engine_);
  fin_due_ = !finished && finished.error().kind == ErrorKind::would_block;
  if (!finished && !fin_due_) return finish(Reason::none);
  drain_until_ = worker_.engine_.now() + limits::reply_drain;
  worker_.engine_.start_timer(timer_, drain_until_);
  discard_input();
}

void HttpForward::discard_input() {
  if (fin_due_) fin_due_ = !client_.shutdown_write(worker_.engine_);
  const MutableBytes buffer = worker_.http_->buffer();
  while (discarded_octets_ < limits::reply_drain_octets_max) {
    const auto received = client_.discard(worker_.engine_, buffer);
    if (!received && received.error().kind == ErrorKind::would_block) {
      return client_.wait(worker_.engine_, engine::Interest::readable);
    }
    if (!received || *received == 0) break;
    discarded_octets_ += *received;
  }
  finish(Reason::none);
}

void HttpForward::finish(Reason reason) {
  if (ending_) return;
  const HttpPhase phase = exchange_.phase();
  const bool request = admitted_ || in_head_ || phase == HttpPhase::authenticating || phase == HttpPhase::opening ||
                       phase == HttpPhase::answering || (phase == HttpPhase::silent && reason != Reason::none);
  if (request && !draining_) report_end(reason);
  ending_ = true;
  track();
  // Where an answer was under way, the client must not take a part of it for the whole.
  const bool cut = phase == HttpPhase::exchanging || phase == HttpPhase::answering || phase == HttpPhase::aborting ||
                   phase == HttpPhase::tunnel;
  if (cut) client_.abort(worker_.engine_);
  client_.close(worker_.engine_);
  origin_.abort(worker_.engine_);
  worker_.engine_.cancel(timer_);
  worker_.engine_.cancel(turn_);
  let_go_of_terms();
  claim_.release();
  reach_.cancel();
  if (login_ != nullptr) worker_.verifier_->cancel(login_->login);
  release_when_quiet();
}

// Never inline: whoever calls may still look at this object.
void HttpForward::release_when_quiet() noexcept {
  if (client_.pending() || origin_.pending() || timer_.pending() || turn_.pending() || reach_.pending() ||
      quiet_.pending())
    return;
  if (login_ != nullptr && login_->login.pending()) return;
  worker_.engine_.post(quiet_);
}

void HttpForward::on_quiet(engine::Status) {
  worker_.http_->released(*this);
}

// ── all of a worker ─────────────────────────────────────────────────────────────────────────────────────────────────

HttpForwards::HttpForwards(Worker& worker)
    : worker_(worker), buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(limits::http_read_octets)) {}

HttpForwards::~HttpForwards() {
  STILE_ASSERT(count_ == 0);
}

void HttpForwards::start(const HttpClient& about, const session::HttpRules& rules, protect::Line& client,
                         ConstBytes octets) {
  auto* const forward = new HttpForward(worker_, about, rules);
  forward->previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = forward;
  last_ = forward;
  ++count_;
  forward->begin(client, octets);
}

bool HttpForwards::evict_oldest_waiting() {
  for (HttpForward* forward = first_; forward != nullptr; forward = forward->next_) {
    if (forward->ending_ || !forward->waiting()) continue;
    forward->end(Reason::no_resources);
    return true;
  }
  return false;
}

std::size_t HttpForwards::enforce() {
  std::size_t ended = 0;
  for (HttpForward* forward = first_; forward != nullptr;) {
    HttpForward* const next = forward->next_;
    if (!forward->enforce()) ++ended;
    forward = next;
  }
  return ended;
}

void HttpForwards::drain() {
  for (HttpForward* forward = first_; forward != nullptr;) {
    HttpForward* const next = forward->next_;  // ending one may release it
    forward->drain();
    forward = next;
  }
}

void HttpForwards::end_all(Reason reason) {
  for (HttpForward* forward = first_; forward != nullptr;) {
    HttpForward* const next = forward->next_;
    forward->end(reason);
    forward = next;
  }
}

void HttpForwards::account() const {
  for (const HttpForward* forward = first_; forward != nullptr; forward = forward->next_) forward->account();
}

void HttpForwards::end_exceeded() {
  for (HttpForward* forward = first_; forward != nullptr;) {
    HttpForward* const next = forward->next_;
    if (forward->terms_ != nullptr && forward->terms_->is_exceeded()) forward->end(Reason::limit_quota);
    forward = next;
  }
}

void HttpForwards::released(HttpForward& forward) noexcept {
  (forward.previous_ != nullptr ? forward.previous_->next_ : first_) = forward.next_;
  (forward.next_ != nullptr ? forward.next_->previous_ : last_) = forward.previous_;
  --count_;
  delete &forward;
  worker_.http_released();
}

}  // namespace stile::server
