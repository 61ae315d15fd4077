// The client's half of one conversation with a proxy, as a pure state machine: it is told everything (events) and asks
// for everything (actions). It never blocks, reads no clock and holds octets, not sockets. RFC 1928, RFC 1929, the
// SOCKS4 and SOCKS4A notes, Tor's and NEC's commands, HTTP's CONNECT; the protocol reference, sections 2, 4, 6, 9
// and 10.
//
// It asks for no octet behind the proxy's last reply, so that the stream which follows stays in the socket for whoever
// gets it; any split of the proxy's octets gives the same actions. A driver (route/chain.h) performs the
// actions in order and feeds what comes of them back as events.
// A request that is `pipelined` saves two round trips: greeting, login and request leave together, for a proxy that is
// known to read them one by one; what it answers is judged as ever.
// Refuses: a method that it did not offer (threat TA9); to send anything behind the request before the reply.
// Threading: one session belongs to one thread. Tested in client_session_test.cc, its table in client_table_test.cc,
// fuzzed as sequences of events in client_session_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/address.h"
#include "base/bytes.h"
#include "session/proxy_failure.h"
#include "wire/address_field.h"
#include "wire/http_connect.h"
#include "wire/proxy_url.h"
#include "wire/socks4.h"
#include "wire/socks5.h"
#include "wire/userpass.h"

namespace stile::session {

/// What to ask a proxy for, and as whom. The views live as long as the session.
struct ProxyRequest {
  wire::ProxyProtocol protocol = wire::ProxyProtocol::socks5;
  wire::Command command = wire::Command::connect;
  Target target;
  std::uint8_t flags = 0;          // SOCKS5 RSV: 0 but for PING and TRACEROUTE
  bool by_ticket = false;          // SOCKS5: GSSAPI is offered, and nothing else
  bool pipelined = false;          // SOCKS5 without a ticket: one method is offered, and all is said at once
  std::string_view user = {};      // at most 255 octets; SOCKS4: without NUL; HTTP: without a colon
  std::string_view password = {};  // at most 255 octets; SOCKS5 and HTTP offer a login where both are not empty
};

/// In protocol order.
enum class ClientPhase : std::uint8_t {
  opening,  // the connection to the proxy does not stand yet
  method,   // SOCKS5: awaiting the chosen method
  login,    // SOCKS5: awaiting the answer to user and password
  reply,    // awaiting the (first) reply
  peer,     // BIND: awaiting the second one
  over,     // Finish or Fail was asked for
};
inline constexpr std::size_t client_phase_count = static_cast<std::size_t>(ClientPhase::over) + 1;

[[nodiscard]] std::string_view name(ClientPhase phase) noexcept;

class ClientSession {
 public:
  // ── what it is told ───────────────────────────────────────────────────────────────────────────────────────────
  /// The connection to the proxy stands.
  struct Connected {};
  /// Octets from the proxy: at least one, and no more than Read asked for (asserted). Copied.
  struct Received {
    ConstBytes octets;
  };
  struct ProxyFin {};
  /// The proxy's RST or a socket error.
  struct ProxyLost {};
  /// The caller's patience is at its end.
  struct DeadlinePassed {};
  using Event = std::variant<Connected, Received, ProxyFin, ProxyLost, DeadlinePassed>;

  // ── what it asks for ──────────────────────────────────────────────────────────────────────────────────────────
  /// Send these octets, all of them. Valid until the next event; a login is wiped then.
  struct Send {
    ConstBytes octets;
  };
  /// Receive at least one octet and at most this many; tell with Received, ProxyFin or ProxyLost.
  struct Read {
    std::size_t octets_max;
  };
  /// GSSAPI is agreed (RFC 1961): put it beneath the conversation, before anything else is sent or received.
  struct Protect {};
  /// BIND: the proxy listens at `bound()`; go on with what comes next.
  struct AwaitPeer {};
  /// What was asked for is granted; `bound()` tells more, and the stream from here on is the caller's.
  struct Finish {};
  /// `failure()` tells why not.
  struct Fail {};
  using Action = std::variant<Send, Read, AwaitPeer, Finish, Fail, Protect>;

