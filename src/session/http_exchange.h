// One client's HTTP conversation as a proxy leads it, as a pure state machine that lives as long as its connection: one
// request after another, absolute-form ones forwarded, CONNECT and upgrades until they become a tunnel. RFC 9110, RFC
// 9112; the protocol reference, section 7; docs/decisions/0004-http-exchange.md.
// A driver (server/http_forward.h) tells it what came from either side, sends what it has for either side, and does
// what its phase asks for. Any split of either stream gives the same octets. Refuses: to read ahead. A side is read
// only where reads_client() or reads_origin() says so, hence what it holds is bounded by one head and one read for each
// way. Threading: one exchange belongs to one thread. Tested in http_exchange_test.cc, fuzzed as sequences of
// operations in http_exchange_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/auth_methods.h"
#include "base/bytes.h"
#include "base/identity.h"
#include "base/octet_queue.h"
#include "base/reason.h"
#include "base/secret.h"
#include "session/http_body.h"
#include "wire/cache_status.h"
#include "wire/http_head.h"
#include "wire/pac.h"

namespace stile::session {

/// What a listener admits. A method that is off is answered by 405.
struct HttpRules {
  AuthMethods auth{AuthMethod::none};  // without "none", clients that show no credentials are asked for them
  bool connect = true;
  bool forward = true;                       // absolute-form
  std::shared_ptr<const wire::PacFile> pac;  // what /proxy.pac is; absent: there is none
  wire::PacVisit visit;                      // how this client came, for that file
};

/// What is awaited, or asked of the driver.
enum class HttpPhase : std::uint8_t {
  request,         // awaiting a request's head
  authenticating,  // find out whether claimed_user() has password(), then say `authenticated` or `refused`
  opening,         // decide on target() and connect to it, then say `opened` or `refused`
  exchanging,      // the request goes up, the response comes down
  answering,       // all was said: once the client has taken it, record reason(), then say `settled`
  tunnel,          // once the client has taken what there is: hand both sockets to the relay; to_origin() is early data
  closing,         // end with FIN, discarding what still comes for a while
  silent,          // close without a word; reason() says why, Reason::none where nothing was going on
  aborting,        // once the client has taken what there is: RST, so that nobody takes a part for the whole
};

[[nodiscard]] std::string_view name(HttpPhase phase) noexcept;

class HttpExchange {
 public:
  explicit HttpExchange(const HttpRules& rules) noexcept
      : rules_(rules),
        client_in_(rules.auth.password_judge() ? OctetQueue::Holds::secrets : OctetQueue::Holds::octets) {}

  // ── what it is told ───────────────────────────────────────────────────────────────────────────────────────────
  /// Only while reads_client() (asserted), as client_fin is.
  void client_octets(ConstBytes octets);
  void client_fin();
  /// In phase authenticating.
  void authenticated();
  /// In phase opening. `reused`: the connection has carried another request before.
  void opened(bool reused);
  /// In phase authenticating or opening.
  void refused(Reason reason);
  /// Only while reads_origin() (asserted), as origin_fin and origin_failed are.
  void origin_octets(ConstBytes octets);
  void origin_fin();
  /// Its connection was reset (reset_target), or it did not answer in time (http_unavailable).
  void origin_failed(Reason reason);
  /// It takes no more octets; what it sent before is still read.
  void origin_deaf();
  /// In phase answering, once the request is recorded.
  void settled();
  /// The server is shutting down: behind the request in hand none is taken.
  void last_request() noexcept { last_ = true; }

  // ── what it has for either side ───────────────────────────────────────────────────────────────────────────────
  [[nodiscard]] ConstBytes to_client() const noexcept { return to_client_.view(); }
  [[nodiscard]] ConstBytes to_origin() const noexcept { return to_origin_.view(); }
  void client_took(std::size_t octets) noexcept { to_client_.take(octets); }
  void origin_took(std::size_t octets) noexcept { to_origin_.take(octets); }

