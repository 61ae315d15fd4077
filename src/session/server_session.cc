#include "session/server_session.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "session/session_table.h"
#include "wire/userpass.h"

namespace stile::session {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<Event>> event_names{
    "Received",   "ClientFin", "ClientFailed", "DeadlinePassed", "Authenticated",
    "Authorised", "Granted",   "Failed",       "Protected",      "Diverted",
};
constexpr std::array<std::string_view, std::variant_size_v<Action>> action_names{
    "ReadMore", "Send",       "Authenticate",     "Authorise", "Connect",     "Listen", "Associate", "Resolve",
    "Probe",    "StartRelay", "StartAssociation", "StartHttp", "StartProbes", "Close",  "Protect",
};
static_assert(action_names.size() < 16, "the trace keeps an action in four bits");
constexpr std::array<std::string_view, phase_count> phase_names{
    "opening", "protection", "greeting",      "login",      "encapsulation", "authentication",
    "request", "request4",   "authorisation", "performing", "waiting",       "over",
};

// The most that one Received may bring: so the bound on held octets is kept by asking in time.
constexpr std::size_t early_read_octets = 16 * limits::KiB;

// The reason why a conversation ended in the middle of a message, by the phase it was in.
constexpr Reason eof_reason(Phase phase) {
  if (phase <= Phase::greeting) return Reason::eof_greeting;
  return phase <= Phase::authentication ? Reason::eof_auth : Reason::eof_request;
}

constexpr wire::Method wire_method(AuthMethod method) {
  if (method == AuthMethod::gssapi) return wire::Method::gssapi;
  // Who has shown a certificate has nothing to say here.
  return judges_passwords(method) ? wire::Method::password : wire::Method::none;
}

TraceEntry trace_entry(Duration since_start, Phase phase, const Event& event, const Actions& actions) {
  TraceEntry entry;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count();
  entry.milliseconds = static_cast<std::uint32_t>(milliseconds);
  entry.phase = static_cast<std::uint8_t>(phase);
  entry.event = static_cast<std::uint8_t>(event.index());
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const std::size_t code = actions[i].index() + 1;
    entry.actions[i / 2] = static_cast<std::uint8_t>(entry.actions[i / 2] | (code << (i % 2 == 0 ? 0 : 4)));
  }
  return entry;
}

}  // namespace

std::string_view name(Phase phase) noexcept {
  return phase_names[static_cast<std::size_t>(phase)];
}
std::string_view name(Protocol protocol) noexcept {
  constexpr std::array<std::string_view, 4> names{"socks5", "socks4", "http", "transparent"};
  return names[static_cast<std::size_t>(protocol)];
}
std::string_view event_name(std::size_t index) noexcept {
  return event_names[index];
}
std::string_view action_name(std::size_t index) noexcept {
  return action_names[index];
}

// A password that was cut off, or an HTTP client's first head, may be among them.
ServerSession::~ServerSession() {
  if (rules_.auth.password_judge()) wipe(held_);
}

Actions ServerSession::begin() noexcept {
  Actions actions;
  actions.add(ReadMore{});
  return actions;
}

bool ServerSession::knows(Phase phase, const Event& event) noexcept {
  return SessionTable::find(phase, event.index()) != nullptr;
}

Actions ServerSession::handle(Duration since_start, const Event& event) {
  const SessionRow* const row = SessionTable::find(phase_, event.index());
  STILE_ASSERT(row != nullptr);
  const Phase before = phase_;
  Actions actions;
  (this->*row->handler)(event, actions);
  STILE_ASSERT(row->leads_to(phase_));
  trace_.add(trace_entry(since_start, before, event, actions));
  return actions;
}

// ── the first octet ─────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_opening(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  open(actions);
}

