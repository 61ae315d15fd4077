// One worker: an engine, its share of every listener's connections, their handshakes and their tunnels. Workers share
// nothing on the fast path; what they have in common is immutable (Common) and replaced whole.
// Runs on any engine: the simulation drives a whole server through this class.
// Threading: everything here belongs to the engine's thread, but `request_drain`, `request_stop`, `publish` and
// `perform`, which any thread may call. Tested in tests/sim and tests/e2e.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/penalties.h"
#include "auth/verifier.h"
#include "base/auth_methods.h"
#include "base/limits.h"
#include "config/config.h"
#include "engine/engine.h"
#include "observe/accounting_store.h"
#include "observe/counters.h"
#include "observe/record.h"
#include "policy/policy.h"
#include "protect/gss_acceptance.h"
#include "protect/tls.h"
#include "relay/live_sockets.h"
#include "relay/tcp_relay.h"
#include "relay/udp_relay.h"
#include "resolve/resolver.h"
#include "route/upstreams.h"
#include "route/way.h"
#include "server/grounds.h"
#include "server/probe_gate.h"
#include "server/usage.h"
#include "session/trace.h"
#include "sys/local_clock.h"
#include "wire/pac.h"

namespace stile::server {

class Connection;
class HttpForwards;

/// Where access records go; called on the worker's thread, must not block.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void report(const observe::Record& record) noexcept = 0;
  /// Of each admitted session its start, its end, and what it moved in between, whatever its rule says of records.
  /// False: the entry is lost.
  virtual bool account(observe::AccountingKind kind, const observe::Record& record) noexcept = 0;
  /// No session may begin, since it could not be accounted for.
  [[nodiscard]] virtual bool refuses() const noexcept = 0;
};

/// The names behind the addresses that diverted clients connect to. Any thread that runs a worker with it.
class CalledHosts {
 public:
  virtual ~CalledHosts() = default;
  /// What a client means that connects to this address; the address itself where no name stands behind it.
  [[nodiscard]] virtual Host host_of(const Address& called) = 0;
  /// Where an accepted connection was to go; nothing: nowhere, it called the listener, which stands at `listener`,
  /// itself.
  [[nodiscard]] virtual std::optional<Endpoint> place_called(engine::Engine& engine, const engine::Socket& accepted,
                                                             const Endpoint& listener);
};

/// What one listener's clients may do before policy is asked.
struct Admission {
  config::Protocols protocols;
  AuthMethods auth{AuthMethod::none};
  std::vector<Cidr> proxy_protocol_from;          // sources that begin with a PROXY header; all others must not
  std::shared_ptr<const protect::TlsServer> tls;  // absent: none is spoken
  bool tls_optional = false;                      // plaintext is admitted as well
  std::shared_ptr<const wire::PacFile> pac;       // absent: there is no /proxy.pac
};

/// What all workers of a server have in common. Immutable once published; each worker is given a copy of its own, so
/// that connections count references on memory that no other worker touches.
struct Common {
  std::uint64_t generation = 0;  // of the configuration: each reload has the next one
  bool enforce = true;           // a new generation ends the sessions that it does not allow
  bool reloadable = false;       // there may be a next one: what sessions rest on is remembered
  config::Limits limits;
  unsigned workers = 1;
  std::shared_ptr<const policy::Policy> policy;           // of the file; absent: the presets below
  std::shared_ptr<const policy::Policy> loopback_preset;  // for loopback clients of loopback listeners
  std::shared_ptr<const policy::Policy> deny_all;         // for everybody else
  policy::OwnAddresses own;
  config::Bind bind;
  config::Udp udp;
  std::vector<config::ProxyProtocolTo> proxy_protocol_to;
  std::shared_ptr<relay::LiveSockets> live_sockets;          // one for all workers, never absent
  std::shared_ptr<ProbeGate> probe_gate;                     // likewise
  std::shared_ptr<Usage> usage = std::make_shared<Usage>();  // likewise
  std::vector<const observe::Counters*> counters;            // of all workers: what the ceilings are compared with
  std::shared_ptr<const auth::Users> users;                  // absent where no listener asks for a password
  std::int64_t today = 0;                                 // since 1970: records that have expired by then are nobody's
  std::shared_ptr<auth::Penalties> penalties;             // one for all workers; absent: no mistake counts
  std::array<Duration, auth_method_count> login_cache{};  // by who judges: how long a login need not be judged again
  std::string pam_service;
  route::UpstreamPlans upstreams;
  std::shared_ptr<route::UpstreamWatch> upstream_watch;  // one for all workers; absent: nobody is told
  protect::GssRules gssapi;
  Duration accounting_interim = Duration::zero();  // how often open sessions are accounted for; zero: never
  bool log_query = false;                          // the URLs in records keep their query
  std::vector<config::NetworkUser> network_users;  // who diverted clients are

