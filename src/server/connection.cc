#include "server/connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/loopback.h"
#include "base/session_id.h"
#include "server/decision.h"
#include "server/http_forward.h"
#include "server/outside.h"

namespace stile::server {
namespace {

// A greeting and a request at once fit with room to spare; what comes behind them stays in the socket for the relay.
constexpr std::size_t receive_octets = 2048;

bool has_unknown_flags(const session::SessionRequest& request) {
  const bool probes = request.command == wire::Command::ping || request.command == wire::Command::traceroute;
  const int known = probes ? wire::probe_without_names | wire::probe_verbose | wire::probe_each_hop_once : 0;
  return (request.reserved & ~known) != 0;
}

}  // namespace

Connection::Connection(Worker& worker, const Arrival& arrival, const session::SessionRules& rules,
                       std::shared_ptr<const protect::TlsServer> tls)
    : worker_(worker),
      common_(worker.common_),
      reach_(worker.engine_, worker.resolver_, worker.upstreams_, *this),
      session_(rules),
      tls_(std::move(tls)),
      local_(arrival.local),
      peer_(arrival.client),
      id_(worker.engine_.random()),
      began_(worker.engine_.now()),
      listener_(arrival.listener),
      over_unix_(arrival.over_unix),
      header_due_(rules.proxy_header) {
  client_.bind<&Connection::on_client_ready>(this);
  deadline_.bind<&Connection::on_deadline>(this);
  reach_.bind<&Connection::on_reached>(this);
}

void Connection::begin(engine::Socket& accepted) {
  client_.take(worker_.engine_, accepted);
  const Duration handshake = common_->limits.handshake;
  const Duration first = header_due_ ? std::min<Duration>(handshake, limits::proxy_header_wait) : handshake;
  worker_.engine_.start_timer(deadline_, began_ + first);
  worker_.counters_.handshakes_open.add();
  std::optional<session::Event> next;
  for (const session::Action& action : session::ServerSession::begin()) {
    std::visit([&](const auto& kind) { perform(kind, next); }, action);
  }
}

// Nothing is awaited from the client, but its RST is noticed.
void Connection::begin_diverted(engine::Socket& accepted, const Target& target) {
  client_.take(worker_.engine_, accepted);
  worker_.counters_.handshakes_open.add();
  watch_client();
  drive(session::Diverted{target});
}

void Connection::end(Reason reason) {
  finish(reason);
}

// ── events in, actions out ──────────────────────────────────────────────────────────────────────────────────────────

void Connection::drive(session::Event event) {
  Next next = std::move(event);
  while (next && !ending_) {
    const session::Event current = std::move(*next);
    next.reset();
    const session::Actions actions = session_.handle(worker_.engine_.now() - began_, current);
    note_proxied();
    for (const session::Action& action : actions) {
      if (ending_) return;
      std::visit([&](const auto& kind) { perform(kind, next); }, action);
    }
  }
}

// The PROXY header is complete: from here on the client is whom the trusted sender names, and the time for the rest of
// the handshake counts from the accepted connection.
void Connection::note_proxied() {
  const wire::ProxyHeader* const proxied = session_.proxied();
  if (!header_due_ || proxied == nullptr) return;
  header_due_ = false;
  if (const auto session = parse_session(proxied->unique_id)) id_ = *session;
  if (proxied->connection) {
    peer_ = proxied->connection->source;
    over_unix_ = false;
    if (worker_.refuses(peer_.address)) return finish(Reason::auth_penalty);
  }
  worker_.engine_.start_timer(deadline_, began_ + common_->limits.handshake);
}

void Connection::perform(const session::ReadMore&, Next&) {
  reading_ = true;
  watch_client();
}

void Connection::perform(const session::Send& action, Next&) {
  ConstBytes rest = action.octets;
  if (out_.empty()) {
    const auto sent = client_.send(worker_.engine_, rest);
    if (!sent && sent.error().kind != ErrorKind::would_block) return finish(Reason::client_reset);
    if (sent) rest = rest.subspan(*sent);
  }
  out_.insert(out_.end(), rest.begin(), rest.end());
}

void Connection::perform(const session::Authorise& action, Next& next) {
  leave_handshake();
  if (has_unknown_flags(*session_.request())) worker_.counters_.rsv_nonzero.add();
  command_ = action.command;
  if (const Reason refusal = worker_.refusal(); refusal != Reason::none) {
    next = session::Authorised{refusal};
    return;
  }
  const policy::Verdict verdict = action.target != nullptr ? reach_.ask(*action.target) : decide(nullptr, std::nullopt);
  rule_ = verdict.rule;
  const bool denied = verdict.decision == policy::Verdict::Decision::deny;
  next = session::Authorised{denied ? verdict.reason : enter()};
}

/// Counts the session, unless a ceiling is reached. Limits of a source and a user hold for sources that are not
/// loopback and for those who proved who they are (security reference, 1.2).
Reason Connection::enter() {
  const bool on_this_host = over_unix_ || is_loopback(peer_.address);
  const Holder holder{.listener = worker_.sessions_of(listener_),
                      .source = on_this_host ? std::nullopt : std::optional(peer_.address),
                      .user = session_.identity()->user(),
                      .associates = command_ == policy::Command::udp};
  return claim_.enter(*worker_.usage_, holder, common_->limits);
}

Reason Connection::claim(int rule) {
  if (rule < 0) return Reason::none;
  const std::string& name = policy().rules()[static_cast<std::size_t>(rule)].name;
  return claim_.enter_rule(rule, name, options_of(rule), session_.identity()->user(), worker_.engine_.wall_now());
}

void Connection::perform(const session::Connect&, Next&) {
  watch_client();
  reach_.connect(dial_limits());
}

route::DialLimits Connection::dial_limits() const noexcept {
  return {.per_address = common_->limits.connect_per_address, .total = common_->limits.connect_total};
}

void Connection::perform(const session::Listen& action, Next&) {
  watch_client();
  if (action.expected == nullptr) return listen({});
  reach_.find({.command = wire::Command::bind}, dial_limits());
}

void Connection::perform(const session::Resolve& action, Next& next) {
  watch_client();
  if (action.reverse) return reverse(*action.target->address(), next);
  reach_.find({.command = wire::Command::resolve}, dial_limits());
}

void Connection::perform(const session::StartRelay& action, Next&) {
  early_.assign(action.early.begin(), action.early.end());
  if (out_.empty()) return start_relay();
  after_flush_ = AfterFlush::start_relay;
  client_.wait(worker_.engine_, engine::Interest::writable);
}

void Connection::perform(const session::StartHttp& action, Next&) {
  leave_handshake();
  early_.assign(action.octets.begin(), action.octets.end());
  start_http();
}

// As the relay does, the driver of HTTP takes the client's socket when no wait is pending on it.
void Connection::start_http() {
  http_due_ = true;
  if (client_.pending()) return client_.cancel(worker_.engine_);
  ending_ = true;
  worker_.engine_.cancel(deadline_);
  const session::HttpRules rules{.auth = session_.auth(),
                                 .pac = worker_.pac_of(listener_),
                                 .visit = {.reached = called_endpoint(), .inside_tls = !client_.is_plain()}};
  worker_.http_->start({.listener = listener_,
                        .local = local_,
                        .peer = peer_,
                        .over_unix = over_unix_,
                        .proxied = session_.proxied() != nullptr,
                        .accountable = accountable(),
                        .announced_user = std::string(announced_user()),
                        .who = session_.without_credentials(),
                        .session = id_,
                        .began = began_},
                       rules, client_, early_);
  wipe(early_);  // it may hold a password
  release_when_quiet();
}

void Connection::perform(const session::Close& action, Next&) {
  // At once: what the client does with the reply is not waited for. Not one octet is no mistake.
  if (accountable() && session_.octets_received() > 0) worker_.penalise(peer_.address, action.reason);
  if (action.how == session::Close::How::silent) return finish(action.reason);
  if (association_ == nullptr) claim_.release();
  end_reason_ = action.reason;
  if (out_.empty()) return drain_and_close();
  after_flush_ = AfterFlush::drain_and_close;
  worker_.engine_.start_timer(deadline_, worker_.engine_.now() + limits::reply_drain);
  client_.wait(worker_.engine_, engine::Interest::writable);
}

// ── the client's socket ─────────────────────────────────────────────────────────────────────────────────────────────

void Connection::on_client_ready(engine::Status) {
  if (ending_) return release_when_quiet();
  if (relay_due_) return start_relay();
  if (http_due_) return start_http();
  if (!out_.empty() && !send_rest()) return finish(Reason::client_reset);
  if (after_flush_ != AfterFlush::nothing) return after_flush();
  if (controlling_) return watch_control();
  if (probing_) return watch_probes();
  if (draining_) return discard_input();
  if (securing_ && login_ == nullptr) return secure();
  if (reading_) return receive();
  if (!worker_.engine_.failed(client_.socket())) return watch_client();
  drive(session::ClientFailed{});
}

void Connection::receive() {
  std::array<std::uint8_t, receive_octets> buffer;
  const auto received = client_.receive(worker_.engine_, buffer);
  if (!received && received.error().kind == ErrorKind::would_block) return watch_client();
  reading_ = false;
  watch_client();  // its RST is noticed even where the session has no room to read more
  if (!received && client_.failure() != Reason::none) return break_off(client_.failure());
  if (!received) return drive(session::ClientFailed{});
  if (*received == 0) return drive(session::ClientFin{});
  const bool secrets = session_.reads_secrets();
  drive(session::Received{ConstBytes(buffer).first(*received)});
  if (secrets) wipe(MutableBytes(buffer).first(*received));
}

// What came is not what the protection lets through: the session is not told, for it has no more to say.
void Connection::break_off(Reason reason) {
  Next next;
  perform(session::Close{reason, session::Close::How::after_reply}, next);
}

// What the client has not taken yet; false when it never will.
bool Connection::send_rest() {
  const auto sent = client_.send(worker_.engine_, out_);
  if (!sent) return sent.error().kind == ErrorKind::would_block;
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(*sent));
  return true;
}