void ServerSession::open(Actions& actions) {
  const wire::Admitted admitted{.proxy_header = rules_.proxy_header && !proxied_,
                                .tls = rules_.tls,
                                .socks4 = rules_.socks4 && rules_.auth.admits_without_password(),
                                .socks5 = rules_.socks5,
                                .http = rules_.http};
  const auto result = wire::decode_first_octets(unread(), admitted);
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    return close_silently(malformed->reason, actions);
  }
  const auto* const first = std::get_if<wire::Parsed<wire::FirstProtocol>>(&result);
  if (first == nullptr) {
    actions.add(ReadMore{});
  } else if (first->value == wire::FirstProtocol::proxy_header) {
    parse_proxy_header(actions);
  } else if (first->value == wire::FirstProtocol::tls) {
    phase_ = Phase::protection;
    actions.add(Protect{Protect::By::tls, unread()});
    consume(unread().size());
  } else if (first->value == wire::FirstProtocol::socks4) {
    protocol_ = Protocol::socks4;
    identity_ = without_credentials();
    phase_ = Phase::request4;
    parse_request4(actions);
  } else if (first->value == wire::FirstProtocol::http) {
    protocol_ = Protocol::http;
    phase_ = Phase::over;
    actions.add(StartHttp{unread()});
  } else {
    protocol_ = Protocol::socks5;
    phase_ = Phase::greeting;
    parse_greeting(actions);
  }
}

void ServerSession::on_diverted(const Event& event, Actions& actions) {
  protocol_ = Protocol::transparent;
  identity_ = without_credentials();
  const Target& target = std::get<Diverted>(event).target;
  request_ = SessionRequest{.protocol = Protocol::transparent,
                            .command = wire::Command::connect,
                            .destination = {.host = target.host, .received_name = {}, .port = target.port},
                            .reserved = 0,
                            .claimed_user = {}};
  judge_request(actions);
}

// Only from a source that must send one; then everything is about the client that it names.
void ServerSession::parse_proxy_header(Actions& actions) {
  auto result = wire::decode_proxy_header(unread());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    return close_silently(malformed->reason, actions);
  }
  auto* const parsed = std::get_if<wire::Parsed<wire::ProxyHeader>>(&result);
  if (parsed == nullptr) {
    actions.add(ReadMore{});
    return;
  }
  consume(parsed->consumed);
  proxied_ = std::make_unique<const wire::ProxyHeader>(std::move(parsed->value));
  if (unread().empty()) {
    actions.add(ReadMore{});
  } else {
    open(actions);
  }
}

// Inside TLS there is no other TLS, and no PROXY header.
void ServerSession::on_protected(const Event& event, Actions& actions) {
  certified_ = std::get<Protected>(event).identity;
  rules_.tls = wire::TlsUse::off;
  phase_ = Phase::opening;
  actions.add(ReadMore{});
}

// The transform has said why, where the protocol has words for it.
void ServerSession::on_failed_protection(const Event& event, Actions& actions) {
  phase_ = Phase::over;
  actions.add(Close{std::get<Failed>(event).reason, Close::How::after_reply});
}

// ── greeting, RFC 1928 section 3 ────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_greeting(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  parse_greeting(actions);
}

void ServerSession::parse_greeting(Actions& actions) {
  const auto result = wire::decode_greeting(unread());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    return close_silently(malformed->reason, actions);
  }
  if (const auto* const greeting = std::get_if<wire::Parsed<wire::Greeting>>(&result)) {
    consume(greeting->consumed);
    return choose_method(greeting->value, actions);
  }
  actions.add(ReadMore{});
}

void ServerSession::choose_method(const wire::Greeting& greeting, Actions& actions) {
  // The listener's order decides (protocol reference, section 2.1).
  const auto offered = [&](AuthMethod method) { return greeting.offers(wire_method(method)); };
  const auto admitted = rules_.auth.in_order();
  const auto chosen = std::ranges::find_if(admitted, offered);
  const wire::Method method = chosen == admitted.end() ? wire::Method::no_acceptable : wire_method(*chosen);
  method_choice_ = wire::encode_method_choice(method);
  actions.add(Send{method_choice_});
  switch (method) {
    case wire::Method::none:
      phase_ = Phase::authentication;
      return actions.add(Authenticate{method, {}, nullptr});
    case wire::Method::password:
      phase_ = Phase::login;
      return parse_login(actions);  // it may have come right behind the greeting
    case wire::Method::gssapi:
      phase_ = Phase::encapsulation;
      actions.add(Protect{Protect::By::gssapi, unread()});
      return consume(unread().size());
    default:
      phase_ = Phase::over;
      return actions.add(Close{Reason::method_none, Close::How::after_reply});
  }
}

