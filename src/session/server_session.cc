#include "session/server_session.h"

#include <algorithm>
#include <utility>

#include "session/session_table.h"

namespace stile::session {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<Event>> event_names{
    "Received",      "ClientFin",  "ClientFailed", "DeadlinePassed",
    "Authenticated", "Authorised", "Connected",    "ConnectFailed",
};
constexpr std::array<std::string_view, std::variant_size_v<Action>> action_names{
    "ReadMore", "Send", "Authenticate", "Authorise", "Connect", "StartRelay", "Close",
};
constexpr std::array<std::string_view, phase_count> phase_names{
    "greeting", "authentication", "request", "authorisation", "connecting", "over",
};

// The reason why a conversation ended in the middle of a message, by the phase it was in.
constexpr Reason eof_reason(Phase phase) {
  if (phase == Phase::greeting) return Reason::eof_greeting;
  return phase == Phase::authentication ? Reason::eof_auth : Reason::eof_request;
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
std::string_view event_name(std::size_t index) noexcept {
  return event_names[index];
}
std::string_view action_name(std::size_t index) noexcept {
  return action_names[index];
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

// ── greeting, RFC 1928 section 3 ────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_greeting(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  const auto result = wire::decode_greeting(ConstBytes(held_));
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
  const bool none = rules_.allow_none && greeting.offers(wire::Method::none);
  const wire::Method method = none ? wire::Method::none : wire::Method::no_acceptable;
  method_choice_ = wire::encode_method_choice(method);
  actions.add(Send{method_choice_});
  if (!none) {
    phase_ = Phase::over;
    actions.add(Close{Reason::method_none, Close::How::after_reply});
    return;
  }
  phase_ = Phase::authentication;
  actions.add(Authenticate{method});
}

// ── authentication ──────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_authenticated(const Event& event, Actions& actions) {
  identity_ = std::get<Authenticated>(event).identity;
  phase_ = Phase::request;
  parse_request(actions);  // it may have come right behind the greeting
}

// ── request, RFC 1928 section 4 ─────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_request(const Event& event, Actions& actions) {
  hold(std::get<Received>(event).octets);
  parse_request(actions);
}

void ServerSession::parse_request(Actions& actions) {
  auto result = wire::decode_request(ConstBytes(held_).subspan(consumed_));
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
  request_ = std::move(parsed->value);
  // The other commands of RFC 1928 are not spoken by this build: "command not supported" is the truth.
  if (request_->command != wire::Command::connect) return fail(Reason::command_unknown, actions);
  const auto target = request_->destination.target();
  if (!target) return fail(wire::reason_of(request_->destination.host.error()), actions);
  if (target->port == 0) return fail(Reason::request_port, actions);
  target_ = *target;
  phase_ = Phase::authorisation;
  actions.add(Authorise{policy::Command::tcp, &target_});
}

// ── authorisation and connecting ────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_authorised(const Event& event, Actions& actions) {
  const Reason reason = std::get<Authorised>(event).reason;
  if (reason != Reason::none) return fail(reason, actions);
  phase_ = Phase::connecting;
  actions.add(Connect{&target_});
}

void ServerSession::on_connected(const Event& event, Actions& actions) {
  send_reply(ReplyCode::succeeded, std::get<Connected>(event).local, actions);
  phase_ = Phase::over;
  actions.add(StartRelay{ConstBytes(held_).subspan(consumed_)});
}

void ServerSession::on_connect_failed(const Event& event, Actions& actions) {
  fail(std::get<ConnectFailed>(event).reason, actions);
}

// ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::on_client_fin(const Event&, Actions& actions) {
  close_silently(eof_reason(phase_), actions);
}

void ServerSession::on_client_failed(const Event&, Actions& actions) {
  close_silently(Reason::client_reset, actions);
}

void ServerSession::on_deadline(const Event&, Actions& actions) {
  close_silently(Reason::timeout_handshake, actions);
}

void ServerSession::fail(Reason reason, Actions& actions) {
  send_reply(reply_code(reason), Endpoint{}, actions);  // BND is 0.0.0.0:0 in every failure
  phase_ = Phase::over;
  actions.add(Close{reason, Close::How::after_reply});
}

void ServerSession::close_silently(Reason reason, Actions& actions) {
  phase_ = Phase::over;
  actions.add(Close{reason, Close::How::silent});
}

void ServerSession::send_reply(ReplyCode code, const Endpoint& bound, Actions& actions) {
  reply_ = code;
  const auto encoded = wire::encode_reply(code, Target{bound.address, bound.port});
  const ConstBytes octets = encoded.octets();
  STILE_ASSERT(octets.size() <= reply_octets_.size());
  std::ranges::copy(octets, reply_octets_.begin());
  actions.add(Send{ConstBytes(reply_octets_).first(octets.size())});
}

// ── octets held ─────────────────────────────────────────────────────────────────────────────────────────────────────

void ServerSession::hold(ConstBytes octets) {
  for (std::size_t i = 0; i < octets.size() && first_octets_size_ < first_octets_.size(); ++i) {
    first_octets_[first_octets_size_++] = octets[i];
  }
  octets_received_ += octets.size();
  held_.insert(held_.end(), octets.begin(), octets.end());
  STILE_ASSERT(held_.size() <= limits::input_before_relay_octets_max);
}

void ServerSession::consume(std::size_t octets) noexcept {
  consumed_ += octets;
  STILE_ASSERT(consumed_ <= held_.size());
}

}  // namespace stile::session