void Connection::after_flush() {
  if (!out_.empty()) return client_.wait(worker_.engine_, engine::Interest::writable);
  switch (std::exchange(after_flush_, AfterFlush::nothing)) {
    case AfterFlush::start_relay:
      return start_relay();
    case AfterFlush::control_association:
      return control_association();
    default:
      return drain_and_close();
  }
}

// Closing with unread input would make the kernel send RST, and some clients then lose the reply: so FIN goes first,
// and what still comes is discarded for a while.
void Connection::drain_and_close() {
  draining_ = true;
  const auto finished = client_.shutdown_write(worker_.engine_);
  fin_due_ = !finished && finished.error().kind == ErrorKind::would_block;
  if (!finished && !fin_due_) return finish(end_reason_);
  worker_.engine_.start_timer(deadline_, worker_.engine_.now() + limits::reply_drain);
  discard_input();
}

void Connection::discard_input() {
  if (fin_due_) fin_due_ = !client_.shutdown_write(worker_.engine_);
  std::array<std::uint8_t, receive_octets> buffer;
  while (discarded_octets_ < limits::reply_drain_octets_max) {
    const auto received = client_.discard(worker_.engine_, buffer);
    if (!received && received.error().kind == ErrorKind::would_block) {
      return client_.wait(worker_.engine_, engine::Interest::readable);
    }
    if (!received || *received == 0) break;
    discarded_octets_ += *received;
  }
  finish(end_reason_);
}