  // ── what it shows ─────────────────────────────────────────────────────────────────────────────────────────────
  /// What this client is offered.
  [[nodiscard]] const AuthMethods& auth() const noexcept { return rules_.auth; }
  [[nodiscard]] HttpPhase phase() const noexcept { return phase_; }
  [[nodiscard]] bool reads_client() const noexcept;
  [[nodiscard]] bool reads_origin() const noexcept;
  /// The request in hand; absent before its head was read, and where that could not be.
  [[nodiscard]] const std::optional<wire::HttpRequestHead>& request() const noexcept { return request_; }
  /// Whose credentials came with the request in hand; absent where none did, or none are asked for.
  [[nodiscard]] const std::optional<ClaimedUser>& claimed_user() const noexcept { return claimed_user_; }
  /// In phase authenticating.
  [[nodiscard]] const Secret& password() const noexcept { return password_; }
  /// What comes from the client may be its password: whoever holds the octets wipes them.
  [[nodiscard]] bool reads_secrets() const noexcept {
    return phase_ == HttpPhase::request && rules_.auth.password_judge().has_value();
  }
  /// From phase opening to `settled`.
  [[nodiscard]] const Target& target() const noexcept { return target_; }
  /// In phase opening: the request may go where another went before. One that must not be sent twice may not, since a
  /// connection that was idle can end while it is on its way (RFC 9110 section 9.2.2).
  [[nodiscard]] bool may_reuse() const noexcept;
  /// In phase answering: the connection to the origin can carry another request.
  [[nodiscard]] bool keeps_origin() const noexcept { return keeps_origin_; }
  /// From the final response's head to `settled`: what it says of caches on its way. Anybody behind this connection may
  /// have written it.
  [[nodiscard]] const std::optional<wire::CacheOutcome>& cache() const noexcept { return cache_; }
  /// In phase answering: this is the connection's last answer.
  [[nodiscard]] bool closes() const noexcept { return close_; }
  /// Why the request ended; Reason::none for one that was served.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }
  /// In phase request: part of a head has come.
  [[nodiscard]] bool head_begun() const noexcept;

 private:
  // In the order of a request's life.
  void read_request();
  void judge_request();
  [[nodiscard]] Reason read_credentials();
  void admit_request();
  void answer_here();
  void answer_pac();
  std::size_t pass_request_body(ConstBytes octets);
  void read_response();
  void on_response(const wire::HttpResponseHead& head);
  std::size_t pass_response_body(ConstBytes octets);
  void finish_if_complete();
  void start_tunnel();
  void refuse(Reason reason);
  void fail(Reason reason);
  void lose_origin(Reason reason);
  void close_silently(Reason reason) noexcept;
  [[nodiscard]] bool retryable() const noexcept;
  [[nodiscard]] bool stays_open_after(std::uint16_t status) const noexcept;
  [[nodiscard]] HttpBodyPassage::Framing client_framing() const noexcept;
  [[nodiscard]] bool request_done() const noexcept { return request_body_ && request_body_->finished(); }
  [[nodiscard]] bool response_done() const noexcept {
    return response_body_ && (response_body_->finished() || (response_body_->ends_with_connection() && origin_over_));
  }

  HttpRules rules_;
  HttpPhase phase_ = HttpPhase::request;
  OctetQueue client_in_;  // received, not yet read: part of a head, or what came behind the request in hand
  OctetQueue origin_in_;
  OctetQueue to_client_;
  OctetQueue to_origin_;
  std::size_t request_tried_ = 0;   // octets of client_in_ that were no whole head
  std::size_t response_tried_ = 0;  // of origin_in_
  bool client_over_ = false;        // its FIN came
  bool last_ = false;
  wire::HttpTurn turn_ = wire::HttpTurn::first;

  // Of the request in hand.
  std::optional<wire::HttpRequestHead> request_;
  std::optional<ClaimedUser> claimed_user_;
  Secret password_;  // in phase authenticating
  Target target_;
  std::optional<HttpBodyPassage> request_body_;   // from `opened` on
  std::optional<HttpBodyPassage> response_body_;  // from the final response's head on
  std::optional<wire::CacheOutcome> cache_;
  Reason reason_ = Reason::none;
  bool reused_ = false;
  bool retried_ = false;
  bool upgrading_ = false;
  bool answered_ = false;  // the origin sent something
  bool origin_over_ = false;
  bool origin_deaf_ = false;
  bool origin_strays_ = false;  // it said more than it was asked
  bool origin_persistent_ = false;
  bool keeps_origin_ = false;
  bool close_ = false;
};

}  // namespace stile::session
