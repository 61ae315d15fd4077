// One client's conversation up to the relay, as a pure state machine: it is told everything (events) and asks for
// everything (actions). It never blocks, reads no clock, and keeps octets, not sockets. Any split of the client's
// octets gives the same actions. RFC 1928; the protocol reference, sections 2 and 3.1. A driver (server/connection.h)
// performs the actions in order and feeds what comes of them back as events. Threading: one session belongs to one
// thread. Tested in server_session_test.cc, its table in session_table_test.cc, fuzzed as sequences of events in
// server_session_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/auth_methods.h"
#include "base/bytes.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/secret.h"
#include "base/time.h"
#include "policy/policy.h"
#include "session/trace.h"
#include "wire/first_octets.h"
#include "wire/proxy_protocol.h"
#include "wire/socks4.h"
#include "wire/socks5.h"

namespace stile::session {

// ── what a session is told ──────────────────────────────────────────────────────────────────────────────────────────

/// Octets from the client, after ReadMore asked for them. Copied where they must be kept.
struct Received {
  ConstBytes octets;
};
/// The client's FIN: nothing more will come.
struct ClientFin {};
/// The client's RST or a socket error.
struct ClientFailed {};
/// The handshake's absolute deadline passed.
struct DeadlinePassed {};
/// The client's stream is protected from here on, or by GSSAPI's lowest level it is not. `identity`: whom the client's
/// certificate names; by GSSAPI, who it is (then it is there). `received`: plain octets that came behind.
struct Protected {
  std::optional<Identity> identity;
  ConstBytes received = {};
};
/// The provider, or the listener that names "none", accepted the client.
struct Authenticated {
  Identity identity;
};
/// The policy's answer to Authorise. Reason::none: allowed, or undecided until the name is resolved.
struct Authorised {
  Reason reason;
};
/// What was asked for came about: CONNECT, the outgoing socket's own address; BIND, where peers can connect, then the
/// peer that did; UDP ASSOCIATE, where to send datagrams; RESOLVE, what was found; PING, whence probes go.
struct Granted {
  Target bound;
};
/// It did not, or no candidate address was allowed; after Authenticate, the client is not whom it says it is; after
/// Protect, the handshake failed.
struct Failed {
  Reason reason;
};

/// In place of all octets: the kernel diverted the client's connection to us, and this is where it was to go. The
/// client knows of no proxy, so that nothing is read from it and nothing said to it.
struct Diverted {
  Target target;
};

using Event = std::variant<Received, ClientFin, ClientFailed, DeadlinePassed, Authenticated, Authorised, Granted,
                           Failed, Protected, Diverted>;

// ── what a session asks for ─────────────────────────────────────────────────────────────────────────────────────────

/// Read from the client, and tell what came with Received, ClientFin or ClientFailed. Without it, do not read.
struct ReadMore {};
/// Send these octets to the client, in order. Valid until the next event.
struct Send {
  ConstBytes octets;
};
/// Find out who the client is by the method that was agreed; answer with Authenticated or Failed. The credentials of
/// `password` can be asked about (wire::can_be_asked) and are valid until the next event.
struct Authenticate {
  wire::Method method;
  std::string_view user;
  const Secret* password;  // nullptr for the method "none"
};
/// Ask the policy; answer with Authorised. The request is complete: the handshake's deadline ends here.
struct Authorise {
  policy::Command command;
  const Target* target;  // valid as long as the session; nullptr: whoever comes (BIND), wherever it goes (UDP)
};
/// Resolve, decide every candidate address, dial the allowed ones; answer with Granted or Failed.
struct Connect {
  const Target* target;
};
/// Listen for one peer; answer with Granted (where) or Failed, then once more: Granted (who came) or Failed.
struct Listen {
  const Target* expected;  // nullptr: whoever the policy admits
};
/// Open a relay for datagrams; answer with Granted (where to send them) or Failed.
struct Associate {
  const Target* claimed;  // where the client says it sends from; nullptr: it does not say
};
/// Find the addresses of a name, or the name of an address; answer with Granted or Failed.
struct Resolve {
  const Target* target;
  bool reverse;
};
/// Make ready to send echo requests to the target (PING) or along the way there (TRACEROUTE); answer with Granted (this
/// host's address towards it) or Failed.
struct Probe {
  const Target* target;
};
/// Hand both sockets to the relay; `early` goes to the target first. The session is over. Valid until the next event.
struct StartRelay {
  ConstBytes early;
};
/// The client's connection now only tells how long the association lives. The session is over.
struct StartAssociation {};
/// The client speaks HTTP: hand its socket, and what came from it, to an HttpExchange. The session is over. Valid until
/// the next event.
struct StartHttp {
  ConstBytes octets;
};
/// Begin probing, and write what comes of it to the client until it sends an octet or its FIN. The session is over.
struct StartProbes {
  bool end_asked;  // the octet is there already
};
/// The client speaks TLS, or RFC 1961 because GSSAPI was agreed: put it beneath the session; answer with Protected or
/// Failed. `received` is what came of it. Valid until the next event, which brings plain octets only.
struct Protect {
  enum class By : std::uint8_t { tls, gssapi };
  By by;
  ConstBytes received;
};
/// End the connection. The session is over.
struct Close {
  enum class How : std::uint8_t {
    silent,       // close without a word
    after_reply,  // FIN behind what was sent, discard what still comes for a while, close
  };
  Reason reason;
  How how;
};

using Action = std::variant<ReadMore, Send, Authenticate, Authorise, Connect, Listen, Associate, Resolve, Probe,
                            StartRelay, StartAssociation, StartHttp, StartProbes, Close, Protect>;

/// A few actions, to be performed front to back.
class Actions {
 public:
  static constexpr std::size_t count_max = 4;
  void add(const Action& action) noexcept {
    STILE_ASSERT(count_ < count_max);
    actions_[count_++] = action;
  }
  [[nodiscard]] const Action* begin() const noexcept { return actions_.data(); }
  [[nodiscard]] const Action* end() const noexcept { return actions_.data() + count_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] const Action& operator[](std::size_t index) const noexcept { return actions_[index]; }