void Connection::on_deadline(engine::Status status) {
  if (ending_) return release_when_quiet();
  if (status == engine::Status::canceled) return;
  // A reply that the client does not take, or a FIN that it does not send, is not waited for any longer.
  if (draining_ || after_flush_ == AfterFlush::drain_and_close) return finish(end_reason_);
  if (probing_) return finish(Reason::idle);
  if (!handshaking_) return;
  worker_.counters_.handshake_timeout.add();
  drive(session::DeadlinePassed{});
}

// ── the target ──────────────────────────────────────────────────────────────────────────────────────────────────────

// While the session does not read, what the client sends waits in its socket; its RST is noticed all the same. What it
// has not taken yet goes out as soon as it takes it.
void Connection::watch_client() {
  const int wanted = (reading_ ? static_cast<int>(engine::Interest::readable) : 0) |
                     (out_.empty() ? 0 : static_cast<int>(engine::Interest::writable));
  client_.wait(worker_.engine_, static_cast<engine::Interest>(wanted));
}

const policy::Policy& Connection::policy() const noexcept {
  return common_->policy_for(local_.address, peer_.address, session_.proxied() != nullptr);
}

policy::Verdict Connection::decide(const Target* target, const std::optional<Address>& candidate) const {
  const Asker asker{.who = &*session_.identity(),
                    .local = local_.address,
                    .source = peer_.address,
                    .proxied = session_.proxied() != nullptr,
                    .at = worker_.week_time()};
  return server::decide(*common_, asker, command_, target, candidate);
}

