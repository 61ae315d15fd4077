#include "session/client_session.h"

#include <cstring>
#include <utility>

#include "session/client_table.h"
#include "wire/proxy_command.h"

namespace stile::session {
namespace {

constexpr std::array<std::string_view, client_phase_count> phase_names{"opening", "method", "login",
                                                                       "reply",   "peer",   "over"};

constexpr std::size_t answer_octets = 2;  // of a method choice, and of the answer to a login

constexpr Awaited awaited_in(ClientPhase phase) {
  switch (phase) {
    case ClientPhase::login:
      return Awaited::login;
    case ClientPhase::reply:
      return Awaited::reply;
    case ClientPhase::peer:
      return Awaited::peer;
    default:
      return Awaited::method;
  }
}

}  // namespace

std::string_view name(ClientPhase phase) noexcept {
  return phase_names[static_cast<std::size_t>(phase)];
}

ClientSession::ClientSession(const ProxyRequest& request) noexcept : request_(request) {
  STILE_ASSERT(request.user.size() <= limits::socks4_user_octets_max && request.password.size() <= 255);
  STILE_ASSERT(request.protocol != wire::ProxyProtocol::proxy_protocol);  // which has no conversation
  STILE_ASSERT(!request.pipelined || (request.protocol == wire::ProxyProtocol::socks5 && !request.by_ticket));
  STILE_ASSERT(request.protocol != wire::ProxyProtocol::socks4 || request.user.find('\0') == std::string_view::npos);
}

ClientSession::~ClientSession() {
  ::explicit_bzero(sent_.data(), sent_.size());
}

bool ClientSession::knows(ClientPhase phase, const Event& event) noexcept {
  return ClientTable::find(phase, event.index()) != nullptr;
}

ClientSession::Actions ClientSession::handle(const Event& event) {
  const ClientRow* const row = ClientTable::find(phase_, event.index());
  STILE_ASSERT(row != nullptr);
  ::explicit_bzero(sent_.data(), sent_.size());
  Actions actions;
  (this->*row->handler)(event, actions);
  STILE_ASSERT(row->leads_to(phase_));
  return actions;
}

// ── greeting, RFC 1928 section 3 ────────────────────────────────────────────────────────────────────────────────────

void ClientSession::on_connected(const Event&, Actions& actions) {
  if (!wire::has_command(request_.protocol, request_.command)) return fail(ProxyFault::no_such_command, 0, actions);
  if (request_.protocol != wire::ProxyProtocol::socks5) return send_request(actions);
  request_.pipelined ? send_all(actions) : send_greeting(actions);
}

void ClientSession::send_greeting(Actions& actions) {
  constexpr std::array methods{wire::Method::gssapi, wire::Method::none, wire::Method::password};
  const auto offered =
      request_.by_ticket ? std::span(methods).first(1) : std::span(methods).subspan(1, offers_login() ? 2 : 1);
  const auto greeting = wire::encode_greeting(offered);
  send(greeting.octets(), actions);
  await(ClientPhase::method, answer_octets, actions);
}

// The one method that there is no other choice than to take, so that what follows fits whatever is answered.
void ClientSession::send_all(Actions& actions) {
  ByteWriter writer(sent_);
  const std::array method{offers_login() ? wire::Method::password : wire::Method::none};
  writer.append(wire::encode_greeting(method).octets());
  if (offers_login()) wire::encode_credentials(writer, {.user = request_.user, .password = request_.password});
  writer.append(wire::encode_request(request_.command, request_.target, request_.flags).octets());
  STILE_ASSERT(!writer.overflowed());
  actions.add(Send{writer.written()});
  await(ClientPhase::method, answer_octets, actions);
}

void ClientSession::on_method(const Event& event, Actions& actions) {
  hold(event);
  const auto result = wire::decode_method_choice(held());
  if (std::holds_alternative<wire::Malformed>(result)) return fail(ProxyFault::not_socks, held_[0], actions);
  const auto* const choice = std::get_if<wire::Parsed<wire::MethodChoice>>(&result);
  if (choice == nullptr) return read(answer_octets - held_size_, actions);
  switch (const wire::Method method = choice->value.method; method) {
    case wire::Method::no_acceptable:
      // "the client MUST close the connection"
      return fail(ProxyFault::no_method, 0xFF, actions);
    default:
      if (method == wire::Method::none && !request_.by_ticket && !(request_.pipelined && offers_login())) {
        return send_request(actions);
      }
      if (method == wire::Method::password && !request_.by_ticket && offers_login()) return send_login(actions);
      if (method == wire::Method::gssapi && request_.by_ticket) {
        actions.add(Protect{});
        return send_request(actions);
      }
      return fail(ProxyFault::method_not_offered, static_cast<std::uint8_t>(method), actions);
  }
}

// ── login, RFC 1929 ─────────────────────────────────────────────────────────────────────────────────────────────────

void ClientSession::send_login(Actions& actions) {
  if (request_.pipelined) return await(ClientPhase::login, answer_octets, actions);
  ByteWriter writer(sent_);
  wire::encode_credentials(writer, {.user = request_.user, .password = request_.password});
  actions.add(Send{writer.written()});
  await(ClientPhase::login, answer_octets, actions);
}

void ClientSession::on_login(const Event& event, Actions& actions) {
  hold(event);
  const auto result = wire::decode_credentials_answer(held());
  if (std::holds_alternative<wire::Malformed>(result)) return fail(ProxyFault::not_socks, held_[0], actions);
  const auto* const answer = std::get_if<wire::Parsed<wire::CredentialsAnswer>>(&result);
  if (answer == nullptr) return read(answer_octets - held_size_, actions);
  if (!answer->value.succeeded()) return fail(ProxyFault::login_refused, answer->value.status, actions);
  send_request(actions);
}

// ── request and reply, RFC 1928 sections 4 and 6, the SOCKS4 and SOCKS4a notes ──────────────────────────────────────

void ClientSession::send_request(Actions& actions) {
  if (request_.protocol == wire::ProxyProtocol::socks4) {
    send(wire::encode_socks4_request(request_.command, request_.target, request_.user).octets(), actions);
    return await(ClientPhase::reply, wire::socks4_reply_octets, actions);
  }
  if (request_.protocol == wire::ProxyProtocol::http) {
    const wire::Credentials none;
    const wire::Credentials login{.user = request_.user, .password = request_.password};
    send(wire::encode_http_connect(request_.target, offers_login() ? login : none).octets(), actions);
    return await(ClientPhase::reply, http_answer_.missing(), actions);
  }
  if (!request_.pipelined) {
    send(wire::encode_request(request_.command, request_.target, request_.flags).octets(), actions);
  }
  await(ClientPhase::reply, wire::reply_octets_missing({}), actions);
}

void ClientSession::on_reply(const Event& event, Actions& actions) {
  if (request_.protocol == wire::ProxyProtocol::http) return on_http_answer(event, actions);
  hold(event);
  if (request_.protocol == wire::ProxyProtocol::socks4) {
    parse_reply4(actions);
  } else {
    parse_reply5(actions);
  }
}

/// RFC 9110 section 9.3.6: any 2xx opens the tunnel. A refusal is known from its status, whatever follows.
void ClientSession::on_http_answer(const Event& event, Actions& actions) {
  const ConstBytes octets = std::get<Received>(event).octets;
  STILE_ASSERT(!octets.empty() && octets.size() <= wanted_);
  http_answer_.take(octets);
  const std::optional<std::uint16_t> status = http_answer_.status();
  if (status && *status / 100 != 2) return fail(ProxyFault::refused, *status, actions);
  if (const auto wrong = http_answer_.malformed()) return fail(ProxyFault::not_socks, *wrong, actions);
  if (const std::size_t missing = http_answer_.missing(); missing > 0) return read(missing, actions);
  granted({}, actions);
}

void ClientSession::parse_reply5(Actions& actions) {
  auto result = wire::decode_reply(held());
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
    if (malformed->reason != Reason::address_type_unknown) return fail(ProxyFault::not_socks, held_[0], actions);
    // Some servers fail with zeros throughout: the code counts then.
    if (held_[1] != 0) return fail(ProxyFault::refused, held_[1], actions);
    return fail(ProxyFault::address_type, held_[3], actions);
  }
  auto* const parsed = std::get_if<wire::Parsed<wire::Reply>>(&result);
  if (parsed == nullptr) return read(wire::reply_octets_missing(held()), actions);
  const ReplyCode code = parsed->value.code;
  if (code != ReplyCode::succeeded) return fail(ProxyFault::refused, static_cast<std::uint8_t>(code), actions);
  granted(std::move(parsed->value.bound), actions);
}

