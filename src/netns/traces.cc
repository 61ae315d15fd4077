#include "netns/traces.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "base/loopback.h"
#include "client/probe.h"
#include "route/trouble.h"
#include "wire/icmp_text.h"

namespace stile::netns {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t runs_max = 16;
constexpr std::size_t questions_max = 256;
constexpr std::size_t questions_octets_max = 262'144;  // of one run's, with their replies; one more may come on top
constexpr auto failed_idle = 1s;
constexpr auto idle = 15s;  // from the last question to the end: the way is found anew then
constexpr auto refusal_kept = 5min;

wire::Undelivered undelivered_of(wire::TraceMark mark) {
  switch (mark) {
    case wire::TraceMark::network:
      return wire::Undelivered::network;
    case wire::TraceMark::host:
      return wire::Undelivered::host;
    case wire::TraceMark::protocol:
      return wire::Undelivered::protocol;
    case wire::TraceMark::prohibited:
      return wire::Undelivered::prohibited;
    case wire::TraceMark::none:
      break;
  }
  return wire::Undelivered::hops_exceeded;
}

}  // namespace

/// The proxy's trace of the way to one host, and the questions that wait for it.
class Traces::Run final : private client::ProbeShow {
 public:
  Run(Traces& of, Matter matter)
      : of_(of),
        matter_(std::move(matter)),
        probe_(of.engine_, of.resolver_, *matter_.proxy,
               {.trace = true, .target = matter_.target, .flags = client::probe_no_names | client::probe_each_hop_once},
               *this) {
    probe_.bind<&Run::on_ended>(this);
    timer_.bind<&Run::on_timer>(this);
    probe_.start();
  }

  void ask(Question question) {
    used_ = of_.engine_.now();
    if (ending_ || questions_.size() >= questions_max || octets_held() >= questions_octets_max) return;
    question.asked = used_;
    questions_.push_back(std::move(question));
    settle();
  }
  void end() {
    if (std::exchange(ending_, true)) return;
    questions_.clear();
    of_.engine_.cancel(timer_);
    // At once, the second time.
    probe_.interrupt();
    probe_.interrupt();
    release_when_quiet();
  }
  [[nodiscard]] std::pair<Host, const route::Hop*> key() const { return {matter_.target, matter_.proxy.get()}; }

 private:
  struct Hop {
    std::vector<std::optional<wire::TraceProbe>> probes;
    std::size_t turn = 0;  // of the probe that the next answer is like
  };

  bool granted(const Endpoint&, const wire::AddressField&) override { return true; }
  bool text(std::string_view) override { return true; }
  bool line(const wire::IcmpLine& line) override {
    if (const auto* const start = std::get_if<wire::TraceStart>(&line)) address_ = start->address;
    if (const auto* const hop = std::get_if<wire::TraceHop>(&line)) {
      hops_.resize(std::max<std::size_t>(hops_.size(), hop->hop));
      hops_[hop->hop - 1] = {hop->probes, 0};
    }
    if (const auto* const end = std::get_if<wire::TraceEnd>(&line)) outcome_ = end->outcome;
    settle();
    return true;
  }

  // What the proxy does not tell is lost.
  void on_ended(engine::Status) {
    if (ending_) return release_when_quiet();
    if (route::reason_of(probe_.connection(), 1) == Reason::upstream_command) of_.refused(matter_.proxy);
    if (!outcome_) outcome_ = wire::TraceOutcome::ended;
    // The proxy may be back, or its rules others, before long.
    if (hops_.empty()) kept_ = failed_idle;
    ended_ = of_.engine_.now();
    settle();
  }

  void settle() {
    const Instant now = of_.engine_.now();
    std::erase_if(questions_, [&](Question& question) {
      return !question.due && is_known(question.hops) && !answer(question, now);
    });
    arm();
  }

  [[nodiscard]] std::size_t octets_held() const {
    std::size_t octets = 0;
    for (const Question& question : questions_) {
      octets += question.packet.size() + question.reply.size() + (question.answer ? question.answer->size() : 0);
    }
    return octets;
  }

  [[nodiscard]] bool is_known(std::uint8_t hop) const {
    return outcome_.has_value() || (hop <= hops_.size() && !hops_[hop - 1U].probes.empty());
  }

  /// False where there is none.
  bool answer(Question& question, Instant now) {
    const bool beyond = question.hops > hops_.size();
    const bool stays = outcome_ == wire::TraceOutcome::reached || outcome_ == wire::TraceOutcome::unreachable;
    if (hops_.empty() || (beyond && !stays)) return false;
    Hop& hop = beyond ? hops_.back() : hops_[question.hops - 1U];
    if (hop.probes.empty()) return false;
    const auto& probe = hop.probes[hop.turn++ % hop.probes.size()];
    if (!probe) return false;
    question.due = std::max(now, question.asked + probe->time);
    if (probe->mark == wire::TraceMark::none && probe->from == address_) {
      const auto reached = [&] {
        return wire::encode_icmp_error(question.called, question.from, wire::Undelivered::port, question.packet);
      };
      question.answer = question.reply.empty() ? reached() : std::exchange(question.reply, {});
      return true;
    }
    // Beyond the last hop there is only who turned the proxy's probe away.
    if (probe->from.family() != question.from.family()) return false;
    if (beyond && probe->mark == wire::TraceMark::none) return false;
    question.answer = wire::encode_icmp_error(probe->from, question.from, undelivered_of(probe->mark), question.packet);
    return true;
  }