 private:
  std::array<Action, count_max> actions_{};
  std::size_t count_ = 0;
};

// ── the machine ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// In protocol order.
enum class Phase : std::uint8_t {
  opening,         // awaiting the first octet, which tells the protocol
  protection,      // awaiting the end of the TLS handshake
  greeting,        // SOCKS5: awaiting the client's methods
  login,           // SOCKS5: the method is "password"; awaiting user and password
  encapsulation,   // SOCKS5: the method is "GSSAPI"; awaiting its context and level
  authentication,  // the method is chosen; awaiting the provider
  request,         // SOCKS5: awaiting the client's request
  request4,        // SOCKS4: awaiting the client's request
  authorisation,   // awaiting the policy
  performing,      // awaiting what was asked for
  waiting,         // BIND: awaiting the peer
  over,            // StartRelay, StartAssociation, StartHttp, StartProbes or Close was asked for
};
inline constexpr std::size_t phase_count = static_cast<std::size_t>(Phase::over) + 1;

[[nodiscard]] std::string_view name(Phase phase) noexcept;
/// Of the event or action with this index in its variant.
[[nodiscard]] std::string_view event_name(std::size_t index) noexcept;
[[nodiscard]] std::string_view action_name(std::size_t index) noexcept;

/// The protocols that share a port, told apart by the first octet; and no protocol at all, of clients that the kernel
/// diverted to us.
enum class Protocol : std::uint8_t { socks5, socks4, http, transparent };

[[nodiscard]] std::string_view name(Protocol protocol) noexcept;

/// What a listener admits and the driver performs. A command that is off is answered "command not supported".
struct SessionRules {
  AuthMethods auth{AuthMethod::none};
  bool socks5 = true;
  bool socks4 = true;  // whose user id proves nothing: off all the same where authentication is required
  bool http = true;
  wire::TlsUse tls = wire::TlsUse::off;
  bool proxy_header = false;                  // this source begins with a PROXY header
  bool timeout_is_ttl_expired = false;        // what a SOCKS5 client is told where nothing answered in time
  Identity presumed = Identity::anonymous();  // who clients are that show no credentials: a local socket's user
  bool bind = true;
  bool udp_associate = true;
  bool resolve = true;
  bool resolve_ptr = true;
  bool ping = true;
  bool traceroute = true;
};

/// A request, in whichever protocol it came.
struct SessionRequest {
  Protocol protocol = Protocol::socks5;
  wire::Command command = wire::Command::connect;
  wire::AddressField destination;
  std::uint8_t reserved = 0;  // SOCKS5 RSV as sent
  std::string claimed_user;   // SOCKS4 USERID: a claim, never proof
};

class ServerSession {
 public:
  explicit ServerSession(const SessionRules& rules) : rules_(rules) {}
  ServerSession(ServerSession&&) = default;
  ServerSession& operator=(ServerSession&&) = delete;
  ~ServerSession();

  /// The first action of every conversation; no event precedes it. What begins with Diverted has none.
  [[nodiscard]] static Actions begin() noexcept;

  /// `event` must be one that the phase knows (see the table): asserted.
  [[nodiscard]] Actions handle(Duration since_start, const Event& event);

  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  /// True where the table has a row for this phase and kind of event.
  [[nodiscard]] static bool knows(Phase phase, const Event& event) noexcept;