void ClientSession::parse_reply4(Actions& actions) {
  const auto result = wire::decode_socks4_reply(held());
  if (std::holds_alternative<wire::Malformed>(result)) return fail(ProxyFault::not_socks, held_[0], actions);
  const auto* const parsed = std::get_if<wire::Parsed<wire::Socks4Reply>>(&result);
  if (parsed == nullptr) return read(wire::socks4_reply_octets - held_size_, actions);
  const wire::Socks4Code code = parsed->value.code;
  if (code != wire::Socks4Code::granted) return fail(ProxyFault::refused, static_cast<std::uint8_t>(code), actions);
  granted({.type = wire::AddressType::ipv4,
           .host = parsed->value.bound.address,
           .received_name = {},
           .port = parsed->value.bound.port},
          actions);
}

void ClientSession::granted(wire::AddressField bound, Actions& actions) {
  bound_ = std::move(bound);
  if (request_.command != wire::Command::bind || phase_ == ClientPhase::peer) {
    phase_ = ClientPhase::over;
    return actions.add(Finish{});
  }
  actions.add(AwaitPeer{});
  const bool socks4 = request_.protocol == wire::ProxyProtocol::socks4;
  await(ClientPhase::peer, socks4 ? wire::socks4_reply_octets : wire::reply_octets_missing({}), actions);
}

// ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

void ClientSession::on_fin(const Event&, Actions& actions) {
  // A proxy that cuts its refusal short has still said why.
  const bool in_reply = phase_ == ClientPhase::reply || phase_ == ClientPhase::peer;
  if (in_reply && request_.protocol == wire::ProxyProtocol::socks5 && held_size_ >= 2 && held_[1] != 0) {
    return fail(ProxyFault::refused, held_[1], actions);
  }
  fail(ProxyFault::closed, 0, actions);
}

void ClientSession::on_lost(const Event&, Actions& actions) {
  fail(ProxyFault::lost, 0, actions);
}

void ClientSession::on_deadline(const Event&, Actions& actions) {
  fail(ProxyFault::timed_out, 0, actions);
}

void ClientSession::fail(ProxyFault fault, std::uint16_t code, Actions& actions) noexcept {
  failure_ = {.fault = fault,
              .awaited = awaited_in(phase_),
              .code = code,
              .protocol = request_.protocol,
              .command = request_.command,
              .login_offered = request_.protocol != wire::ProxyProtocol::socks4 && offers_login()};
  phase_ = ClientPhase::over;
  actions.add(Fail{});
}

// ── octets ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void ClientSession::send(ConstBytes octets, Actions& actions) {
  ByteWriter writer(sent_);
  writer.append(octets);
  STILE_ASSERT(!writer.overflowed());
  actions.add(Send{writer.written()});
}

void ClientSession::hold(const Event& event) noexcept {
  const ConstBytes octets = std::get<Received>(event).octets;
  STILE_ASSERT(!octets.empty() && octets.size() <= wanted_ && octets.size() <= held_.size() - held_size_);
  for (const std::uint8_t octet : octets) held_[held_size_++] = octet;
}

void ClientSession::read(std::size_t octets_max, Actions& actions) noexcept {
  STILE_ASSERT(octets_max > 0);
  wanted_ = octets_max;
  actions.add(Read{octets_max});
}

/// The next message begins: `octets` of it at least are certain to come.
void ClientSession::await(ClientPhase phase, std::size_t octets, Actions& actions) noexcept {
  phase_ = phase;
  held_size_ = 0;
  read(octets, actions);
}

}  // namespace stile::session