  void arm() {
    Instant next = end_of_use();
    for (const Question& question : questions_) next = std::min(next, question.due.value_or(next));
    of_.engine_.start_timer(timer_, next);
  }
  void on_timer(engine::Status status) {
    if (ending_) return release_when_quiet();
    if (status == engine::Status::canceled) return;
    const Instant now = of_.engine_.now();
    std::erase_if(questions_, [&](const Question& question) {
      if (!question.due || *question.due > now) return false;
      of_.send(question.from, *question.answer);
      return true;
    });
    if (now >= end_of_use()) return end();
    arm();
  }
  // Nobody's questions prolong a failure.
  [[nodiscard]] Instant end_of_use() const { return (hops_.empty() && outcome_ ? ended_ : used_) + kept_; }

  void release_when_quiet() noexcept {
    if (!timer_.pending() && !probe_.pending()) of_.ended(*this);
  }

  Traces& of_;
  Matter matter_;
  client::Probe probe_;
  engine::Timer timer_;
  std::deque<Question> questions_;
  std::optional<Address> address_;  // the target's, as the proxy has it
  std::vector<Hop> hops_;
  std::optional<wire::TraceOutcome> outcome_;
  Duration kept_ = idle;
  Instant used_{};
  Instant ended_{};
  bool ending_ = false;
};

Traces::Traces(engine::EpollEngine& engine, resolve::Resolver& resolver, PingJudge& judge, resolve::StandInNames& names)
    : engine_(engine), resolver_(resolver), judge_(judge), names_(names) {}

Traces::~Traces() = default;

void Traces::answer_by(Family family, sys::UniqueFd source) {
  (family == Family::ipv4 ? source_v4_ : source_v6_) = server::PacketSource(std::move(source));
}

bool Traces::take(const Endpoint& from, const Endpoint& called, std::uint8_t hops, ConstBytes payload) {
  if (payload.size() > wire::udp_packet_payload_octets_max) return false;
  auto matter = matter_of(from.address, called.address, hops);
  if (!matter) return false;
  auto packet = wire::encode_udp_packet(from, called, payload);
  packet.resize(std::min(packet.size(), wire::quoted_octets_max));
  ask(std::move(*matter),
      {.from = from.address, .called = called.address, .hops = hops, .packet = std::move(packet), .reply = {}});
  return true;
}

bool Traces::take(const Address& from, const Address& called, std::uint8_t hops, const wire::Echo& echo) {
  auto matter = matter_of(from, called, hops);
  if (!matter) return false;
  auto packet = wire::encode_echo_request(from, called, echo);
  packet.resize(std::min(packet.size(), wire::quoted_octets_max));
  ask(std::move(*matter), {.from = from,
                           .called = called,
                           .hops = hops,
                           .packet = std::move(packet),
                           .reply = wire::encode_echo_reply(called, from, echo)});
  return true;
}

std::optional<Traces::Matter> Traces::matter_of(const Address& from, const Address& called, std::uint8_t hops) {
  if (stopping_ || hops == 0 || hops > limits::trace_hops_max || from.family() != called.family()) return std::nullopt;
  if (is_loopback(called) || called == resolve::own_v4() || called == resolve::own_v6()) return std::nullopt;
  if (names_.is_lost(called)) return std::nullopt;
  Matter matter{.target = names_.host_of(called), .proxy = nullptr};
  matter.proxy = judge_.judge(from, matter.target);
  if (matter.proxy == nullptr || refuses(*matter.proxy)) return std::nullopt;
  return matter;
}

// A proxy may be another program before long, and what has taken the place of a forgotten one has refused nothing.
bool Traces::refuses(const route::Hop& proxy) {
  const Instant now = engine_.now();
  std::erase_if(refusals_, [&](const Refusal& refusal) { return refusal.proxy.expired() || refusal.until <= now; });
  return std::ranges::any_of(refusals_, [&](const Refusal& refusal) { return refusal.proxy.lock().get() == &proxy; });
}

void Traces::refused(const std::shared_ptr<const route::Hop>& proxy) {
  if (!refuses(*proxy)) refusals_.push_back({proxy, engine_.now() + refusal_kept});
}

void Traces::ask(Matter matter, Question question) {
  const std::pair key{matter.target, static_cast<const route::Hop*>(matter.proxy.get())};
  auto found = runs_.find(key);
  if (found == runs_.end()) {
    if (runs_.size() >= runs_max) return;
    found = runs_.emplace(key, std::make_unique<Run>(*this, std::move(matter))).first;
  }
  found->second->ask(std::move(question));
}

void Traces::send(const Address& to, ConstBytes packet) const {
  const server::PacketSource& source = to.is_v4() ? source_v4_ : source_v6_;
  if (source.is_open()) source.send(to, packet);
}

void Traces::stop() noexcept {
  stopping_ = true;
  for (auto run = runs_.begin(); run != runs_.end();) (run++)->second->end();  // it may be released by that
}

void Traces::ended(const Run& run) noexcept {
  runs_.erase(run.key());
  if (quiet()) engine_.stop();
}

}  // namespace stile::netns