void Connection::reverse(const Address& address, Next& next) {
  if (const Reason reason = claim(rule_); reason != Reason::none) {
    next = session::Failed{reason};
    return;
  }
  reverse_ = std::make_unique<resolve::Lookup>();
  reverse_->bind<&Connection::on_reversed>(this);
  worker_.resolver_.reverse(*reverse_, address);
}

void Connection::on_reversed(engine::Status) {
  if (ending_) return release_when_quiet();
  const resolve::Answer& answer = reverse_->answer();
  if (!answer.name) return drive(session::Failed{answer.reason});
  drive(session::Granted{{*answer.name, 0}});  // the address was decided
}

void Connection::on_reached(engine::Status) {
  if (ending_) return release_when_quiet();
  const Reason failure = reach_.settle();
  rule_ = reach_.rule();
  if (failure != Reason::none) return drive(session::Failed{failure});
  if (reach_.way() != nullptr) return command_ == policy::Command::bind ? bound_through() : connected_through();
  switch (command_) {
    case policy::Command::bind:
      return listen(reach_.addresses());
    case policy::Command::resolve:
      return answer_resolve();
    case policy::Command::ping:
      return probe();
    default:
      return connected();
  }
}

void Connection::connected() {
  claim_.keep(rule_);
  reach_.take(target_);
  dialled_ = reach_.peer();
  const Endpoint local = worker_.engine_.local_endpoint(target_.socket()).value_or(Endpoint{});
  if (!announce_client(worker_.engine_, *common_, over_unix_ ? std::nullopt : std::optional(peer_), target_.socket(),
                       dialled_)) {
    target_.abort(worker_.engine_);
    return drive(session::Failed{Reason::dial_failed});
  }
  drive(session::Granted{{told_own(local.address), local.port}});
}

Traveller Connection::traveller() const {
  const std::string_view proved = session_.identity()->user();
  return {.client = over_unix_ ? std::nullopt : std::optional(peer_),
          .user = proved.empty() ? announced_user() : proved,
          .session = id_};
}

std::string_view Connection::announced_user() const noexcept {
  const wire::ProxyHeader* const proxied = session_.proxied();
  return proxied == nullptr ? std::string_view() : std::string_view(proxied->user);
}

// ── through other proxies ───────────────────────────────────────────────────────────────────────────────────────────

// The client is told what the last proxy told us; that is nothing where it does not know its own end.
void Connection::connected_through() {
  if (command_ == policy::Command::resolve) {
    if (reach_.addresses().empty()) return drive(session::Failed{Reason::upstream_general});
    return answer_resolve();
  }
  claim_.keep(rule_);
  reach_.take(target_);
  dialled_ = reach_.peer();
  const auto told = reach_.way()->bound().target();
  drive(session::Granted{told && told->address() != nullptr ? *told : Target{}});
}

// Both replies are passed on. Who came is decided here as well: the other proxy may have let in somebody else.
void Connection::bound_through() {
  const auto told = reach_.way()->bound().target();
  if (!told || told->address() == nullptr) {
    return drive(session::Failed{Reason::upstream_general});
  }
  if (reach_.way()->awaits_peer()) {
    drive(session::Granted{*told});
    if (!ending_ && !draining_) reach_.await_peer(common_->bind.wait);
    return;
  }
  const Endpoint peer{*told->address(), told->port};
  if (!admits(peer, options_of(rule_).via)) return drive(session::Failed{Reason::bind_peer});
  rule_ = decide(&*told, peer.address).rule;
  if (const Reason reason = claim(rule_); reason != Reason::none) return drive(session::Failed{reason});
  claim_.keep(rule_);
  reach_.take(target_);
  dialled_ = peer;
  drive(session::Granted{*told});
}

