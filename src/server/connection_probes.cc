// PING and TRACEROUTE, as the connection's part: whose address is probed, what the client reads, when it ends.
#include <array>
#include <utility>

#include "base/loopback.h"
#include "server/connection.h"
#include "server/ping_run.h"
#include "server/trace_run.h"

namespace stile::server {
namespace {

constexpr std::size_t receive_octets = 2048;

Reason reason_of(const Error& error, const Address& address) {
  switch (error.kind) {
    case ErrorKind::not_permitted:
      return Reason::ping_no_socket;
    case ErrorKind::no_descriptors:
    case ErrorKind::no_memory:
      return Reason::no_resources;
    default:
      return route::dial_reason({error, std::nullopt}, address.family(), false);
  }
}

}  // namespace

void Connection::perform(const session::Probe&, Next&) {
  watch_client();
  const session::SessionRequest& asked = *session_.request();
  reach_.find({.command = asked.command, .flags = asked.reserved}, dial_limits());
}

// The first allowed address that this host has a way to; what it has no way to, no probe would leave for.
void Connection::probe() {
  Reason refusal = Reason::none;
  for (const Address& address : reach_.addresses()) {
    const auto source = worker_.engine_.source_towards(address);
    const Reason reason = source ? open_probes(address, *source)
                                 : route::dial_reason({source.error(), std::nullopt}, address.family(), false);
    if (reason == Reason::none) {
      rule_ = reach_.decide(address).rule;
      return drive(session::Granted{{told_own(*source), 0}});
    }
    refusal = route::more_specific(refusal, reason);
  }
  drive(session::Failed{refusal});
}

Reason Connection::open_probes(const Address& address, const Address& source) {
  const session::SessionRequest& asked = *session_.request();
  ProbeRequest request{.target = session_.target()->host,
                       .address = address,
                       .source = source,
                       .source_shown = told_own(source),
                       .client = pace(),
                       .show_names = (asked.reserved & wire::probe_without_names) == 0,
                       .show_codes = (asked.reserved & wire::probe_verbose) != 0,
                       .each_hop_once = (asked.reserved & wire::probe_each_hop_once) != 0};
  ProbeClient& client = *this;
  if (asked.command == wire::Command::traceroute) {
    probes_ =
        std::make_unique<TraceRun>(worker_.engine_, common_->probe_gate, client, std::move(request), worker_.resolver_);
  } else {
    probes_ = std::make_unique<PingRun>(worker_.engine_, common_->probe_gate, client, std::move(request));
  }
  probes_->bind<&Connection::on_probed>(this);
  const auto opened = probes_->open();
  return opened ? Reason::none : reason_of(opened.error(), address);
}

// Limits of a user or a source hold for those who proved who they are, and for sources that are not loopback.
std::string Connection::pace() const {
  if (const std::string_view user = session_.identity()->user(); !user.empty()) return "user " + std::string(user);
  return is_loopback(peer_.address) ? std::string() : peer_.address.to_string();
}

void Connection::perform(const session::StartProbes& action, Next& next) {
  if (reach_.way() != nullptr) {
    // Another server probes: its lines pass as they come, and the client's octet, which ends the run, goes to it.
    const std::array<std::uint8_t, 1> end{};
    return perform(session::StartRelay{ConstBytes(end).first(action.end_asked ? 1 : 0)}, next);
  }
  probing_ = true;
  probed_ = true;
  detail_ = policy().options(rule_).log;
  if (out_.empty()) {
    worker_.engine_.cancel(deadline_);
  } else {
    worker_.engine_.start_timer(deadline_, worker_.engine_.now() + limits::probe_reader_wait);
  }
  worker_.counters_.sessions.add();
  worker_.counters_.sessions_open.add();
  if (worker_.reporter_ != nullptr) {
    observe::Record record{.event = observe::Event::session_start};
    record.reply = session_.reply();
    worker_.report(record, *info());
  }
  probes_->begin();
  if (action.end_asked) probes_->stop();
  watch_probes();
}

// One octet ends the run, or the FIN; what comes behind it is discarded.
void Connection::watch_probes() {
  if (out_.empty()) worker_.engine_.cancel(deadline_);  // it reads
  std::array<std::uint8_t, receive_octets> buffer;
  const auto received = client_.receive(worker_.engine_, buffer);
  if (!received && received.error().kind != ErrorKind::would_block) return finish(Reason::reset_client);
  const bool fin = received && *received == 0;
  if (received) {
    if (fin) end_reason_ = Reason::fin_client;
    probes_->stop();  // its completion ends the connection
  }
  // After the end only the socket's failure is of interest until then, and room for what is still to be written.
  auto interest = received ? engine::Interest::none : engine::Interest::readable;
  if (!out_.empty()) interest = received ? engine::Interest::writable : engine::Interest::both;
  client_.wait(worker_.engine_, interest);
}

// A client that does not read has the few lines of probes under way waiting, since no other leaves meanwhile, and some
// time to read them.
void Connection::take_lines(std::string_view lines) {
  probe_octets_ += lines.size();
  const bool waits = !out_.empty();
  out_.insert(out_.end(), lines.begin(), lines.end());
  if (waits) return;
  (void)send_rest();  // the wait for the client's socket tells what failed
  if (out_.empty()) return;
  worker_.engine_.start_timer(deadline_, worker_.engine_.now() + limits::probe_reader_wait);
  if (client_.pending()) client_.wait(worker_.engine_, engine::Interest::both);
}

bool Connection::may_see(const Address& address) {
  const Target target{address, 0};
  return decide(&target, address).decision == policy::Verdict::Decision::allow;
}

void Connection::on_probed(engine::Status) {
  if (ending_) return release_when_quiet();
  end_probes(end_reason_);
  Next next;
  perform(session::Close{end_reason_, session::Close::How::after_reply}, next);
}

// The session's last record, once.
void Connection::end_probes(Reason reason) {
  if (!std::exchange(probing_, false)) return;
  worker_.counters_.sessions_open.subtract();
  worker_.counters_.end(reason);
  worker_.counters_.bytes_down.add(probe_octets_);
  if (worker_.stage_ != Worker::Stage::serving) {
    ++(reason == Reason::drain ? worker_.drained_.reset : worker_.drained_.finished);
  }
  if (worker_.reporter_ == nullptr) return;
  observe::Record record{.event = observe::Event::session_end};
  record.reply = session_.reply();
  record.bytes_up = 0;
  record.bytes_down = probe_octets_;
  record.packets_up = probes_->sent();
  record.packets_down = probes_->answered();
  record.duration = worker_.engine_.now() - began_;
  record.reason = reason;
  worker_.report(record, *info());
}

}  // namespace stile::server
