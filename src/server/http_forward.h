// The driver of one HTTP client: it carries octets between the client, the exchange (session/http_exchange.h) and the
// origin of the request in hand, opens origins as policy allows, keeps time, and writes a record for each request.
// One origin connection is kept for each client connection, for as long as requests go to the same target.
// Refuses: to read a side faster than the other takes it. At most one head and one read are held for each way, and
// nothing while no request is under way.
// Threading: one worker's thread. Tested in tests/sim (faults) and tests/e2e/http_*_test.py (real clients and origins).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/verifier.h"
#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "server/decision.h"
#include "server/reach.h"
#include "server/worker.h"
#include "session/http_exchange.h"

namespace stile::server {

/// What is known of a client whose first octet said HTTP.
struct HttpClient {
  std::size_t listener = 0;              // index, for the record
  Endpoint local;                        // the client reached
  Endpoint peer;                         // the client's own
  bool over_unix = false;                // and it has no address
  bool proxied = false;                  // a PROXY header named it
  bool accountable = true;               // its mistakes count for `peer`
  std::string announced_user;            // whom the proxy in front says that it asks for
  Identity who = Identity::anonymous();  // whom a client without credentials is taken for
  std::uint64_t session = 0;
  Instant began{};  // accepted: the first head is due before the handshake's deadline
};

class HttpForward final : private ReachOwner {
 public:
  HttpForward(Worker& worker, const HttpClient& client, const session::HttpRules& rules);
  HttpForward(const HttpForward&) = delete;
  HttpForward& operator=(const HttpForward&) = delete;

  /// Takes the open client's socket (not pending) and what was received from it.
  void begin(protect::Line& client, ConstBytes octets);
  /// Ends it from outside, at once. A no-op once it is ending.
  void end(Reason reason) { finish(reason); }
  /// As Connection::enforce.
  bool enforce();
  /// Ends it as soon as the request in hand is answered.
  void drain();
  /// Accounts for what the request in hand moved so far.
  void account() const;
  /// Between requests, or inside a head: nobody is served yet.
  [[nodiscard]] bool waiting() const noexcept { return exchange_.phase() == session::HttpPhase::request; }

 private:
  friend class HttpForwards;

  void on_client_ready(engine::Status status);
  void on_origin_ready(engine::Status status);
  void on_login(engine::Status status);
  void on_reached(engine::Status status);
  void on_timer(engine::Status status);

  // The pump.
  void advance();
  bool step(std::size_t& budget);
  bool obey();
  bool send_to_client();
  bool send_to_origin();
  bool receive_from_client(std::size_t& budget);
  bool receive_from_origin(std::size_t& budget);
  void rearm();

  // Who asks.
  void log_in();
  [[nodiscard]] std::string_view asking_user() const;

  // Origins.
  void open();
  void start_reach();
  [[nodiscard]] Reason take_origin();
  [[nodiscard]] bool can_reuse();
  [[nodiscard]] bool origin_is_idle() const noexcept;
  [[nodiscard]] bool origin_is_quiet();
  [[nodiscard]] Reason enter();
  [[nodiscard]] const policy::Policy& policy() const noexcept;
  // ReachOwner
  [[nodiscard]] policy::Verdict decide(const Target& target, const std::optional<Address>& candidate) override;
  [[nodiscard]] const policy::Options& options_of(int rule) const noexcept override { return policy().options(rule); }
  [[nodiscard]] Reason claim(int rule) override;
  [[nodiscard]] Traveller traveller() const override;
  [[nodiscard]] bool is_own(const Endpoint& place) const override { return server::is_own(*common_, place); }

  // Rates and quotas.
  [[nodiscard]] std::size_t allowed(relay::Flow relay::Terms::* way, std::size_t budget);
  void moved(relay::Flow relay::Terms::* way, std::size_t octets) noexcept;
  void charge(std::size_t octets);
  void on_turn(engine::Status status);
  void let_go_of_terms() noexcept;

  // Time.
  void track();
  [[nodiscard]] std::optional<Instant> deadline() const;
  void arm_timer();
  void expire();

