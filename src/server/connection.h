// The driver of one connection before its relay: it performs what the session asks for and tells it what came of it.
// The only place where the pure conversation meets sockets, names, policy and time.
// Threading: one worker's thread. Tested in tests/sim (faults) and tests/e2e (real clients).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "auth/verifier.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/gss_acceptance.h"
#include "protect/line.h"
#include "protect/tls.h"
#include "relay/udp_association.h"
#include "resolve/resolver.h"
#include "server/bind_wait.h"
#include "server/decision.h"
#include "server/probe_run.h"
#include "server/reach.h"
#include "server/worker.h"
#include "session/server_session.h"

namespace stile::server {

/// How a client came.
struct Arrival {
  std::size_t listener = 0;  // index, for the record
  Endpoint local;            // the address that it reached
  Endpoint client;           // its own
  bool over_unix = false;    // a Unix-domain socket: both addresses stand for this host
};

class Connection final : private relay::AssociationOwner, private ProbeClient, private ReachOwner {
 public:
  /// `tls`: what the listener speaks; nullptr: nothing of the kind.
  Connection(Worker& worker, const Arrival& arrival, const session::SessionRules& rules,
             std::shared_ptr<const protect::TlsServer> tls);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void begin(engine::Socket& accepted);
  /// Ends it from outside, without a word. A no-op once it is ending.
  void end(Reason reason);
  /// The worker has a new configuration that is in force for everybody: takes it, and ends where what was decided is no
  /// longer allowed; false then.
  bool enforce();
  /// Still in the part that the handshake limit and the half-open bound cover.
  [[nodiscard]] bool half_open() const noexcept { return handshaking_; }
  /// Accounts for what an association or a run of probes moved so far.
  void account() const;
  [[nodiscard]] const session::TraceRing& trace() const noexcept { return session_.trace(); }

 private:
  friend class Worker;

  // What happens when the octets that the client does not take yet are gone.
  enum class AfterFlush : std::uint8_t { nothing, start_relay, control_association, drain_and_close };

  void on_client_ready(engine::Status status);
  void on_deadline(engine::Status status);
  void on_login(engine::Status status);
  void on_reversed(engine::Status status);
  void on_reached(engine::Status status);
  void on_peer(engine::Status status);
  void on_probed(engine::Status status);

  void drive(session::Event event);
  using Next = std::optional<session::Event>;
  void perform(const session::ReadMore& action, Next& next);
  void perform(const session::Send& action, Next& next);
  void perform(const session::Authenticate& action, Next& next);
  void perform(const session::Authorise& action, Next& next);
  void perform(const session::Connect& action, Next& next);
  void perform(const session::Listen& action, Next& next);
  void perform(const session::Resolve& action, Next& next);
  void perform(const session::Probe& action, Next& next);
  void perform(const session::StartProbes& action, Next& next);
  void perform(const session::StartRelay& action, Next& next);
  void perform(const session::Associate& action, Next& next);
  void perform(const session::StartAssociation& action, Next& next);
  void perform(const session::StartHttp& action, Next& next);
  void perform(const session::Close& action, Next& next);
  void perform(const session::Protect& action, Next& next);

  void secure();
  void inside_tls();
  void encapsulated();
  void ask_about_token();
  void on_token_judged(const std::optional<Identity>& identity);
  void receive();
  void break_off(Reason reason);
  [[nodiscard]] bool send_rest();
  void after_flush();
  void start_relay();
  void start_http();
  void control_association();
  void watch_control();
  void drain_and_close();
  void discard_input();
  void watch_client();
  void connected();
  void connected_through();
  void bound_through();
  [[nodiscard]] route::DialLimits dial_limits() const noexcept;
  void listen(std::span<const Address> expected);
  [[nodiscard]] bool admits(const Endpoint& peer, std::span<const std::string> via) const;
  void answer_resolve();
  void reverse(const Address& address, Next& next);

  // PING and TRACEROUTE (connection_probes.cc).
  void probe();
  [[nodiscard]] Reason open_probes(const Address& address, const Address& source);
  [[nodiscard]] std::string pace() const;
  void watch_probes();
  void end_probes(Reason reason);
  // ProbeClient
  void take_lines(std::string_view lines) override;
  [[nodiscard]] bool keeps_up() const override { return out_.empty(); }
  [[nodiscard]] bool may_see(const Address& address) override;

  // ReachOwner, and the first of them relay::AssociationOwner too
  [[nodiscard]] policy::Verdict decide(const Target& asked, const std::optional<Address>& candidate) override;
  [[nodiscard]] const policy::Options& options_of(int rule) const noexcept override { return policy().options(rule); }
  [[nodiscard]] Reason claim(int rule) override;
  [[nodiscard]] Traveller traveller() const override;
  [[nodiscard]] bool is_own(const Endpoint& place) const override { return server::is_own(*common_, place); }