// ── login, RFC 1929 section 2 ───────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_login(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  parse_login(actions);
}

void ServerSession::parse_login(Actions& actions) {
  const auto result = wire::decode_credentials(unread());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    return close_silently(malformed->reason, actions);
  }
  const auto* const parsed = std::get_if<wire::Parsed<wire::Credentials>>(&result);
  if (parsed == nullptr) {
    actions.add(ReadMore{});
    return;
  }
  const wire::Credentials& credentials = parsed->value;
  const bool worth_asking = wire::can_be_asked(credentials);
  claimed_user_ = ClaimedUser{std::string(credentials.user)};
  if (worth_asking) password_ = Secret(credentials.password);
  wipe(MutableBytes(held_).subspan(consumed_, parsed->consumed));
  consume(parsed->consumed);
  phase_ = Phase::authentication;
  if (!worth_asking) return on_not_authenticated(Failed{Reason::auth_failed}, actions);
  actions.add(Authenticate{wire::Method::password, claimed_user_->name, &password_});
}

// "If the server returns a `failure' (STATUS value other than X'00') status, it MUST close the connection."
void ServerSession::on_not_authenticated(const Event& event, Actions& actions) {
  answer_login(false, actions);
  phase_ = Phase::over;
  actions.add(Close{std::get<Failed>(event).reason, Close::How::after_reply});
}

void ServerSession::answer_login(bool succeeded, Actions& actions) {
  password_.clear();
  if (!claimed_user_) return;  // nobody logged in: RFC 1929 has no part in the method "none"
  login_answer_ = wire::encode_credentials_answer(succeeded);
  actions.add(Send{login_answer_});
}

// ── GSSAPI, RFC 1961 ────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_encapsulated(const Event& event, Actions& actions) {
  const auto& by_ticket = std::get<Protected>(event);
  STILE_ASSERT(by_ticket.identity.has_value());
  identity_ = by_ticket.identity;
  hold(by_ticket.received);
  phase_ = Phase::request;
  parse_request(actions);
}

// ── authentication ──────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_authenticated(const Event& event, Actions& actions) {
  identity_ = std::get<Authenticated>(event).identity;
  answer_login(true, actions);
  phase_ = Phase::request;
  parse_request(actions);  // it may have come right behind the greeting
}

// ── request, RFC 1928 section 4 ─────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_request(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  parse_request(actions);
}

void ServerSession::parse_request(Actions& actions) {
  auto result = wire::decode_request(unread());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    consume(malformed->consumed);
    if (malformed->reason == Reason::request_version) return close_silently(malformed->reason, actions);
    return fail(malformed->reason, actions);
  }
  auto* const parsed = std::get_if<wire::Parsed<wire::Request>>(&result);
  if (parsed == nullptr) {
    actions.add(ReadMore{});
    return;
  }
  consume(parsed->consumed);
  request_ = SessionRequest{.protocol = Protocol::socks5,
                            .command = parsed->value.command,
                            .destination = std::move(parsed->value.destination),
                            .reserved = parsed->value.reserved,
                            .claimed_user = {}};
  judge_request(actions);
}

// ── request, the SOCKS4 and SOCKS4a notes ───────────────────────────────────────────────────────────────────────────

void ServerSession::on_request4(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  parse_request4(actions);
}