  // Records.
  void begin_session();
  void settle();
  void report_end(Reason reason);
  void charge(Reason reason) noexcept;
  [[nodiscard]] std::unique_ptr<SessionInfo> info() const;
  [[nodiscard]] Grounds grounds() const;
  [[nodiscard]] std::string url_of(const wire::HttpRequestHead& request) const;

  // Ends.
  void lose_client();
  void start_tunnel();
  void drain_and_close();
  void discard_input();
  void finish(Reason reason);
  void release_when_quiet() noexcept;
  void on_quiet(engine::Status status);

  Worker& worker_;
  std::shared_ptr<const Common> common_;  // as of the request in hand: each is decided anew
  HttpForward* previous_ = nullptr;
  HttpForward* next_ = nullptr;

  HttpClient about_;
  Identity who_;  // of the request in hand
  /// A login and what it is about; made with the first one.
  struct LoginUnderWay {
    auth::Login login;
    auth::LoginRequest request;
    std::optional<auth::KnownLogin> known;  // the last one that succeeded
    bool due = false;
  };
  std::unique_ptr<LoginUnderWay> login_;
  session::HttpExchange exchange_;
  Reach reach_;
  Claim claim_;                          // of the request in hand
  std::unique_ptr<relay::Terms> terms_;  // likewise
  protect::Line client_;
  protect::Line origin_;
  engine::Timer timer_;
  engine::Timer turn_;       // of the flow that waits for the shortest time
  engine::Operation quiet_;  // the last completion: nothing else is pending then

  Target origin_target_;     // what the open origin_ was opened for
  std::string origin_user_;  // and for whom
  Endpoint dialled_;
  std::optional<Target> origin_redirect_;  // under which options it was opened
  EgressSettings origin_egress_;
  std::vector<std::string> origin_via_;
  std::string origin_route_;        // as records have it
  bool origin_is_service_ = false;  // whose word on caches counts
  route::Passage passage_;
  Instant began_;  // the request in hand: its first octet
  Instant idle_since_;
  Instant last_octet_;
  Instant refused_at_{};
  Instant drain_until_{};
  std::uint64_t id_;
  std::uint64_t octets_up_ = 0;  // of the request in hand
  std::uint64_t octets_down_ = 0;
  std::size_t discarded_octets_ = 0;
  int rule_ = -1;
  std::optional<policy::RecordDetail> detail_;  // of a session that began: its records stay together
  bool in_head_ = true;
  bool waits_ = false;  // counted by HttpForwards::waiting
  bool opening_ = false;
  bool origin_deaf_ = false;  // it took no more, and is read to its end
  bool reach_due_ = false;    // the old origin's wait has to end before another is dialled
  bool admitted_ = false;     // session.start was said
  bool charged_ = false;      // what the request in hand did wrong counts already
  bool tunnel_due_ = false;   // the relay starts as soon as both waits are cancelled
  bool draining_ = false;     // FIN went out; input is discarded until the client's
  bool fin_due_ = false;      // what protects the client's stream has not sent its end yet
  bool ending_ = false;
  bool over_quota_ = false;    // ends as soon as nothing is in hand
  bool upload_waits_ = false;  // for its flow's turn
  bool download_waits_ = false;
};

/// All HTTP clients of one worker, with what they share.
class HttpForwards {
 public:
  explicit HttpForwards(Worker& worker);
  HttpForwards(const HttpForwards&) = delete;
  HttpForwards& operator=(const HttpForwards&) = delete;
  /// All must have ended (asserted).
  ~HttpForwards();

  void start(const HttpClient& about, const session::HttpRules& rules, protect::Line& client, ConstBytes octets);
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// Those of them that nobody serves at present.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  /// Ends the one that has waited longest; false when none waits.
  bool evict_oldest_waiting();
  /// Says how many it ended.
  std::size_t enforce();
  void drain();
  void account() const;
  void end_all(Reason reason);
  /// Ends requests that have exceeded a quota.
  void end_exceeded();

 private:
  friend class HttpForward;

  [[nodiscard]] MutableBytes buffer() const noexcept { return {buffer_.get(), limits::http_read_octets}; }
  void released(HttpForward& forward) noexcept;

  Worker& worker_;
  std::unique_ptr<std::uint8_t[]> buffer_;
  HttpForward* first_ = nullptr;  // oldest first
  HttpForward* last_ = nullptr;
  std::size_t count_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace stile::server
