// What an HTTP client's driver writes down: one session for each request (docs/decisions/0004-http-exchange.md).
#include <utility>

#include "server/http_forward.h"
#include "wire/http_request_scanner.h"

namespace stile::server {

void HttpForward::begin_session() {
  claim_.keep(rule_);
  if (terms_ == nullptr) terms_ = claim_.terms(rule_, options_of(rule_));
  if (std::exchange(admitted_, true)) return;  // a request that is tried again began before
  detail_ = common_->policy_for(about_.local.address, about_.peer.address, about_.proxied).options(rule_).log;
  worker_.counters_.sessions.add();
  worker_.counters_.sessions_open.add();
  if (worker_.reporter_ == nullptr) return;
  observe::Record record{.event = observe::Event::session_start};
  record.reply = ReplyCode::succeeded;
  worker_.report(record, *info());
}

// A first request without credentials is how HTTP asks what is needed: no mistake.
void HttpForward::charge(Reason reason) noexcept {
  if (reason == Reason::none || std::exchange(charged_, true)) return;
  if (about_.accountable && reason != Reason::method_none) worker_.penalise(about_.peer.address, reason);
}

/// The request in hand was answered, and the client has taken the answer.
void HttpForward::settle() {
  report_end(exchange_.reason());
  if (origin_.is_open() && !exchange_.keeps_origin()) {
    if (exchange_.reason() == Reason::none) {
      origin_.close(worker_.engine_);
    } else {
      origin_.abort(worker_.engine_);
    }
  }
  id_ = worker_.engine_.random();
  idle_since_ = began_ = worker_.engine_.now();
  refused_at_ = {};
  octets_up_ = octets_down_ = 0;
  rule_ = -1;
  detail_.reset();
  let_go_of_terms();
  claim_.release();
  charged_ = false;
  exchange_.settled();
  track();
}

void HttpForward::report_end(Reason reason) {
  observe::Counters& counters = worker_.counters_;
  // Who fetched /proxy.pac went nowhere: no session.
  if (reason == Reason::none && exchange_.request() && exchange_.request()->own) return counters.pac_served.add();
  counters.end(reason);
  if (is_denial(reason) && !admitted_) counters.denied.add();
  charge(reason);
  const std::unique_ptr<SessionInfo> about = worker_.reporter_ == nullptr ? nullptr : info();
  const bool admitted = std::exchange(admitted_, false);
  if (admitted) {
    counters.sessions_open.subtract();
    counters.bytes_up.add(octets_up_);
    counters.bytes_down.add(octets_down_);
    if (worker_.stage_ != Worker::Stage::serving) {
      ++(reason == Reason::drain ? worker_.drained_.reset : worker_.drained_.finished);
    }
  }
  if (about == nullptr) return;
  observe::Record record{.event = event_of(reason)};
  record.reply = reply_code(reason);
  if (admitted || reason == Reason::none) {
    if (!admitted) {
      // Answered here, by the rules of Max-Forwards: a session that began and ended at once.
      record.event = observe::Event::session_start;
      worker_.report(record, *about);
    }
    record.event = observe::Event::session_end;
    record.bytes_up = octets_up_;
    record.bytes_down = octets_down_;
    record.duration = worker_.engine_.now() - began_;
  }
  record.reason = reason;
  worker_.report(record, *about);
}

void HttpForward::account() const {
  if (worker_.reporter_ == nullptr || !admitted_ || ending_ || exchange_.request()->is_connect()) return;
  observe::Record record;
  record.bytes_up = octets_up_;
  record.bytes_down = octets_down_;
  worker_.complete(record, *info());
  worker_.account(observe::AccountingKind::interim, record);
}

std::unique_ptr<SessionInfo> HttpForward::info() const {
  auto info = std::make_unique<SessionInfo>();
  info->id = id_;
  info->began = began_;
  if (!about_.over_unix) info->client = about_.peer;
  info->method = exchange_.claimed_user() ? name(exchange_.auth().password_judge().value_or(AuthMethod::password))
                                          : about_.who.method();
  info->listener = about_.listener;
  info->protocol = "http";
  info->user = asking_user();
  if (admitted_) info->dialled = dialled_;
  if (admitted_) info->route = origin_route_;
  if (const auto cache = exchange_.cache(); admitted_ && origin_is_service_ && cache) info->cache = wire::name(*cache);
  if (!admitted_ && reach_.way() != nullptr) info->route = reach_.way()->text();
  if (const auto& request = exchange_.request(); request && !request->own) {
    info->command = request->is_connect() ? "connect" : "forward";
    const wire::AddressField& destination = request->destination;
    const auto target = destination.target();
    info->target = target ? target->to_string() : destination.received_name + ":" + std::to_string(destination.port);
  }
  if (rule_ >= 0) {
    const policy::Policy& policy = common_->policy_for(about_.local.address, about_.peer.address, about_.proxied);
    info->rule = policy.rules()[static_cast<std::size_t>(rule_)].name;
    info->detail = policy.options(rule_).log;
  }
  if (detail_) info->detail = *detail_;
  const auto& request = exchange_.request();
  if (info->detail == policy::RecordDetail::url && request && !request->is_connect()) {
    info->shown = std::make_unique<Shown>();
    info->shown->url = url_of(*request);
  }
  info->grounds = grounds();
  return info;
}

Grounds HttpForward::grounds() const {
  Grounds grounds{.who = who_,
                  .local = about_.local.address,
                  .source = about_.peer.address,
                  .proxied = about_.proxied,
                  .command = policy::Command::tcp,
                  .asked = exchange_.target(),
                  .candidate = {},
                  .at = worker_.week_time()};
  // Through other proxies a name may go on as it is: nobody here knows its address then.
  if (admitted_ && !origin_redirect_ && dialled_.port != 0) grounds.candidate = dialled_.address;
  return grounds;
}

std::string HttpForward::url_of(const wire::HttpRequestHead& request) const {
  std::string host = request.destination.received_name;
  if (request.destination.port != 80) host += ":" + std::to_string(request.destination.port);
  const std::string path = request.path == "*" ? std::string() : request.path;
  return wire::describe({.method = request.method, .host = host, .path = path}, common_->log_query);
}

}  // namespace stile::server
