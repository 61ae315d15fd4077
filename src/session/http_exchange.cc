#include "session/http_exchange.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "wire/http_basic.h"
#include "wire/http_rewrite.h"
#include "wire/http_status.h"

namespace stile::session {
namespace {

constexpr std::array<std::string_view, 9> phase_names{"request", "authenticating", "opening", "exchanging", "answering",
                                                      "tunnel",  "closing",        "silent",  "aborting"};

// A head is shown to its decoder at the end of each line and at each whole KiB, not at each octet: a client that sends
// octet by octet would make reading quadratic. Which beginnings are shown depends on the octets alone, not on how they
// were split, and so does the verdict.
constexpr std::size_t head_step_octets = 1024;

std::size_t readable_octets(ConstBytes head) noexcept {
  const std::size_t whole_steps = head.size() / head_step_octets * head_step_octets;
  const ConstBytes rest = head.subspan(whole_steps);
  const auto line_end = std::ranges::find(rest.rbegin(), rest.rend(), std::uint8_t{'\n'});
  return whole_steps + static_cast<std::size_t>(rest.rend() - line_end);
}

constexpr std::array<std::string_view, 6> idempotent{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};

bool wants_upgrade(const wire::HttpRequestHead& head) {
  // h2c needs a settings field that is for the next hop alone (RFC 9113 section 3.1), which is this proxy.
  return head.minor >= 1 && head.body.kind == wire::HttpBodyKind::none &&
         list_contains(head.fields, "Connection", "upgrade") && !list_contains(head.fields, "Upgrade", "h2c") &&
         find_field(head.fields, "Upgrade") != nullptr;
}

}  // namespace

std::string_view name(HttpPhase phase) noexcept {
  return phase_names[static_cast<std::size_t>(phase)];
}

// ── what may be read ────────────────────────────────────────────────────────────────────────────────────────────────

bool HttpExchange::reads_client() const noexcept {
  if (client_over_) return false;
  if (phase_ == HttpPhase::request) return true;
  return phase_ == HttpPhase::exchanging && !request_done() && !origin_deaf_ && to_origin_.empty();
}

bool HttpExchange::reads_origin() const noexcept {
  return phase_ == HttpPhase::exchanging && !response_done() && to_client_.empty();
}

bool HttpExchange::may_reuse() const noexcept {
  return !retried_ && request_->body.kind == wire::HttpBodyKind::none &&
         std::ranges::find(idempotent, request_->method) != idempotent.end();
}

// Before a later request a blank line may stand, which is not part of it.
bool HttpExchange::head_begun() const noexcept {
  const ConstBytes octets = client_in_.view();
  if (turn_ == wire::HttpTurn::first) return !octets.empty();
  return octets.size() > 2 || std::ranges::any_of(octets, [](auto octet) { return octet != '\r' && octet != '\n'; });
}

// ── the request ─────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpExchange::client_octets(ConstBytes octets) {
  STILE_ASSERT(reads_client());
  const bool body = phase_ == HttpPhase::exchanging && client_in_.empty();
  const std::size_t passed = body ? pass_request_body(octets) : 0;
  client_in_.append(octets.subspan(passed));
  if (phase_ == HttpPhase::request) read_request();
}

void HttpExchange::client_fin() {
  STILE_ASSERT(reads_client());
  client_over_ = true;
  if (phase_ == HttpPhase::request) return close_silently(head_begun() ? Reason::eof_request : Reason::none);
  // The body will never be whole. An answer that does not need it may be complete.
  finish_if_complete();
  if (phase_ != HttpPhase::exchanging) return;
  if (response_body_) {
    reason_ = Reason::eof_request;
    phase_ = HttpPhase::aborting;
  } else {
    close_silently(Reason::eof_request);
  }
}