// RESOLVE, as Tor defines it: one address, IPv4 first, port 0.
void Connection::answer_resolve() {
  const auto addresses = reach_.addresses();
  const auto v4 = std::ranges::find_if(addresses, &Address::is_v4);
  if (v4 == addresses.end() && session_.protocol() == session::Protocol::socks4) {
    return drive(session::Failed{Reason::dns_not_found});  // its reply has no room for an IPv6 address
  }
  const Address& answer = v4 == addresses.end() ? addresses.front() : *v4;
  if (reach_.way() == nullptr) rule_ = reach_.decide(answer).rule;
  drive(session::Granted{{answer, 0}});
}

// ── BIND ────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Connection::listen(std::span<const Address> expected) {
  BindWait::Rules rules;
  Address local = reached_address();
  std::optional<engine::Egress>& egress = rules.egress;
  if (!expected.empty()) {
    egress = route::egress_of(options_of(reach_.decide(expected.front()).rule).egress, worker_.engine_);
    rules.expected.assign(expected.begin(), expected.end());
    const auto source = worker_.engine_.source_towards(expected.front(), egress ? &*egress : nullptr);
    local = source.value_or(local);
  }
  if (egress && egress->address) {
    // From an address of one family no peer of the other is heard.
    if (egress->address->family() != expected.front().family()) return drive(session::Failed{Reason::dial_family_off});
    local = *egress->address;
  }
  const bool leaves_elsewhere = egress.has_value();
  rules.admits = [this](const Endpoint& peer) { return admits(peer, {}); };
  rules.stranger_ends = session_.protocol() == session::Protocol::socks4 || common_->bind.mismatch_ends;
  rules.limit = common_->bind.wait;
  rules.advertise = advertised_for(common_->bind.outside, local);
  bind_wait_ = std::make_unique<BindWait>(worker_.engine_, *worker_.live_sockets_);
  bind_wait_->bind<&Connection::on_peer>(this);
  const std::uint16_t wanted = session_.target() == nullptr ? session_.request()->destination.port : std::uint16_t{0};
  const Address told = rules.advertise.value_or(local);
  const auto listening = bind_wait_->start(local, wanted, common_->bind.outside.ports, std::move(rules));
  if (!listening) {
    const ErrorKind kind = listening.error().kind;
    const bool not_ours =
        kind == ErrorKind::address_unavailable || kind == ErrorKind::not_found || kind == ErrorKind::not_permitted;
    return drive(session::Failed{leaves_elsewhere && not_ours ? Reason::dial_egress : Reason::dial_no_ports});
  }
  drive(session::Granted{{told, listening->port}});
}

/// Whether its rule lets the client be joined with it by this way and by no other.
bool Connection::admits(const Endpoint& peer, std::span<const std::string> via) const {
  const Target target{peer.address, peer.port};
  const policy::Verdict verdict = decide(&target, peer.address);
  return verdict.decision == policy::Verdict::Decision::allow && std::ranges::equal(options_of(verdict.rule).via, via);
}

void Connection::on_peer(engine::Status) {
  if (ending_) return release_when_quiet();
  if (bind_wait_->reason() != Reason::none) return drive(session::Failed{bind_wait_->reason()});
  bind_wait_->take(target_.socket());
  dialled_ = bind_wait_->peer();
  const Target peer{dialled_.address, dialled_.port};
  rule_ = decide(&peer, dialled_.address).rule;
  if (const Reason reason = claim(rule_); reason != Reason::none) {
    target_.abort(worker_.engine_);
    return drive(session::Failed{reason});
  }
  claim_.keep(rule_);
  drive(session::Granted{peer});
}