  [[nodiscard]] bool sessions_exhausted() const noexcept;
  /// Whom the users in force make of somebody who logged in before; nobody where its record is gone or another.
  [[nodiscard]] std::optional<Identity> renewed(const Identity& who) const;
  /// As whom a diverted client at this address counts.
  [[nodiscard]] Identity network_user(const Address& client) const;
  /// Mistakes of clients there do not count: loopback, and what the configuration exempts.
  [[nodiscard]] bool forgives(const Address& client) const noexcept;
  /// Which policy decides for a connection between these two addresses (security reference, 1.1). `proxied`: a PROXY
  /// header named the client, so nothing proves that it is local.
  [[nodiscard]] const policy::Policy& policy_for(const Address& local, const Address& client,
                                                 bool proxied) const noexcept;
};

/// What a session's octets told about it, where its rule asks for that.
struct Shown {
  std::string url;
  std::string server_name;
  std::string protocols;  // comma-separated
};

/// What must be remembered of a tunnel until it ends. Allocated only where records are wanted, or where more is counted
/// than sessions of the listener.
struct SessionInfo {
  std::uint64_t id = 0;
  Instant began{};
  std::optional<Endpoint> client;  // absent over a Unix-domain socket
  Endpoint dialled;
  std::size_t listener = 0;
  std::string_view protocol;
  std::string_view command;
  std::string user;
  std::string announced_user;  // as records have it
  std::string_view method;
  std::string target;
  std::string rule;
  Grounds grounds;
  std::uint64_t octets_up = 0;  // moved before its tunnel began
  std::uint64_t octets_down = 0;
  std::uint64_t octets_accounted = 0;  // of its tunnel, both ways
  std::string route;                   // through other proxies; empty: direct
  route::Passage passage;              // likewise
  session::TraceRing trace;
  std::unique_ptr<Shown> shown;
  std::string_view cache;                                       // as records have it
  policy::RecordDetail detail = policy::RecordDetail::session;  // as the rule has it
  Claim claim;
};

class Worker final : public relay::TunnelOwner {
 public:
  Worker(engine::Engine& engine, resolve::Resolver& resolver, observe::Counters& counters, Reporter* reporter,
         std::shared_ptr<const Common> common, auth::Verifier* verifier = nullptr);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// Everything must have ended: asserted.
  ~Worker() override;

  /// Opens one listener; before the loop runs. Answers where it listens (a port of 0 was chosen by the kernel).
  [[nodiscard]] Result<Endpoint> listen(const Endpoint& local, bool reuse_port, Admission admission = {});
  /// Takes over a listening Unix-domain socket; `name` is for records. Its clients count as 127.0.0.1, and their
  /// identity is the user that the kernel names.
  void listen_local(engine::Socket& listening, const std::string& name, Admission admission);