void HttpExchange::read_request() {
  const ConstBytes readable = client_in_.view().first(readable_octets(client_in_.view()));
  if (readable.size() == request_tried_) return;
  request_tried_ = readable.size();
  const auto own = rules_.pac != nullptr ? wire::HttpOwn::pac : wire::HttpOwn::nothing;
  auto result = wire::decode_http_request(readable, turn_, own);
  if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) return refuse(malformed->reason);
  auto* const parsed = std::get_if<wire::Parsed<wire::HttpRequestHead>>(&result);
  if (parsed == nullptr) return;
  client_in_.take(parsed->consumed);
  request_tried_ = 0;
  turn_ = wire::HttpTurn::later;
  request_ = std::move(parsed->value);
  judge_request();
}

// What holds before policy. Credentials come first: to a client without them nothing is said but where the proxy is.
void HttpExchange::judge_request() {
  const Reason fault = read_credentials();
  if (request_->own) return answer_pac();
  if (fault != Reason::none) return refuse(fault);
  if (claimed_user_) {
    phase_ = HttpPhase::authenticating;
  } else {
    admit_request();
  }
}

// RFC 9110 section 11.7.2. The field is for this proxy alone: what it says is wiped as soon as it is read.
Reason HttpExchange::read_credentials() {
  Reason fault = rules_.auth.admits_without_password() ? Reason::none : Reason::method_none;
  if (!rules_.auth.password_judge()) return fault;
  std::size_t fields = 0;
  std::array<std::uint8_t, wire::basic_octets_max> room;
  for (wire::HttpField& field : request_->fields) {
    if (!wire::equals_ignoring_case(field.name, "Proxy-Authorization")) continue;
    const auto credentials = wire::decode_basic(field.value, room);
    const bool basic = wire::equals_ignoring_case(std::string_view(field.value).substr(0, 5), "Basic");
    fault = credentials && wire::can_be_asked(*credentials) ? Reason::none
            : basic                                         ? Reason::auth_failed
                                                            : Reason::method_none;
    if (credentials) {
      claimed_user_ = ClaimedUser{std::string(credentials->user)};
      password_ = Secret(credentials->password);
    }
    wipe({reinterpret_cast<std::uint8_t*>(field.value.data()), field.value.size()});
    field.value.clear();
    ++fields;
  }
  wipe(room);
  if (fields > 1) fault = Reason::auth_failed;  // which one would count?
  if (fault != Reason::none) password_.clear();
  return fault;
}

void HttpExchange::authenticated() {
  STILE_ASSERT(phase_ == HttpPhase::authenticating);
  password_.clear();
  admit_request();
}

void HttpExchange::admit_request() {
  if (!(request_->is_connect() ? rules_.connect : rules_.forward)) return refuse(Reason::http_method);
  const auto target = request_->destination.target();
  if (!target) return refuse(wire::reason_of(request_->destination.host.error()));
  target_ = *target;
  if (wire::max_forwards(*request_) == 0) return answer_here();
  phase_ = HttpPhase::opening;
}

// RFC 9110 section 7.6.2: "the recipient MUST NOT forward the request; instead, the recipient MUST respond".
void HttpExchange::answer_here() {
  close_ = !stays_open_after(200);
  to_client_.append(wire::answer_http_request(*request_, close_));
  phase_ = HttpPhase::answering;
}

// A browser fetches it before it could log in. Whatever credentials came with it are nobody's.
void HttpExchange::answer_pac() {
  claimed_user_.reset();
  password_.clear();
  close_ = !stays_open_after(200);
  to_client_.append(rules_.pac->response(rules_.visit, request_->method == "HEAD", close_));
  phase_ = HttpPhase::answering;
}

void HttpExchange::opened(bool reused) {
  STILE_ASSERT(phase_ == HttpPhase::opening);
  if (request_->is_connect()) {
    to_client_.append(wire::http_connect_established());
    return start_tunnel();
  }
  phase_ = HttpPhase::exchanging;
  reused_ = reused;
  upgrading_ = wants_upgrade(*request_);
  to_origin_.append(wire::rewrite_http_request(*request_, {.to_proxy = false,
                                                           .proxy_authorization = {},
                                                           .forwarded = {},
                                                           .relay_upgrade = upgrading_,
                                                           .close = last_ || (!request_->persistent && !upgrading_)}));
  request_body_.emplace(request_->body, HttpBodyPassage::Framing::kept);
  client_in_.take(pass_request_body(client_in_.view()));
}