  /// A few actions, to be performed front to back.
  class Actions {
   public:
    void add(const Action& action) noexcept {
      STILE_ASSERT(count_ < actions_.size());
      actions_[count_++] = action;
    }
    [[nodiscard]] const Action* begin() const noexcept { return actions_.data(); }
    [[nodiscard]] const Action* end() const noexcept { return actions_.data() + count_; }

   private:
    std::array<Action, 3> actions_{};
    std::size_t count_ = 0;
  };

  /// Bounds of `request` as above (asserted).
  explicit ClientSession(const ProxyRequest& request) noexcept;
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  /// `event` must be one that the phase knows (see the table): asserted.
  [[nodiscard]] Actions handle(const Event& event);

  [[nodiscard]] ClientPhase phase() const noexcept { return phase_; }
  [[nodiscard]] static bool knows(ClientPhase phase, const Event& event) noexcept;

  /// BND of the last reply: at AwaitPeer, where peers can connect; at Finish, by command: CONNECT, the proxy's outgoing
  /// address (HTTP tells none); BIND, the peer; UDP ASSOCIATE, where to send; RESOLVE, what was found. A name is kept
  /// as it came.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return bound_; }
  /// At Fail.
  [[nodiscard]] const ProxyFailure& failure() const noexcept { return failure_; }

 private:
  friend struct ClientTable;

  // One function a phase, in protocol order; then the ends.
  void on_connected(const Event& event, Actions& actions);
  void on_method(const Event& event, Actions& actions);
  void on_login(const Event& event, Actions& actions);
  void on_reply(const Event& event, Actions& actions);
  void on_fin(const Event& event, Actions& actions);
  void on_lost(const Event& event, Actions& actions);
  void on_deadline(const Event& event, Actions& actions);

  [[nodiscard]] bool offers_login() const noexcept { return !request_.user.empty() && !request_.password.empty(); }
  void send_greeting(Actions& actions);
  void send_login(Actions& actions);
  void send_request(Actions& actions);
  void send_all(Actions& actions);
  void on_http_answer(const Event& event, Actions& actions);
  void parse_reply5(Actions& actions);
  void parse_reply4(Actions& actions);
  void granted(wire::AddressField bound, Actions& actions);
  void send(ConstBytes octets, Actions& actions);
  void hold(const Event& event) noexcept;
  void read(std::size_t octets_max, Actions& actions) noexcept;
  void await(ClientPhase phase, std::size_t octets, Actions& actions) noexcept;
  void fail(ProxyFault fault, std::uint16_t code, Actions& actions) noexcept;
  [[nodiscard]] ConstBytes held() const noexcept { return ConstBytes(held_).first(held_size_); }

  static constexpr std::size_t sent_octets_max = wire::http_connect_octets_max;
  static_assert(sent_octets_max >= wire::credentials_octets_max && sent_octets_max >= wire::request_octets_max);
  static_assert(sent_octets_max >= wire::socks4_request_octets_max);
  static_assert(sent_octets_max >= 3 + wire::credentials_octets_max + wire::request_octets_max);

  ProxyRequest request_;
  ClientPhase phase_ = ClientPhase::opening;
  std::size_t wanted_ = 0;                                   // octets that the last Read asked for
  std::array<std::uint8_t, wire::reply_octets_max> held_{};  // of the message that is awaited
  std::size_t held_size_ = 0;
  wire::HttpConnectAnswer http_answer_;
  std::array<std::uint8_t, sent_octets_max> sent_{};
  wire::AddressField bound_;
  ProxyFailure failure_;
};

/// The phase × event table as a Mermaid state diagram; ARCHITECTURE.md shows it, and a test compares the two.
[[nodiscard]] std::string client_diagram();

}  // namespace stile::session
