// What a connection's records say, what is counted when it ends, and what a reload makes of it.
#include <numeric>

#include "server/connection.h"
#include "server/decision.h"

namespace stile::server {

bool Connection::enforce() {
  // What is answered keeps the policy by which it was.
  if (ending_ || draining_ || after_flush_ == AfterFlush::drain_and_close) return true;
  common_ = worker_.common_;
  rule_ = -1;
  reach_.forget();
  claim_.release_rules();
  if (!session_.identity()) return true;
  const auto who = common_->renewed(*session_.identity());
  if (!who) {
    finish(Reason::policy_changed);
    return false;
  }
  session_.renew(*who);
  if (handshaking_ || !session_.request()) return true;  // nothing was decided yet
  const policy::Verdict verdict = server::decide(*common_, grounds());
  rule_ = verdict.rule;
  if (verdict.decision != policy::Verdict::Decision::deny) {
    if (claim_.is_held()) (void)claim(rule_);  // it is there: no number of the new policy ends it
    if (ways_ != nullptr) ways_->reconsider();
    if (association_ != nullptr) association_->reconsider();
    return true;
  }
  if (reach_.pending()) {
    reach_.cancel(Reason::policy_changed);  // its completion tells the client
  } else {
    finish(Reason::policy_changed);
  }
  return false;
}

// ── what is recorded and counted ────────────────────────────────────────────────────────────────────────────────────

// Every drop is counted, and the first of each reason recorded: nobody can fill the log with datagrams.
void Connection::dropped(UdpDrop drop, const Target& about, std::uint64_t datagrams, bool first) noexcept {
  worker_.counters_.drop(drop, datagrams);
  if (!first || worker_.reporter_ == nullptr) return;
  const std::unique_ptr<SessionInfo> whose = info();
  whose->target = about.to_string();
  observe::Record record{.event = observe::Event::drop};
  record.drop = drop;
  worker_.report(record, *whose);
}

void Connection::association_ended(const relay::AssociationEnd& end) noexcept {
  association_ = nullptr;
  if (!controlling_) return;  // it never was granted: the connection's own end is its record
  worker_.counters_.sessions_open.subtract();
  worker_.counters_.end(end.reason);
  worker_.counters_.bytes_up.add(end.totals.up.octets);
  worker_.counters_.bytes_down.add(end.totals.down.octets);
  worker_.counters_.udp_socket_errors.add(end.totals.socket_errors);
  if (worker_.stage_ != Worker::Stage::serving) {
    ++(end.reason == Reason::drain ? worker_.drained_.reset : worker_.drained_.finished);
  }
  if (worker_.reporter_ == nullptr) return;
  observe::Record record{.event = observe::Event::session_end};
  record.reply = session_.reply();
  record.bytes_up = end.totals.up.octets;
  record.bytes_down = end.totals.down.octets;
  record.packets_up = end.totals.up.datagrams;
  record.packets_down = end.totals.down.datagrams;
  record.packets_dropped = std::accumulate(end.totals.drops.begin(), end.totals.drops.end(), std::uint64_t{0});
  record.socket_errors = end.totals.socket_errors;
  record.duration = worker_.engine_.now() - began_;
  record.reason = end.reason;
  worker_.report(record, *info());
}

void Connection::account() const {
  if (worker_.reporter_ == nullptr || (!controlling_ && !probing_)) return;
  observe::Record record;
  if (association_ != nullptr) {
    const relay::AssociationTotals& totals = association_->totals();
    record.bytes_up = totals.up.octets;
    record.bytes_down = totals.down.octets;
    record.packets_up = totals.up.datagrams;
    record.packets_down = totals.down.datagrams;
  } else {
    record.bytes_down = probe_octets_;
  }
  worker_.complete(record, *info());
  worker_.account(observe::AccountingKind::interim, record);
}

void Connection::report_end(Reason reason) {
  worker_.counters_.end(reason);
  if (is_denial(reason)) worker_.counters_.denied.add();
  // Not one octet: a health probe or a browser's spare connection, which is only counted.
  if (session_.octets_received() == 0 && !is_diverted()) return;
  // Who is turned away for what is in the log already does not fill it.
  if (worker_.reporter_ == nullptr || reason == Reason::auth_penalty) return;
  const std::unique_ptr<SessionInfo> about = info();
  observe::Record record{.event = event_of(reason)};
  record.reply = session_.reply();
  if (reason == Reason::none) {
    // A question that was answered: a session that began and ended at once.
    record.event = observe::Event::session_start;
    worker_.report(record, *about);
    record.event = observe::Event::session_end;
    record.duration = worker_.engine_.now() - began_;
  }
  record.reason = reason;
  worker_.report(record, *about);
}

std::unique_ptr<SessionInfo> Connection::info() const {
  auto info = std::make_unique<SessionInfo>();
  info->id = id_;
  info->began = began_;
  if (!over_unix_) info->client = peer_;
  if (session_.identity()) {
    info->method = session_.identity()->method();
    info->user = session_.identity()->user();
  } else if (session_.claimed_user()) {
    info->method = name(session_.auth().password_judge().value_or(AuthMethod::password));
    info->user = session_.claimed_user()->name;
  } else {
    info->method = name(AuthMethod::none);
  }
  info->announced_user = announced_user();
  info->dialled = dialled_;
  if (reach_.way() != nullptr) info->route = reach_.way()->text();
  if (ways_ != nullptr) info->route = ways_->text();
  info->listener = listener_;
  if (session_.protocol()) info->protocol = session::name(*session_.protocol());
  if (session_.request()) info->command = wire::name(session_.request()->command);
  info->target = asked_target();
  if (rule_ >= 0) {
    info->rule = policy().rules()[static_cast<std::size_t>(rule_)].name;
    info->detail = policy().options(rule_).log;
  }
  if (detail_) info->detail = *detail_;
  info->grounds = grounds();
  info->trace = session_.trace();
  return info;
}

// For BIND, what counts is who came.
Grounds Connection::grounds() const {
  Grounds grounds{.who = session_.identity().value_or(Identity::anonymous()),
                  .local = local_.address,
                  .source = peer_.address,
                  .proxied = session_.proxied() != nullptr,
                  .command = command_,
                  .asked = {},
                  .candidate = {},
                  .at = worker_.week_time()};
  const Target* const target = session_.target();
  // A redirection leads somewhere that no rule is asked about.
  if (dialled_.port != 0 && !reach_.is_redirected()) grounds.candidate = dialled_.address;
  if (command_ == policy::Command::bind && dialled_.port != 0) {
    grounds.asked = Target{dialled_.address, dialled_.port};
  } else if (target != nullptr) {
    grounds.asked = *target;
  }
  return grounds;
}

// As the client asked, a refused name octet for octet; what nobody could read as a request, not at all.
std::string Connection::asked_target() const {
  if (!session_.request()) return {};
  const wire::AddressField& field = session_.request()->destination;
  if (const auto target = field.target()) return target->to_string();
  return field.received_name + ":" + std::to_string(field.port);
}

}  // namespace stile::server