std::size_t HttpExchange::pass_request_body(ConstBytes octets) {
  const std::size_t passed = request_body_->take(octets, to_origin_);
  if (request_body_->broken()) {
    fail(Reason::http_framing);
  } else {
    finish_if_complete();
  }
  return passed;
}

void HttpExchange::refused(Reason reason) {
  STILE_ASSERT(phase_ == HttpPhase::authenticating || phase_ == HttpPhase::opening);
  password_.clear();
  refuse(reason);
}

// ── the response ────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpExchange::origin_octets(ConstBytes octets) {
  STILE_ASSERT(reads_origin());
  answered_ = true;
  const std::size_t passed = response_body_ ? pass_response_body(octets) : 0;
  origin_in_.append(octets.subspan(passed));
  read_response();
}

// Interim responses come before the final one, perhaps in one piece with it.
void HttpExchange::read_response() {
  const auto asked = request_->method == "HEAD" ? wire::HttpAsked::head : wire::HttpAsked::ordinary;
  while (phase_ == HttpPhase::exchanging && !response_body_) {
    const ConstBytes readable = origin_in_.view().first(readable_octets(origin_in_.view()));
    if (readable.size() == response_tried_) return;
    response_tried_ = readable.size();
    auto result = wire::decode_http_response(readable, asked);
    if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) return fail(malformed->reason);
    auto* const parsed = std::get_if<wire::Parsed<wire::HttpResponseHead>>(&result);
    if (parsed == nullptr) return;
    origin_in_.take(parsed->consumed);
    response_tried_ = 0;
    on_response(parsed->value);
  }
}

void HttpExchange::on_response(const wire::HttpResponseHead& head) {
  wire::HttpResponseRewrite rewrite{.client_minor = request_->minor, .relay_upgrade = false, .close = false};
  if (head.is_interim()) {
    // RFC 9110 section 15.2: "A server MUST NOT send a 1xx response to an HTTP/1.0 client."
    if (request_->minor >= 1) to_client_.append(wire::rewrite_http_response(head, rewrite));
    return;
  }
  if (head.status == 101) {
    if (!upgrading_) return fail(Reason::http_response);
    rewrite.relay_upgrade = true;
    to_client_.append(wire::rewrite_http_response(head, rewrite));
    return start_tunnel();
  }
  // An origin does not speak for the proxy, and must not ask a client for what it keeps for the proxy.
  if (head.status == 407) return fail(Reason::http_response);
  cache_ = wire::cache_outcome(head.fields);
  origin_persistent_ = head.persistent;
  // Where the origin goes before it has read the request's body, that body cannot be told from the next request.
  const bool body_lost = !request_done() && (!head.persistent || origin_deaf_);
  close_ = last_ || !request_->persistent || body_lost || head.body.kind == wire::HttpBodyKind::until_close;
  rewrite.close = close_;
  to_client_.append(wire::rewrite_http_response(head, rewrite));
  response_body_.emplace(head.body, client_framing());
  origin_in_.take(pass_response_body(origin_in_.view()));
}

std::size_t HttpExchange::pass_response_body(ConstBytes octets) {
  const std::size_t passed = response_body_->take(octets, to_client_);
  if (response_body_->broken()) {
    fail(Reason::http_response);
  } else {
    // Octets behind a response answer nothing that was asked: they go no further, and their connection is not kept. The
    // request's body goes on all the same, as it does where they come in a segment of their own and are not read.
    if (passed < octets.size()) origin_strays_ = true;
    finish_if_complete();
  }
  return passed;
}

void HttpExchange::origin_fin() {
  STILE_ASSERT(reads_origin());
  origin_over_ = true;
  if (response_done()) return finish_if_complete();
  lose_origin(Reason::http_incomplete);
}

void HttpExchange::origin_failed(Reason reason) {
  STILE_ASSERT(reads_origin());
  lose_origin(reason);
}