  // relay::AssociationOwner
  [[nodiscard]] std::uint64_t policy_generation() const noexcept override { return common_->generation; }
  [[nodiscard]] std::expected<relay::DatagramTerms*, UdpDrop> terms_of(int rule) override;
  void quota_exceeded() noexcept override { worker_.quota_exceeded(); }
  void dropped(UdpDrop drop, const Target& about, std::uint64_t datagrams, bool first) noexcept override;
  void association_ended(const relay::AssociationEnd& end) noexcept override;

  [[nodiscard]] const policy::Policy& policy() const noexcept;
  [[nodiscard]] policy::Verdict decide(const Target* target, const std::optional<Address>& candidate) const;
  void note_proxied();
  [[nodiscard]] Reason enter();
  [[nodiscard]] Address reached_address() const;
  [[nodiscard]] Endpoint called_endpoint() const;
  /// What this client is told of our own end of a connection to its target.
  [[nodiscard]] Address told_own(const Address& own) const;
  [[nodiscard]] std::optional<relay::AssociationRequest> association_request(const Target* claimed) const;
  void leave_handshake() noexcept;
  void finish(Reason reason);
  [[nodiscard]] bool accountable() const noexcept;
  void report_end(Reason reason);
  [[nodiscard]] std::unique_ptr<SessionInfo> info() const;
  [[nodiscard]] Grounds grounds() const;
  [[nodiscard]] std::string asked_target() const;
  void release_when_quiet();

  Worker& worker_;
  std::shared_ptr<const Common> common_;  // the configuration this connection began with
  Connection* previous_ = nullptr;
  Connection* next_ = nullptr;

  protect::Line client_;
  protect::Line target_;
  engine::Timer deadline_;  // of the handshake; later of the drain after a failure reply
  /// A login and what it is about.
  struct LoginUnderWay {
    auth::Login login;
    auth::LoginRequest request;
  };
  std::unique_ptr<LoginUnderWay> login_;  // for clients with a password only
  Reach reach_;
  Claim claim_;
  std::unique_ptr<resolve::Lookup> reverse_;   // for RESOLVE_PTR only
  std::unique_ptr<BindWait> bind_wait_;        // for BIND only
  std::unique_ptr<ProbeRun> probes_;           // for PING and TRACEROUTE only
  relay::Association* association_ = nullptr;  // for UDP ASSOCIATE only; the relay's own
  std::map<std::pair<std::uint64_t, int>, relay::DatagramTerms>
      datagram_terms_;  // likewise: of each rule that holds it to something
  session::ServerSession session_;
  std::shared_ptr<const protect::TlsServer> tls_;         // until the handshake is over
  const protect::TlsTransform* tls_transform_ = nullptr;  // the client's stream's own, during the handshake
  protect::GssAcceptance* gss_ = nullptr;                 // likewise, and as long as the stream is protected by it
  std::optional<Identity> by_ticket_;                     // who it is, until the level is agreed

  Endpoint local_;
  Endpoint peer_;
  Endpoint dialled_;  // whom the client was connected with, by CONNECT or BIND
  policy::Command command_ = policy::Command::tcp;
  std::uint64_t id_;
  Instant began_;
  std::vector<std::uint8_t> out_;    // what the client has not taken yet: empty but for a client that does not read
  std::vector<std::uint8_t> early_;  // for the target, between StartRelay and the relay; what an HTTP client sent
  std::size_t listener_;
  std::size_t discarded_octets_ = 0;
  std::uint64_t probe_octets_ = 0;
  int rule_ = -1;
  std::optional<policy::RecordDetail> detail_;  // of a session that began: its records stay together
  AfterFlush after_flush_ = AfterFlush::nothing;
  Reason end_reason_ = Reason::none;
  bool handshaking_ = true;  // the request is not complete
  bool over_unix_ = false;   // and no PROXY header named a client with an address
  bool header_due_ = false;  // a PROXY header comes first
  bool securing_ = false;    // a handshake of what protects the client's stream is under way
  bool reading_ = false;
  bool relay_due_ = false;    // the relay starts as soon as the client's wait is cancelled
  bool http_due_ = false;     // so does the driver of HTTP
  bool controlling_ = false;  // an association lives as long as this connection
  bool probing_ = false;      // a run of probes writes to the client until one of them ends it
  bool probed_ = false;       // such a session began: its records are its own
  bool draining_ = false;     // a failure reply went out; input is discarded until FIN
  bool fin_due_ = false;      // what protects the client's stream has not sent its end yet
  bool ending_ = false;
};

}  // namespace stile::server
