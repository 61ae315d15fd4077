#include "route/chain.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "protect/gss_initiation.h"

namespace stile::route {
namespace {

using session::ClientPhase;
using session::ClientSession;

std::string_view text_of(const std::optional<std::string>& text) noexcept {
  return text ? std::string_view(*text) : std::string_view();
}

}  // namespace

Chain::Chain(engine::Engine& engine, resolve::Resolver& resolver, std::span<const Hop* const> hops, const Ask& ask,
             const ChainLimits& limits)
    : engine_(engine),
      resolver_(resolver),
      hop_count_(hops.size()),
      ask_(ask),
      limits_(limits),
      approach_(engine, resolver) {
  STILE_ASSERT(!hops.empty() && hops.size() <= hops_.size());
  std::ranges::copy(hops, hops_.begin());
  for (const Hop* const one : hops) {
    STILE_ASSERT(one->tls != nullptr || one->url.protection != wire::ProxyProtection::tls);
  }
  deadline_.bind<&Chain::on_deadline>(this);
  line_.bind<&Chain::on_ready>(this);
  lookup_.bind<&Chain::on_resolved>(this);
  approach_.bind<&Chain::on_approached>(this);
}

Chain::Chain(engine::Engine& engine, resolve::Resolver& resolver, const Hop& hop, const Ask& ask,
             const ChainLimits& limits)
    : Chain(engine, resolver, std::array<const Hop*, 1>{&hop}, ask, limits) {}

Chain::~Chain() {
  STILE_ASSERT(!pending());
  line_.close(engine_);
}

void Chain::start() {
  if (prepare()) next_name();
}

void Chain::start(Approach& met) {
  STILE_ASSERT(!met.pending() && met.trouble().obstacle == Obstacle::none);
  peer_ = met.peer();
  met.take(line_.socket());
  start();
}

bool Chain::prepare() {
  STILE_ASSERT(!running_ && step_ == Step::names);
  running_ = true;
  for (std::size_t i = 0; i < hop_count_; ++i) {
    hop_ = i;
    if (const Obstacle obstacle = unfit(hop(i), i == 0); obstacle != Obstacle::none) {
      fail(obstacle);
      return false;
    }
    if (lacks_ticket(hop(i), engine_)) {
      fail(Obstacle::protection, Reason::gss_ticket);
      return false;
    }
    asked_.push_back(i + 1 == hop_count_ ? ask_.target : hop(i + 1).url.server);
  }
  hop_ = 0;
  return true;
}

/// What forbids to meet it at all. Behind another proxy a password in clear passes through networks that nobody here
/// knows.
Obstacle Chain::unfit(const Hop& hop, bool first) const noexcept {
  const wire::ProxyUrl& url = hop.url;
  if (url.protocol != wire::ProxyProtocol::socks4 && url.user && !url.password) return Obstacle::login_half;
  const bool in_clear = url.protection == wire::ProxyProtection::none;
  const bool readable = !first && url.password && in_clear && !hop.clear_password_allowed;
  return readable ? Obstacle::clear_password : Obstacle::none;
}

void Chain::cancel() noexcept {
  if (!pending()) return;
  fail(Obstacle::canceled);
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

void Chain::on_resolved(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  const resolve::Answer& answer = lookup_.answer();
  if (!answer.addresses.empty()) return target_found(answer.addresses);
  if (is_last()) return fail(Obstacle::target_name, answer.reason);
  ++hop_;
  fail(Obstacle::proxy_name, answer.reason);
}

/// Goes on to the next hop that is to be asked for an address and has a name; behind the last one, to the first
/// connection.
void Chain::next_name() {
  for (; hop_ < hop_count_; ++hop_) {
    if (hop(hop_).url.resolves_names) continue;
    if (const HostName* const name = asked_[hop_].host_name()) return resolver_.resolve(lookup_, *name);
    const bool carried = hop(hop_).url.protocol != wire::ProxyProtocol::socks4 || asked_[hop_].address()->is_v4();
    if (!carried) return fail(Obstacle::target_family);
  }
  hop_ = 0;
  if (line_.is_open()) return meet();
  step_ = Step::dialling;
  approach_.start(hop(0), limits_.dial, ask_.egress);
}

void Chain::target_found(std::span<const Address> addresses) {
  const bool any_family = hop(hop_).url.protocol != wire::ProxyProtocol::socks4;
  const auto fits = std::ranges::find_if(addresses, [&](const Address& one) { return any_family || one.is_v4(); });
  if (fits == addresses.end()) return fail(Obstacle::target_family);
  asked_[hop_++].host = Address(*fits);
  next_name();
}

// ── the connection ──────────────────────────────────────────────────────────────────────────────────────────────────

void Chain::on_approached(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  peer_ = approach_.peer();
  if (approach_.trouble().obstacle != Obstacle::none) return finish(approach_.trouble());
  approach_.take(line_.socket());
  meet();
}

/// The stream leads to the hop in hand.
void Chain::meet() {
  step_ = Step::talking;
  in_ = asked_for_it_ = granted_ = shows_ticket_ = false;
  reached_ = engine_.now();
  engine_.start_timer(deadline_, engine_.now() + limits_.greeting);
  const Hop& met = hop(hop_);
  const bool header_alone = met.url.protocol == wire::ProxyProtocol::proxy_protocol;
  if (header_alone && is_last() && ask_.command != wire::Command::connect) return lacks_command();
  met.announces || header_alone ? announce() : introduced();
}

/// The hop in hand may be spoken with.
void Chain::introduced() {
  const Hop& met = hop(hop_);
  const bool header_alone = met.url.protocol == wire::ProxyProtocol::proxy_protocol;
  const bool greets = met.url.protocol == wire::ProxyProtocol::socks5;
  if (header_alone || (ask_.only_meets && !greets)) return hop_granted();
  if (met.url.protection == wire::ProxyProtection::tls) {
    auto tls = met.tls->connect(met.url.server.host);
    if (tls == nullptr) return fail(Obstacle::protection, Reason::no_resources);
    line_.protect(std::move(tls));
  }
  converse();
}

// Before every other octet, and outside of the hop's own protection.
void Chain::announce() {
  const Hop& met = hop(hop_);
  const bool header_alone = met.url.protocol == wire::ProxyProtocol::proxy_protocol;
  const Target& place = header_alone ? asked_[hop_] : met.url.server;
  const Endpoint own = engine_.local_endpoint(line_.socket()).value_or(Endpoint{});
  const wire::ProxiedConnection connection{
      .source = ask_.client.value_or(own),
      .destination = place.address() != nullptr ? Endpoint{*place.address(), place.port} : peer_};
  wire::ProxyTlvs told;
  if (header_alone) told.authority = ask_.tlvs.authority;
  if (met.announces) told.unique_id = ask_.tlvs.unique_id;
  if (met.announces) told.user = ask_.tlvs.user;
  // An association is for whoever opened it: were it for our client, its relay would take datagrams from nobody else.
  const bool for_us = ask_.only_meets || (is_last() && ask_.command == wire::Command::udp_associate);
  const auto header = for_us ? wire::encode_proxy_v2({}) : wire::encode_proxy_v2(connection, told);
  header_.assign(header.octets().begin(), header.octets().end());
  unsent_ = header_;
  announcing_ = true;
  send_header();
}

// A stream that is not used yet takes it at once; one that leads through other proxies need not.
void Chain::send_header() {
  while (!unsent_.empty()) {
    const auto sent = line_.send(engine_, unsent_);
    if (!sent && sent.error().kind == ErrorKind::would_block) return line_.wait(engine_, engine::Interest::writable);
    if (!sent) return fail(Obstacle::announcement);
    unsent_ = unsent_.subspan(*sent);
  }
  announcing_ = false;
  introduced();
}

void Chain::lacks_command() noexcept {
  const session::ProxyFailure failure{
      .fault = session::ProxyFault::no_such_command, .protocol = hop(hop_).url.protocol, .command = ask_.command};
  finish({.obstacle = Obstacle::conversation, .failure = failure, .hop = hop_});
}

void Chain::converse() {
  const Hop& met = hop(hop_);
  session_.emplace(session::ProxyRequest{.protocol = met.url.protocol,
                                         .command = is_last() ? ask_.command : wire::Command::connect,
                                         .target = asked_[hop_],
                                         .flags = is_last() ? ask_.flags : std::uint8_t{0},
                                         .by_ticket = met.url.protection == wire::ProxyProtection::gssapi,
                                         .pipelined = met.pipelined && !ask_.only_meets,
                                         .user = text_of(met.url.user),
                                         .password = text_of(met.url.password)});
  drive(ClientSession::Connected{});
}

/// The hop in hand has done its own part.
void Chain::let_in() {
  if (std::exchange(in_, true)) return;
  if (watch_ != nullptr) watch_->hop_met(hop_, engine_.now() - reached_);
}

/// The stream leads behind the hop in hand.
void Chain::hop_granted() {
  let_in();
  if (is_last()) return finish({});
  ++hop_;
  meet();
}

// ── events in, actions out ──────────────────────────────────────────────────────────────────────────────────────────

void Chain::drive(ClientSession::Event event) {
  for (const ClientSession::Action& action : session_->handle(event)) {
    std::visit([this](const auto& kind) { perform(kind); }, action);
  }
  if (step_ != Step::talking) return;
  if (granted_) return hop_granted();
  if (shows_ticket_) return show_ticket();
  go_on();
}

void Chain::go_on() {
  if (session_->phase() == ClientPhase::reply && !std::exchange(asked_for_it_, true)) {
    engine_.start_timer(deadline_, engine_.now() + limits_.conversation);
    if (hop(hop_).url.protocol == wire::ProxyProtocol::socks5) let_in();
    if (in_ && ask_.only_meets && is_last()) return finish({});
  }
  exchange();
}

/// Until the proxy has taken it, nothing is asked for, and we are not in.
void Chain::show_ticket() {
  const auto shown = line_.establish(engine_);
  if (!shown && shown.error().kind == ErrorKind::would_block) return line_.wait(engine_, engine::Interest::readable);
  shows_ticket_ = false;
  if (shown) return go_on();
  // Who goes without a word does not take it either.
  const Reason failure = line_.failure();
  fail(Obstacle::protection, failure == Reason::none ? Reason::gss_accept : failure);
}

void Chain::perform(const ClientSession::Send& action) {
  unsent_ = action.octets;
}

void Chain::perform(const ClientSession::Read& action) {
  reading_ = action.octets_max;
}

void Chain::perform(const ClientSession::Protect&) {
  const Hop& met = hop(hop_);
  std::unique_ptr<protect::GssInitiator> initiator;
  if (met.ticket == nullptr) {
    initiator = protect::GssInitiator::create(met.gss_service, met.url.server.host);
  } else if (const auto ticket = met.ticket->ticket(engine_.wall_now())) {
    initiator = ticket->initiator();
  }
  line_.protect(std::make_unique<protect::GssInitiation>(std::move(initiator), met.gss_encrypted));
  shows_ticket_ = true;
}

void Chain::perform(const ClientSession::AwaitPeer&) {
  bound_ = session_->bound();
  let_in();
  step_ = Step::listening;
  engine_.cancel(deadline_);
  complete_when_quiet();
}

void Chain::perform(const ClientSession::Finish&) {
  bound_ = session_->bound();
  granted_ = true;
}

void Chain::perform(const ClientSession::Fail&) {
  if (session_->failure().fault == session::ProxyFault::refused) let_in();  // it did its own part
  finish({.obstacle = Obstacle::conversation, .failure = session_->failure(), .hop = hop_});
}

void Chain::await_peer(Duration limit) {
  STILE_ASSERT(!pending() && step_ == Step::listening);
  running_ = true;
  step_ = Step::talking;
  engine_.start_timer(deadline_, engine_.now() + limit);
  exchange();
}

/// Sends what is due, then waits for the answer. A protected line shakes hands before the first octet.
void Chain::exchange() {
  while (!unsent_.empty()) {
    const auto sent = line_.send(engine_, unsent_);
    if (!sent && sent.error().kind == ErrorKind::would_block) return line_.wait(engine_, engine::Interest::writable);
    if (!sent && protection_failed()) return fail(Obstacle::protection, line_.failure());
    // A proxy that refused and went may have said why: what it left is read before the failure is.
    unsent_ = sent ? unsent_.subspan(*sent) : ConstBytes();
  }
  line_.wait(engine_, engine::Interest::readable);
}

/// A stream that is cut short is no fault of its protection: it is told as a proxy that went.
bool Chain::protection_failed() const noexcept {
  if (line_.is_plain()) return false;
  const Reason failure = line_.failure();
  return !line_.transform()->established() || (failure != Reason::none && failure != Reason::tls_truncated);
}

void Chain::on_ready(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (announcing_) return send_header();
  if (shows_ticket_) return show_ticket();
  if (!unsent_.empty()) return exchange();
  receive();
}

void Chain::receive() {
  std::array<std::uint8_t, wire::reply_octets_max> buffer;
  const MutableBytes room = MutableBytes(buffer).first(std::min(buffer.size(), reading_));
  const auto received = line_.receive(engine_, room);
  if (!received && received.error().kind == ErrorKind::would_block) {
    return line_.wait(engine_, engine::Interest::readable);
  }
  if (!received && protection_failed()) return fail(Obstacle::protection, line_.failure());
  const bool cut_short = !received && line_.failure() == Reason::tls_truncated;
  if (!received && !cut_short) return drive(ClientSession::ProxyLost{});
  if (cut_short || *received == 0) return drive(ClientSession::ProxyFin{});
  drive(ClientSession::Received{room.first(*received)});
}

void Chain::on_deadline(engine::Status status) {
  if (step_ == Step::ended || step_ == Step::listening) return complete_when_quiet();
  if (status != engine::Status::done) return;
  if (announcing_) return fail(Obstacle::announcement);
  if (shows_ticket_) return ticket_unanswered();
  drive(ClientSession::DeadlinePassed{});
}

/// The session has gone on to its request already, and would take the proxy for one that let us in.
void Chain::ticket_unanswered() noexcept {
  const session::ProxyFailure failure{.fault = session::ProxyFault::timed_out,
                                      .awaited = session::Awaited::method,
                                      .protocol = hop(hop_).url.protocol,
                                      .command = ask_.command};
  finish({.obstacle = Obstacle::conversation, .failure = failure, .hop = hop_});
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void Chain::fail(Obstacle obstacle, Reason reason) noexcept {
  finish({.obstacle = obstacle, .reason = reason, .failure = {}, .hop = hop_});
}

void Chain::finish(const Trouble& trouble) noexcept {
  trouble_ = trouble;
  step_ = Step::ended;
  resolver_.cancel(lookup_);
  approach_.cancel();
  engine_.cancel(deadline_);
  if (trouble.obstacle != Obstacle::none) line_.close(engine_);
  complete_when_quiet();
}

/// The records of all operations live in this object, so that it may not go before the last of them has completed.
void Chain::complete_when_quiet() noexcept {
  if (!running_ || lookup_.pending() || approach_.pending() || deadline_.pending() || line_.pending()) return;
  running_ = false;
  engine_.post(done_);
}

void Chain::take(protect::Line& into) noexcept {
  STILE_ASSERT(!pending() && trouble_.obstacle == Obstacle::none && step_ == Step::ended);
  into.take(engine_, line_);
}

}  // namespace stile::route