void HttpExchange::lose_origin(Reason reason) {
  if (!retryable()) return fail(reason);
  // A kept connection that had ended, or was about to, before the request came (RFC 9112 section 9.3.1).
  to_origin_.clear();
  request_body_.reset();
  origin_over_ = false;
  origin_deaf_ = false;
  retried_ = true;
  phase_ = HttpPhase::opening;
}

bool HttpExchange::retryable() const noexcept {
  return reused_ && !answered_ && may_reuse();
}

void HttpExchange::origin_deaf() {
  to_origin_.clear();
  origin_deaf_ = true;
  if (phase_ == HttpPhase::exchanging) finish_if_complete();
}

// The response is whole, and the request is, or its rest is of no use to anybody.
void HttpExchange::finish_if_complete() {
  if (!response_done()) return;
  const bool goes_on = !request_done() && !client_over_ && !origin_deaf_ && origin_persistent_ && !origin_over_;
  if (goes_on) return;
  close_ = close_ || !request_done();
  keeps_origin_ = request_done() && origin_persistent_ && !origin_deaf_ && !origin_over_ && !origin_strays_ && !close_;
  phase_ = HttpPhase::answering;
}

// ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

void HttpExchange::settled() {
  STILE_ASSERT(phase_ == HttpPhase::answering && to_client_.empty());
  to_origin_.clear();
  origin_in_.clear();
  for (OctetQueue* const queue : {&client_in_, &origin_in_, &to_client_, &to_origin_}) queue->rest();
  request_.reset();
  claimed_user_.reset();
  request_body_.reset();
  response_body_.reset();
  response_tried_ = 0;
  cache_.reset();
  reason_ = Reason::none;
  reused_ = retried_ = upgrading_ = answered_ = false;
  origin_over_ = origin_deaf_ = origin_strays_ = origin_persistent_ = keeps_origin_ = false;
  if (std::exchange(close_, false) || last_) {
    phase_ = HttpPhase::closing;
    return;
  }
  phase_ = HttpPhase::request;
  read_request();
}

void HttpExchange::start_tunnel() {
  to_client_.append(origin_in_.view());
  to_origin_.append(client_in_.view());
  origin_in_.clear();
  client_in_.clear();
  phase_ = HttpPhase::tunnel;
}

/// An answer of Stile's own, in the words of the one table of statuses.
void HttpExchange::refuse(Reason reason) {
  const wire::HttpOutcome& outcome = wire::http_outcome(reason);
  reason_ = reason;
  close_ = !stays_open_after(outcome.status);
  keeps_origin_ = false;
  wire::HttpRefusal refusal{.status = outcome.status, .error = outcome.error, .close = close_};
  refusal.to_head_request = request_ && request_->method == "HEAD";
  if (outcome.status == 503) refusal.retry = limits::http_retry_after;
  if (outcome.status == 405)
    refusal.allow = rules_.connect ? "CONNECT" : "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE";
  refusal.basic_challenge = outcome.status == 407;
  to_client_.append(wire::encode_http_refusal(refusal));
  phase_ = HttpPhase::answering;
}

/// A body that is still due cannot be told from the next request; a CONNECT that failed is the end but for 407.
bool HttpExchange::stays_open_after(std::uint16_t status) const noexcept {
  if (last_ || client_over_ || !request_ || !request_->persistent) return false;
  if (request_->body.kind != wire::HttpBodyKind::none) return false;
  return !request_->is_connect() || status == 407;
}

/// The origin, or the request itself, failed while it was under way.
void HttpExchange::fail(Reason reason) {
  if (!response_body_) return refuse(reason);
  reason_ = reason;
  keeps_origin_ = false;
  close_ = true;
  phase_ = response_done() ? HttpPhase::answering : HttpPhase::aborting;
}

void HttpExchange::close_silently(Reason reason) noexcept {
  reason_ = reason;
  phase_ = HttpPhase::silent;
}

HttpBodyPassage::Framing HttpExchange::client_framing() const noexcept {
  return request_->minor >= 1 ? HttpBodyPassage::Framing::kept : HttpBodyPassage::Framing::stripped;
}

}  // namespace stile::session