void ServerSession::parse_request4(Actions& actions) {
  auto result = wire::decode_socks4_request(unread());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    consume(malformed->consumed);
    return fail(malformed->reason, actions);
  }
  auto* const parsed = std::get_if<wire::Parsed<wire::Socks4Request>>(&result);
  if (parsed == nullptr) {
    actions.add(ReadMore{});
    return;
  }
  consume(parsed->consumed);
  request_ = SessionRequest{.protocol = Protocol::socks4,
                            .command = parsed->value.command,
                            .destination = std::move(parsed->value.destination),
                            .reserved = 0,
                            .claimed_user = std::move(parsed->value.user)};
  judge_request(actions);
}

// ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────────

bool ServerSession::performs(wire::Command command) const noexcept {
  switch (command) {
    case wire::Command::connect:
      return true;
    case wire::Command::bind:
      return rules_.bind;
    case wire::Command::udp_associate:
      return rules_.udp_associate;
    case wire::Command::resolve:
      return rules_.resolve;
    case wire::Command::resolve_ptr:
      return rules_.resolve_ptr;
    case wire::Command::ping:
      return rules_.ping;
    case wire::Command::traceroute:
      return rules_.traceroute;
  }
  return false;
}

// Rules that hold for every protocol, before policy (protocol reference, section 2.3).
void ServerSession::judge_request(Actions& actions) {
  if (!performs(request_->command)) return fail(Reason::command_unknown, actions);
  const wire::AddressField& destination = request_->destination;
  // BIND may leave the other end open: zeros, or an empty name. What UDP ASSOCIATE names is a mere claim, and some
  // clients put there what is nobody's address (PySocks: the name "0").
  const bool claims = request_->command == wire::Command::udp_associate;
  const bool may_be_open = claims || request_->command == wire::Command::bind;
  if (const auto target = destination.target()) {
    target_ = *target;
    has_target_ = !may_be_open || target->address() == nullptr || !target->address()->is_unspecified();
  } else if (!claims && !(may_be_open && destination.is_empty_name())) {
    return fail(wire::reason_of(destination.host.error()), actions);
  }
  switch (request_->command) {
    case wire::Command::connect:
      if (target_.port == 0) return fail(Reason::request_port, actions);
      return authorise(policy::Command::tcp, &target_, actions);
    case wire::Command::bind:
      return authorise(policy::Command::bind, target(), actions);
    case wire::Command::udp_associate:
      // Clients put anything there, the target included; where datagrams go is decided for each.
      return authorise(policy::Command::udp, nullptr, actions);
    case wire::Command::resolve:
      return authorise(policy::Command::resolve, &target_, actions);
    case wire::Command::resolve_ptr:
      if (target_.address() == nullptr) return fail(Reason::address_type_unknown, actions);
      return authorise(policy::Command::resolve, &target_, actions);
    case wire::Command::ping:
    case wire::Command::traceroute:
      return authorise(policy::Command::ping, &target_, actions);
  }
}

void ServerSession::authorise(policy::Command command, const Target* target, Actions& actions) {
  phase_ = Phase::authorisation;
  actions.add(Authorise{command, target});
}

void ServerSession::on_authorised(const Event& event, Actions& actions) {
  const Reason reason = std::get<Authorised>(event).reason;
  if (reason != Reason::none) return fail(reason, actions);
  phase_ = Phase::performing;
  switch (request_->command) {
    case wire::Command::bind:
      return actions.add(Listen{target()});
    case wire::Command::udp_associate:
      return actions.add(Associate{target()});
    case wire::Command::resolve:
      return actions.add(Resolve{&target_, false});
    case wire::Command::resolve_ptr:
      return actions.add(Resolve{&target_, true});
    case wire::Command::ping:
    case wire::Command::traceroute:
      return actions.add(Probe{&target_});
    default:
      return actions.add(Connect{&target_});
  }
}

// ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_granted(const Event& event, Actions& actions) {
  answer(Reason::none, std::get<Granted>(event).bound, actions);
  switch (request_->command) {
    case wire::Command::bind:
      phase_ = Phase::waiting;
      return actions.add(ReadMore{});  // its FIN cancels; what it sends is for the peer
    case wire::Command::udp_associate:
      phase_ = Phase::over;
      return actions.add(StartAssociation{});
    case wire::Command::resolve:
    case wire::Command::resolve_ptr:
      phase_ = Phase::over;
      return actions.add(Close{Reason::none, Close::How::after_reply});
    case wire::Command::ping:
    case wire::Command::traceroute:
      phase_ = Phase::over;
      return actions.add(StartProbes{!unread().empty()});
    default:
      return start_relay(actions);
  }
}

