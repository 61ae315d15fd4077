#include "client/probe.h"

#include <algorithm>
#include <string>
#include <variant>

#include "base/assert.h"

namespace stile::client {
namespace {

// What the client sends to end a run: any one octet does, this is ours (protocol reference, section 9.2).
constexpr std::array<std::uint8_t, 1> end_octet{0x00};

route::Ask ask_of(const ProbeOptions& options) {
  return {.command = options.trace ? wire::Command::traceroute : wire::Command::ping,
          .target = {.host = options.target, .port = 0},
          .flags = options.flags};
}

std::string printable(ConstBytes octets) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t octet : octets) {
    if (octet >= 0x20 && octet < 0x7f) {
      text += static_cast<char>(octet);
    } else {
      text += std::string("\\x") + digits[octet / 16] + digits[octet % 16];
    }
  }
  return text;
}

/// Without its LF or CR LF.
ConstBytes without_end(ConstBytes line) {
  line = line.first(line.size() - 1);
  return !line.empty() && line.back() == '\r' ? line.first(line.size() - 1) : line;
}

}  // namespace

Probe::Probe(engine::Engine& engine, resolve::Resolver& resolver, const route::Hop& proxy, const ProbeOptions& options,
             ProbeShow& show)
    : Probe(engine, resolver, std::array<const route::Hop*, 1>{&proxy}, options, show) {}

Probe::Probe(engine::Engine& engine, resolve::Resolver& resolver, std::span<const route::Hop* const> hops,
             const ProbeOptions& options, ProbeShow& show)
    : engine_(engine), options_(options), show_(show), connection_(engine, resolver, hops, ask_of(options)) {
  deadline_.bind<&Probe::on_deadline>(this);
  line_.bind<&Probe::on_ready>(this);
  connection_.bind<&Probe::on_connected>(this);
}

Probe::~Probe() {
  STILE_ASSERT(!pending());
  line_.close(engine_);
}

void Probe::start() {
  running_ = true;
  connection_.start();
}

void Probe::interrupt() {
  if (step_ == Step::streaming) return ask_for_the_end();
  if (step_ != Step::ended) finish({"it was interrupted", ""});
}

// ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────────

void Probe::on_connected(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (connection_.trouble().obstacle != route::Obstacle::none) return finish(route::explain(connection_.trouble()));
  connection_.take(line_);
  step_ = Step::streaming;
  if (!show_.granted(connection_.peer(), connection_.bound())) return finish({"the output cannot be written", ""});
  engine_.start_timer(deadline_, engine_.now() + limits::probe_silence);
  wait();
}

void Probe::wait() {
  line_.wait(engine_, end_unsent_ ? engine::Interest::both : engine::Interest::readable);
}

void Probe::on_ready(engine::Status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (end_unsent_) send_end();
  receive();
}

void Probe::receive() {
  const auto received = line_.receive(engine_, MutableBytes(held_).subspan(held_size_));
  if (!received && received.error().kind == ErrorKind::would_block) return wait();
  if (!received) return finish({"the connection to the proxy broke", "try again"});
  if (*received == 0) return on_fin();
  held_size_ += *received;
  // The farewell's deadline is absolute: no octet extends it.
  if (step_ == Step::streaming) engine_.start_timer(deadline_, engine_.now() + limits::probe_silence);
  read_lines();
  if (step_ != Step::ended) wait();
}

void Probe::read_lines() {
  std::size_t taken = 0;
  while (step_ != Step::ended) {
    const ConstBytes rest = ConstBytes(held_).first(held_size_).subspan(taken);
    const auto result = wire::decode_icmp_line(rest);
    bool told = true;
    if (const auto* const malformed = std::get_if<wire::Malformed>(&result)) {
      const ConstBytes line = rest.first(malformed->consumed);
      if (line.back() != '\n') {
        return finish({"the proxy sent a line of more than " + std::to_string(limits::icmp_line_octets_max) + " octets",
                       "do not trust this proxy"});
      }
      taken += malformed->consumed;
      told = show_text(line);
    } else if (const auto* const parsed = std::get_if<wire::Parsed<wire::IcmpLine>>(&result)) {
      taken += parsed->consumed;
      told = show_line(parsed->value);
    } else {
      break;
    }
    if (!told) return finish({"the output cannot be written", ""});
  }
  std::copy(held_.begin() + static_cast<std::ptrdiff_t>(taken), held_.begin() + static_cast<std::ptrdiff_t>(held_size_),
            held_.begin());
  held_size_ -= taken;
}

bool Probe::show_text(ConstBytes line) {
  return show_.text(printable(without_end(line)));
}

bool Probe::show_line(const wire::IcmpLine& line) {
  if (!show_.line(line)) return false;
  const bool answer = std::holds_alternative<wire::PingAnswer>(line);
  if (answer || std::holds_alternative<wire::PingTimeout>(line) || std::holds_alternative<wire::PingFailure>(line)) {
    ++events_;
  }
  if (answer && !options_.trace) result_.succeeded = true;
  if (std::holds_alternative<wire::PingCounts>(line)) complete_ = true;
  if (const auto* const end = std::get_if<wire::TraceEnd>(&line)) {
    complete_ = true;
    result_.succeeded = options_.trace && end->outcome == wire::TraceOutcome::reached;
  }
  if (options_.count != 0 && events_ >= options_.count && step_ == Step::streaming) ask_for_the_end();
  return true;
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void Probe::ask_for_the_end() {
  step_ = Step::leaving;
  end_unsent_ = true;
  engine_.start_timer(deadline_, engine_.now() + limits::probe_farewell);
  send_end();
  if (end_unsent_ && line_.pending()) wait();  // readable alone would not tell when there is room
}

void Probe::send_end() {
  const auto sent = line_.send(engine_, end_octet);
  // Any other error is met again by the next receive, behind the last lines.
  end_unsent_ = !sent && sent.error().kind == ErrorKind::would_block;
}

void Probe::on_fin() {
  if (complete_) return finish({});
  const bool nothing = events_ == 0 && held_size_ == 0;
  finish({nothing ? "the proxy closed the connection without a word"
                  : "the proxy closed the connection before it told how the run ended",
          "its log may tell more"});
}

void Probe::on_deadline(engine::Status status) {
  if (step_ == Step::ended) return complete_when_quiet();
  if (status != engine::Status::done) return;
  // Some proxies end with their last line and leave the connection open.
  if (complete_) return finish({});
  finish(
      {step_ == Step::leaving ? "the proxy did not end when it was asked to" : "the proxy fell silent", "try again"});
}

void Probe::finish(const session::Advice& trouble) {
  step_ = Step::ended;
  result_.trouble = trouble;
  connection_.cancel();
  engine_.cancel(deadline_);
  line_.close(engine_);
  complete_when_quiet();
}

void Probe::complete_when_quiet() noexcept {
  if (!running_ || connection_.pending() || deadline_.pending() || line_.pending()) return;
  running_ = false;
  engine_.post(done_);
}

}  // namespace stile::client