  /// Takes over a listening socket to which the kernel diverts connections (nftables tproxy): each is to be carried to
  /// the address that its client called, or what `hosts` says of it. The clients of a listener of this kind are all
  /// taken to have reached `local`, and know of no proxy: what is denied or fails ends with RST. `hosts` outlives the
  /// worker.
  void listen_diverted(engine::Socket& listening, const Endpoint& local, const std::string& name, CalledHosts& hosts);
  /// Takes over a listening socket, of a Unix-domain one without `local`, whose clients know of no proxy either and are
  /// all carried to `target`.
  void listen_forwarding(engine::Socket& listening, const std::optional<Endpoint>& local, const std::string& name,
                         const Target& target);
  /// A session that its owner has arranged by other means than a request.
  struct Arranged {
    std::string_view listener;  // for whose clients it counts, by its name
    Endpoint client;
    std::string_view command;  // a constant, as the protocol's name
    Target target;
    Endpoint dialled;
    std::string route;
    route::Passage passage;
  };
  /// Carries octets between the two, as a session that has been granted; both are closed instead where a limit forbids
  /// it. For a server whose configuration is not reloaded (asserted).
  void carry(protect::Line& client, protect::Line& target, Arranged about);

  /// As `listen`, for an IP listener that is open already and was bound to `local`.
  void listen_at(engine::Socket& listening, const Endpoint& local, Admission admission);
  /// From now on, what clients of the listener of this name may do.
  void admit(std::string_view listener, Admission admission);
  /// Takes what waits at the listener of this name, and closes it. Its sessions live on.
  void close_listener(std::string_view name);

  /// Starts taking connections. When everything ended after a drain or stop, the engine is stopped.
  void start();
  /// Starts, runs the engine until then, and delivers what was cancelled last.
  void run();

  // From any thread.
  /// Stop accepting; let handshakes and tunnels end until the limit `drain`, then end them; then stop the engine.
  void request_drain() noexcept;
  /// End everything at once.
  void request_stop() noexcept;
  void publish(std::shared_ptr<const Common> common);
  /// Runs `task` on the engine's thread, in order; it must not block. Never run once the worker has ended.
  void perform(std::function<void()> task);

  /// What a new configuration meant for the sessions of this worker.
  struct Enforced {
    std::size_t ended = 0;
    std::size_t kept = 0;
  };
  /// On the engine's thread: what is decided from now on is decided by `common`. Where its generation is another and it
  /// enforces, every session is decided again, and those that are no longer allowed are ended.
  Enforced adopt(std::shared_ptr<const Common> common);

  struct DrainResult {
    std::size_t finished = 0;  // ended by themselves while draining
    std::size_t reset = 0;     // ended by us
  };
  /// After the engine stopped.
  [[nodiscard]] DrainResult drained() const noexcept { return drained_; }

  /// What the policy says of a diverted client that sends packets instead of a connection: datagrams, pings.
  struct PacketVerdict {
    Identity who;
    policy::Verdict verdict;
    std::string_view rule;                     // its name; empty: none decided
    const policy::Options* options = nullptr;  // where it is allowed; both are good until the engine's next turn
  };
  /// On the engine's thread. A name counts where it goes on as it is; else it is denied.
  [[nodiscard]] PacketVerdict judge_packet(policy::Command command, const Address& client, const Target& target);
  [[nodiscard]] const route::Upstreams& upstreams() const noexcept { return upstreams_; }
  [[nodiscard]] const route::UpstreamPlans& upstream_plans() const noexcept { return common_->upstreams; }

  /// "+12ms request Received: Authorise" lines of every connection that is still in its handshake: what the simulation
  /// prints when a run fails.
  [[nodiscard]] std::string traces() const;
  /// On the engine's thread.
  [[nodiscard]] std::vector<route::ServerFigures> upstream_figures() const { return upstreams_.figures(); }

 private:
  friend class Connection;
  friend class DnsAnswers;
  friend class HttpForward;
  friend class HttpForwards;
  struct Listener;

  void tunnel_ended(const relay::TunnelEnd& end) noexcept override;
  void request_seen(void* context, const wire::HttpSighting& request) noexcept override;
  void hello_seen(void* context, const wire::TlsClientHello& hello) noexcept override;
  void quota_exceeded() noexcept override { usage_->quota_exceeded(); }

