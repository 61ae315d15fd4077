#include "netns/pings.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "base/loopback.h"
#include "client/probe.h"
#include "server/packet_source.h"
#include "sys/diverted_socket.h"
#include "wire/ip_packet.h"

namespace stile::netns {
namespace {

constexpr std::size_t message_octets_max = 65'535;

}  // namespace

/// Where the requests of one family come in, and their replies go.
class Pings::Entrance {
 public:
  Entrance(Pings& of, Family family, sys::UniqueFd requests, sys::UniqueFd source)
      : of_(of),
        family_(family),
        requests_(std::move(requests)),
        source_(std::move(source)),
        room_(message_octets_max) {
    watch_.bind<&Entrance::on_ready>(this);
    of_.engine_.adopt(watch_, requests_.get());
    of_.engine_.wait(watch_, engine::Interest::readable);
  }
  void reply(const Address& from, const Address& to, const wire::Echo& echo) const {
    source_.send(to, wire::encode_echo_reply(from, to, echo));
  }
  [[nodiscard]] Family family() const noexcept { return family_; }
  void stop() noexcept {
    if (watch_.is_open()) of_.engine_.release(watch_);
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    for (std::size_t i = 0; i < limits::echo_batch_max; ++i) {
      const auto received = sys::receive_echo_request(requests_.get(), family_, room_);
      if (!received) break;
      of_.arrived(*this, *received, ConstBytes(room_).first(received->octets));
    }
    of_.engine_.wait(watch_, engine::Interest::readable);
  }

  Pings& of_;
  Family family_;
  sys::UniqueFd requests_;
  server::PacketSource source_;
  std::vector<std::uint8_t> room_;
  engine::Socket watch_;
};

/// The proxy's probes of one host, and the requests that wait for them.
class Pings::Run final : private client::ProbeShow {
 public:
  Run(Pings& of, const Host& target, std::shared_ptr<const route::Hop> proxy)
      : of_(of),
        target_(target),
        proxy_(std::move(proxy)),
        probe_(of.engine_, of.resolver_, *proxy_, {.target = target, .flags = client::probe_no_names}, *this) {
    probe_.bind<&Run::on_ended>(this);
    timer_.bind<&Run::on_timer>(this);
    probe_.start();
  }

  void ask(const Entrance& entrance, const Address& from, const Address& called, const wire::Echo& echo) {
    used_ = of_.engine_.now();
    if (ending_ || requests_.size() >= limits::ping_requests_max) return;
    requests_.push_back({&entrance,
                         from,
                         called,
                         echo.identifier,
                         echo.sequence,
                         {echo.payload.begin(), echo.payload.end()},
                         time_ ? std::optional(used_ + *time_) : std::nullopt});
    arm();
  }
  void end() {
    if (std::exchange(ending_, true)) return;
    requests_.clear();
    of_.engine_.cancel(timer_);
    // At once, the second time.
    probe_.interrupt();
    probe_.interrupt();
    release_when_quiet();
  }
  [[nodiscard]] std::pair<Host, const route::Hop*> key() const { return {target_, proxy_.get()}; }

 private:
  struct Request {
    const Entrance* entrance;
    Address from;
    Address called;
    std::uint16_t identifier;
    std::uint16_t sequence;
    std::vector<std::uint8_t> payload;
    std::optional<Instant> due;  // absent: as soon as the next probe's answer is there
  };

  bool granted(const Endpoint&, const wire::AddressField&) override { return true; }
  bool text(std::string_view) override { return true; }
  bool line(const wire::IcmpLine& line) override {
    if (const auto* const answer = std::get_if<wire::PingAnswer>(&line)) {
      time_ = answer->time;
      for (Request& request : requests_) request.due = request.due.value_or(of_.engine_.now());
      arm();
    } else if (std::holds_alternative<wire::PingTimeout>(line) || std::holds_alternative<wire::PingFailure>(line)) {
      time_.reset();
      std::erase_if(requests_, [](const Request& request) { return !request.due; });
    }
    return true;
  }

  void arm() {
    Instant next = used_ + limits::ping_idle;
    for (const Request& request : requests_) next = std::min(next, request.due.value_or(next));
    of_.engine_.start_timer(timer_, next);
  }
  void on_timer(engine::Status status) {
    if (ending_) return release_when_quiet();
    if (status == engine::Status::canceled) return;
    const Instant now = of_.engine_.now();
    std::erase_if(requests_, [&](const Request& request) {
      if (!request.due || *request.due > now) return false;
      request.entrance->reply(
          request.called, request.from,
          {.identifier = request.identifier, .sequence = request.sequence, .payload = request.payload});
      return true;
    });
    if (now - used_ >= limits::ping_idle) return end();
    arm();
  }
  void on_ended(engine::Status) {
    if (!ending_) return end();
    release_when_quiet();
  }
  void release_when_quiet() noexcept {
    if (!timer_.pending() && !probe_.pending()) of_.ended(*this);
  }

  Pings& of_;
  Host target_;
  std::shared_ptr<const route::Hop> proxy_;
  client::Probe probe_;
  engine::Timer timer_;
  std::deque<Request> requests_;
  std::optional<Duration> time_;  // that the last probe took; absent: it was lost, or there was none
  Instant used_{};
  bool ending_ = false;
};

Pings::Pings(engine::EpollEngine& engine, resolve::Resolver& resolver, PingJudge& judge, resolve::StandInNames& names)
    : engine_(engine), resolver_(resolver), judge_(judge), names_(names) {}

Pings::~Pings() = default;

void Pings::serve(Family family, sys::UniqueFd requests, sys::UniqueFd source) {
  entrances_.push_back(std::make_unique<Entrance>(*this, family, std::move(requests), std::move(source)));
}

void Pings::stop() noexcept {
  for (const auto& entrance : entrances_) entrance->stop();
  stopping_ = true;
  for (auto run = runs_.begin(); run != runs_.end();) (run++)->second->end();  // it may be released by that
}

void Pings::arrived(Entrance& entrance, const sys::AddressedDatagram& request, ConstBytes message) {
  const Address& from = request.from.address;
  const Address& called = request.called.address;
  const auto echo = wire::decode_echo_request(entrance.family(), message);
  if (!echo || echo->payload.size() > wire::udp_packet_payload_octets_max || from.family() != called.family()) return;
  if (is_loopback(called) || called == resolve::own_v4() || called == resolve::own_v6()) {
    return entrance.reply(called, from, *echo);
  }
  if (traces_ != nullptr && traces_->take(from, called, request.hops, *echo)) return;
  if (names_.is_lost(called)) return;
  const Host target = names_.host_of(called);
  auto proxy = judge_.judge(from, target);
  if (proxy == nullptr) return;
  auto found = runs_.find({target, proxy.get()});
  if (found == runs_.end()) {
    if (runs_.size() >= limits::ping_runs_max) return;
    const std::pair key{target, static_cast<const route::Hop*>(proxy.get())};
    found = runs_.emplace(key, std::make_unique<Run>(*this, target, std::move(proxy))).first;
  }
  found->second->ask(entrance, from, called, *echo);
}

void Pings::ended(const Run& run) noexcept {
  runs_.erase(run.key());
  if (quiet()) engine_.stop();
}

}  // namespace stile::netns