// BIND's second reply: the peer that came (RFC 1928 section 6).
void ServerSession::on_peer(const Event& event, Actions& actions) {
  answer(Reason::none, std::get<Granted>(event).bound, actions);
  start_relay(actions);
}

void ServerSession::on_early_octets(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  // At the bound nothing more is read: the rest waits in the client's socket.
  if (held_.size() + early_read_octets <= limits::input_before_relay_octets_max) actions.add(ReadMore{});
}

void ServerSession::start_relay(Actions& actions) {
  phase_ = Phase::over;
  actions.add(StartRelay{unread()});
}

void ServerSession::on_failed(const Event& event, Actions& actions) {
  fail(std::get<Failed>(event).reason, actions);
}

// ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_client_fin(const Event&, Actions& actions) {
  close_silently(phase_ == Phase::waiting ? Reason::fin_client : eof_reason(phase_), actions);
}

void ServerSession::on_client_failed(const Event&, Actions& actions) {
  close_silently(Reason::client_reset, actions);
}

void ServerSession::on_deadline(const Event&, Actions& actions) {
  const bool header_due = rules_.proxy_header && !proxied_;
  close_silently(header_due ? Reason::proxy_timeout : Reason::timeout_handshake, actions);
}

void ServerSession::fail(Reason reason, Actions& actions) {
  answer(reason, Target{}, actions);  // BND is 0.0.0.0:0 in every failure
  phase_ = Phase::over;
  actions.add(Close{reason, protocol_ == Protocol::transparent ? Close::How::silent : Close::How::after_reply});
}

void ServerSession::close_silently(Reason reason, Actions& actions) {
  phase_ = Phase::over;
  actions.add(Close{reason, Close::How::silent});
}

// One outcome, in the words of the protocol that asked.
void ServerSession::answer(Reason reason, const Target& bound, Actions& actions) {
  reply_ = reply_code(reason);
  if (reason == Reason::dial_timeout && rules_.timeout_is_ttl_expired) reply_ = ReplyCode::ttl_expired;
  if (protocol_ == Protocol::transparent) return;
  if (protocol_ == Protocol::socks4) {
    const Address* const address = bound.address();
    const auto octets =
        wire::encode_socks4_reply(wire::socks4_code(reason), {address == nullptr ? Address{} : *address, bound.port});
    reply_octets_.assign(octets.begin(), octets.end());
  } else {
    const auto encoded = wire::encode_reply(*reply_, bound);
    reply_octets_.assign(encoded.octets().begin(), encoded.octets().end());
  }
  actions.add(Send{reply_octets_});
}

// ── octets held ─────────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::hold(ConstBytes octets) {
  for (std::size_t i = 0; i < octets.size() && first_octets_size_ < first_octets_.size(); ++i) {
    first_octets_[first_octets_size_++] = octets[i];
  }
  octets_received_ += octets.size();
  grow(octets.size());
  held_.insert(held_.end(), octets.begin(), octets.end());
  STILE_ASSERT(held_.size() <= limits::input_before_relay_octets_max);
}

// What a vector leaves behind as it grows may be a password.
void ServerSession::grow(std::size_t octets) {
  if (held_.capacity() - held_.size() >= octets || !reads_secrets()) return;
  std::vector<std::uint8_t> larger;
  larger.reserve(std::max(held_.size() + octets, 2 * held_.capacity()));
  larger.assign(held_.begin(), held_.end());
  wipe(held_);
  held_ = std::move(larger);
}

void ServerSession::consume(std::size_t octets) noexcept {
  consumed_ += octets;
  STILE_ASSERT(consumed_ <= held_.size());
}

}  // namespace stile::session