// The client's socket may still be watched for an RST; it moves to the relay when that wait has ended.
void Connection::start_relay() {
  relay_due_ = true;
  if (client_.pending()) return client_.cancel(worker_.engine_);
  ending_ = true;
  worker_.engine_.cancel(deadline_);
  std::unique_ptr<relay::Terms> terms = claim_.terms(rule_, options_of(rule_));
  const route::Way* const way = reach_.way();
  std::unique_ptr<SessionInfo> about = worker_.remembers() || way != nullptr ? info() : nullptr;
  if (way != nullptr) about->passage = way->passage();
  SessionInfo* const context = worker_.keep(listener_, std::move(claim_), std::move(about));
  if (worker_.reporter_ != nullptr) {
    observe::Record record{.event = observe::Event::session_start};
    record.reply = session_.reply();
    worker_.report(record, *context);
  }
  worker_.counters_.sessions.add();
  worker_.counters_.sessions_open.add();
  // Who waits for a peer may be a server: what it sends are no requests.
  const bool serves = command_ == policy::Command::bind;
  const relay::Watch watch = serves ? relay::Watch::nothing : worker_.watch_for(context);
  worker_.relay_.start(client_, target_, early_, context, watch, std::move(terms));
  release_when_quiet();
}

// ── UDP ASSOCIATE ───────────────────────────────────────────────────────────────────────────────────────────────────

void Connection::perform(const session::Associate& action, Next& next) {
  const auto request = association_request(action.claimed);
  if (!request) {
    next = session::Failed{Reason::udp_claim};
    return;
  }
  const auto opened = worker_.udp_.open(*request, *this);
  if (!opened) {
    next = session::Failed{Reason::dial_no_ports};
    return;
  }
  association_ = *opened;
  next = session::Granted{{request->advertise.value_or(association_->bound().address), association_->bound().port}};
}

// Nothing where the request must name the client's own address and does not (Reason::udp_claim).
std::optional<relay::AssociationRequest> Connection::association_request(const Target* claimed) const {
  const config::Udp& udp = common_->udp;
  const Address local = reached_address();
  relay::AssociationRequest request{.client = peer_.address,
                                    .local = local,
                                    .ports = udp.outside.ports,
                                    .advertise = advertised_for(udp.outside, local),
                                    .filter = udp.full_cone ? relay::UdpFilter::full_cone : relay::UdpFilter::address,
                                    .reassemble = udp.reassemble,
                                    .repin = udp.repin,
                                    .mapping_idle = udp.mapping_idle,
                                    .protection = gss_};
  if (over_unix_) {
    // Any user of this host could send first, so the client says where from (protocol reference, 3.3).
    const Address* const address = claimed == nullptr ? nullptr : claimed->address();
    if (address == nullptr || !is_loopback(*address) || claimed->port == 0) return std::nullopt;
    request.client = *address;
    request.claimed_port = claimed->port;
    if (!address->is_v4()) request.local = *address;
  } else if (udp.require_claim) {
    const auto port = relay::claimed_port(claimed, peer_.address);
    if (!port) return std::nullopt;
    request.claimed_port = *port;
  }
  return request;
}

// The address at which this client can reach us. Behind a load balancer that is not the one that the balancer reached:
// datagrams do not pass through it.
Address Connection::reached_address() const {
  const wire::ProxyHeader* const proxied = session_.proxied();
  if (proxied == nullptr || !proxied->connection) return local_.address;
  return worker_.engine_.source_towards(peer_.address).value_or(local_.address);
}

// What this client has connected to, as far as it knows.
Endpoint Connection::called_endpoint() const {
  const wire::ProxyHeader* const proxied = session_.proxied();
  return proxied != nullptr && proxied->connection ? proxied->connection->destination : local_;
}

Address Connection::told_own(const Address& own) const {
  return told_by_connect(common_->bind.outside, own, called_endpoint().address, peer_.address);
}

void Connection::perform(const session::StartAssociation&, Next&) {
  if (out_.empty()) return control_association();
  after_flush_ = AfterFlush::control_association;
  client_.wait(worker_.engine_, engine::Interest::writable);
}

// From here on the client's connection only tells how long the association lives (RFC 1928 section 6): what comes on it
// is discarded, so that its end is seen.
void Connection::control_association() {
  controlling_ = true;
  detail_ = policy::RecordDetail::session;  // no rule has admitted anything yet
  worker_.engine_.cancel(deadline_);
  worker_.counters_.sessions.add();
  worker_.counters_.sessions_open.add();
  if (worker_.reporter_ != nullptr) {
    observe::Record record{.event = observe::Event::session_start};
    record.reply = session_.reply();
    worker_.report(record, *info());
  }
  watch_control();
}