  // For the record.
  [[nodiscard]] const TraceRing& trace() const noexcept { return trace_; }
  /// The request as it was read; absent before it was complete.
  [[nodiscard]] const std::optional<SessionRequest>& request() const noexcept { return request_; }
  /// Absent before the first octet.
  [[nodiscard]] std::optional<Protocol> protocol() const noexcept { return protocol_; }
  /// What was asked for; nullptr where nothing in particular was (BIND and UDP ASSOCIATE may leave it open).
  [[nodiscard]] const Target* target() const noexcept { return has_target_ ? &target_ : nullptr; }
  /// What a PROXY header said; nullptr where none was due, or before it came.
  [[nodiscard]] const wire::ProxyHeader* proxied() const noexcept { return proxied_.get(); }
  /// Whom a client without credentials is taken for: whom its certificate names, where that counts. Behind a PROXY
  /// header nobody else is known: the socket is the sender's.
  [[nodiscard]] Identity without_credentials() const {
    if (certified_ && rules_.auth.admits(AuthMethod::certificate)) return *certified_;
    return proxied_ ? Identity::anonymous() : rules_.presumed;
  }
  /// The users have changed, and this is what they make of the client, which was authenticated.
  void renew(Identity identity) noexcept {
    STILE_ASSERT(identity_.has_value());
    identity_ = std::move(identity);
  }
  /// Absent before authentication.
  [[nodiscard]] const std::optional<Identity>& identity() const noexcept { return identity_; }
  /// What this client is offered.
  [[nodiscard]] const AuthMethods& auth() const noexcept { return rules_.auth; }
  /// Whom a client with a password says it is; absent where none said so.
  [[nodiscard]] const std::optional<ClaimedUser>& claimed_user() const noexcept { return claimed_user_; }
  /// What comes from the client may be its password: whoever holds the octets wipes them.
  [[nodiscard]] bool reads_secrets() const noexcept {
    return phase_ <= Phase::authentication && rules_.auth.password_judge().has_value();
  }
  /// The last reply sent, as SOCKS5 would number it; absent where none was.
  [[nodiscard]] std::optional<ReplyCode> reply() const noexcept { return reply_; }
  /// Octets of the client that were received so far.
  [[nodiscard]] std::uint64_t octets_received() const noexcept { return octets_received_; }
  /// The first octets received (at most four), for a protocol nobody knows.
  [[nodiscard]] ConstBytes first_octets() const noexcept { return ConstBytes(first_octets_).first(first_octets_size_); }

 private:
  friend struct SessionTable;

  // One function a phase, in protocol order; then the ends.
  void on_opening(const Event& event, Actions& actions);
  void on_diverted(const Event& event, Actions& actions);
  void on_protected(const Event& event, Actions& actions);
  void on_encapsulated(const Event& event, Actions& actions);
  void on_failed_protection(const Event& event, Actions& actions);
  void on_greeting(const Event& event, Actions& actions);
  void on_login(const Event& event, Actions& actions);
  void on_authenticated(const Event& event, Actions& actions);
  void on_not_authenticated(const Event& event, Actions& actions);
  void on_request(const Event& event, Actions& actions);
  void on_request4(const Event& event, Actions& actions);
  void on_authorised(const Event& event, Actions& actions);
  void on_granted(const Event& event, Actions& actions);
  void on_peer(const Event& event, Actions& actions);
  void on_early_octets(const Event& event, Actions& actions);
  void on_failed(const Event& event, Actions& actions);
  void on_client_fin(const Event& event, Actions& actions);
  void on_client_failed(const Event& event, Actions& actions);
  void on_deadline(const Event& event, Actions& actions);

  void open(Actions& actions);
  void parse_proxy_header(Actions& actions);
  void parse_greeting(Actions& actions);
  void parse_request(Actions& actions);
  void parse_request4(Actions& actions);
  void choose_method(const wire::Greeting& greeting, Actions& actions);
  void parse_login(Actions& actions);
  void answer_login(bool succeeded, Actions& actions);
  [[nodiscard]] bool performs(wire::Command command) const noexcept;
  void judge_request(Actions& actions);
  void authorise(policy::Command command, const Target* target, Actions& actions);
  void start_relay(Actions& actions);
  void hold(ConstBytes octets);
  void grow(std::size_t octets);
  void consume(std::size_t octets) noexcept;
  [[nodiscard]] ConstBytes unread() const noexcept { return ConstBytes(held_).subspan(consumed_); }
  void answer(Reason reason, const Target& bound, Actions& actions);
  void fail(Reason reason, Actions& actions);
  void close_silently(Reason reason, Actions& actions);

  SessionRules rules_;
  Phase phase_ = Phase::opening;
  std::optional<Protocol> protocol_;
  std::uint8_t first_octets_size_ = 0;
  std::array<std::uint8_t, 4> first_octets_{};
  std::optional<ReplyCode> reply_;
  std::uint64_t octets_received_ = 0;
  std::vector<std::uint8_t> held_;  // received and not yet consumed; at most limits::input_before_relay_octets_max
  std::size_t consumed_ = 0;        // of held_
  std::array<std::uint8_t, 2> method_choice_{};
  std::array<std::uint8_t, 2> login_answer_{};
  std::vector<std::uint8_t> reply_octets_;
  std::unique_ptr<const wire::ProxyHeader> proxied_;
  std::optional<Identity> certified_;  // by a certificate
  std::optional<ClaimedUser> claimed_user_;
  Secret password_;  // from its message to the provider's word
  std::optional<Identity> identity_;
  std::optional<SessionRequest> request_;
  Target target_;  // what was asked for, where has_target_
  bool has_target_ = false;
  TraceRing trace_;
};

/// The phase × event table as a Mermaid state diagram; ARCHITECTURE.md shows it, and a test compares the two.
[[nodiscard]] std::string diagram();

}  // namespace stile::session