  [[nodiscard]] WeekTime week_time() noexcept { return local_clock_.week_time(engine_.wall_now()); }

  void on_wake(engine::Status status);
  void on_drain_deadline(engine::Status status);
  void on_accept_retry(engine::Status status);
  void on_interim(engine::Status status);
  void on_calendar(engine::Status status);
  void on_upstreams_quiet(engine::Status status);
  void watch_calendar();
  [[nodiscard]] std::atomic<std::uint32_t>* sessions_of(std::size_t listener) noexcept;
  [[nodiscard]] const std::shared_ptr<const wire::PacFile>& pac_of(std::size_t listener) const noexcept;
  [[nodiscard]] SessionInfo* keep(std::size_t listener, Claim claim, std::unique_ptr<SessionInfo> info);
  void let_go(SessionInfo* info) noexcept;
  void accept_from(Listener& listener);
  void admit(Listener& listener, engine::Socket& accepted, const Endpoint& client);
  void pause_accept(Listener& listener);
  void resume_accept();
  void evict_oldest_half_open();
  [[nodiscard]] Listener& add_listener(std::string name, const Endpoint& local, Admission admission);
  void open_for_business(Listener& listener);
  Enforced enforce();
  /// Whether what a session rests on has to be kept while it lives.
  [[nodiscard]] bool remembers() const noexcept { return reporter_ != nullptr || common_->reloadable; }
  void close_listeners() noexcept;
  void end_everything() noexcept;
  void finish_if_drained() noexcept;
  void released(Connection& connection) noexcept;
  void http_released() noexcept;
  /// What is looked at in a session's tunnel; `info` may be null.
  [[nodiscard]] relay::Watch watch_for(const SessionInfo* info) const noexcept;
  /// Why no session may begin at present; Reason::none where one may.
  [[nodiscard]] Reason refusal() const noexcept;
  /// Completes the record and passes it on.
  void report(observe::Record& record, const SessionInfo& info) noexcept;
  /// What does not change while the connection lives; `methods` are those that it was offered.
  [[nodiscard]] auth::LoginRequest login_request(const Address& client, std::size_t listener, AuthMethod method) const;
  [[nodiscard]] std::optional<Identity> logged_in(const auth::Login& login, const auth::LoginRequest& request);
  void penalise(const Address& client, Reason reason) noexcept;
  [[nodiscard]] bool refuses(const Address& client) noexcept;
  void complete(observe::Record& record, const SessionInfo& info) const noexcept;
  void account(observe::AccountingKind kind, const observe::Record& record) noexcept;
  void account_open_sessions();

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  route::Upstreams upstreams_;
  observe::Counters& counters_;
  Reporter* reporter_;
  auth::Verifier* verifier_;  // nullptr: no listener asks for a password
  std::shared_ptr<const Common> common_;
  relay::Relay relay_;
  std::shared_ptr<relay::LiveSockets> live_sockets_;
  std::shared_ptr<Usage> usage_;
  std::uint64_t quotas_exceeded_ = 0;  // as far as tunnels were ended for it
  relay::UdpRelay udp_;
  std::unique_ptr<HttpForwards> http_;

  sys::LocalClock local_clock_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  engine::Socket accepted_;  // between accept and a connection; closed otherwise
  engine::Operation wake_;
  engine::Timer drain_deadline_;
  engine::Timer accept_retry_;
  engine::Timer interim_;
  engine::Timer calendar_;             // where a rule has a quota
  engine::Operation upstreams_quiet_;  // in the end
  bool accept_paused_ = false;

  Connection* first_ = nullptr;  // connections before their relay, oldest first
  Connection* last_ = nullptr;
  std::size_t connections_ = 0;

  enum class Stage : std::uint8_t { serving, draining, stopping };
  Stage stage_ = Stage::serving;
  bool started_ = false;
  DrainResult drained_;

  std::atomic<bool> drain_requested_{false};
  std::atomic<bool> stop_requested_{false};
  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;  // under tasks_mutex_
};

}  // namespace stile::server