void Connection::watch_control() {
  std::array<std::uint8_t, receive_octets> buffer;
  for (std::size_t discarded = 0; discarded < limits::octets_per_turn_max;) {
    const auto received = client_.receive(worker_.engine_, buffer);
    if (!received && received.error().kind != ErrorKind::would_block) return finish(Reason::reset_client);
    if (!received) break;
    if (*received == 0) return finish(Reason::fin_client);
    discarded += *received;
  }
  client_.wait(worker_.engine_, engine::Interest::readable);
}

// An association is put down to the rule that admitted the first of its targets.
policy::Verdict Connection::decide(const Target& asked, const std::optional<Address>& candidate) {
  const policy::Verdict verdict = decide(&asked, candidate);
  if (rule_ < 0 && verdict.decision == policy::Verdict::Decision::allow) rule_ = verdict.rule;
  return verdict;
}

// The association is a session of each rule by which its datagrams go, from the first of them on.
std::expected<relay::DatagramTerms*, UdpDrop> Connection::terms_of(int rule) {
  const policy::Options& options = options_of(rule);
  const bool counted = !options.rates.empty() || !options.sessions.empty() || !options.quotas.empty();
  if (!counted && !options.egress.is_set() && options.via.empty()) return nullptr;
  const std::pair which{common_->generation, rule};
  if (const auto found = datagram_terms_.find(which); found != datagram_terms_.end()) return &found->second;
  if (const Reason reason = claim(rule); reason != Reason::none) {
    return std::unexpected(reason == Reason::limit_quota ? UdpDrop::quota : UdpDrop::limit);
  }
  relay::DatagramTerms& terms = datagram_terms_[which];
  if (const auto held_to = claim_.terms(rule, options)) terms.terms = *held_to;
  if (options.via.empty()) {
    terms.egress = route::egress_of(options.egress, worker_.engine_);
    return &terms;
  }
  if (ways_ == nullptr) {
    DatagramWaysOwner& owner = *this;
    ways_ = std::make_unique<DatagramWays>(worker_.engine_, worker_.resolver_, worker_.upstreams_, owner);
  }
  terms.detour = &ways_->towards(options);
  return &terms;
}

void Connection::way_changed(relay::Detour& way) {
  if (association_ != nullptr) association_->detour_changed(way);
  if (ending_) release_when_quiet();
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void Connection::finish(Reason reason) {
  if (ending_) return;
  ending_ = true;
  leave_handshake();
  if (association_ != nullptr) association_->end(reason);
  if (ways_ != nullptr) ways_->close_all();
  if (probes_ != nullptr) probes_->cancel();
  end_probes(reason);
  if (!controlling_ && !probed_) report_end(reason);
  // A client that knows of no proxy would take FIN for its target's.
  if (client_.is_open() && is_diverted()) client_.abort(worker_.engine_);
  if (client_.is_open()) client_.close(worker_.engine_);
  if (target_.is_open()) target_.abort(worker_.engine_);
  worker_.engine_.cancel(deadline_);
  reach_.cancel();
  if (reverse_ != nullptr) worker_.resolver_.cancel(*reverse_);
  if (login_ != nullptr) worker_.verifier_->cancel(login_->login);
  if (bind_wait_ != nullptr) bind_wait_->cancel();
  claim_.release();
  release_when_quiet();
}

// The request is complete, or never will be.
void Connection::leave_handshake() noexcept {
  if (!std::exchange(handshaking_, false)) return;
  worker_.counters_.handshakes_open.subtract();
}

// A load balancer is not to blame for its clients, nor for its own checks.
bool Connection::accountable() const noexcept {
  const wire::ProxyHeader* const proxied = session_.proxied();
  return proxied == nullptr ? !header_due_ : proxied->connection.has_value();
}

void Connection::release_when_quiet() {
  if (!client_.pending() && !deadline_.pending() && !reach_.pending() &&
      (reverse_ == nullptr || !reverse_->pending()) && (login_ == nullptr || !login_->login.pending()) &&
      (bind_wait_ == nullptr || !bind_wait_->pending()) && (ways_ == nullptr || !ways_->pending()) &&
      (probes_ == nullptr || !probes_->pending())) {
    worker_.released(*this);
  }
}

}  // namespace stile::server
