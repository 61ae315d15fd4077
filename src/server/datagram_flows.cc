#include "server/datagram_flows.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/limits.h"
#include "route/datagram_way.h"
#include "wire/nested_headers.h"
#include "wire/udp_header.h"

namespace stile::server {
namespace {

constexpr std::size_t received_octets_max = wire::nested_headers_octets_max + limits::udp_payload_octets_max;

}  // namespace

/// The datagrams of one client.
class DatagramFlows::Flow {
 public:
  Flow(DatagramFlows& of, DatagramEntrance& entrance, const Endpoint& client)
      : of_(of),
        entrance_(entrance),
        client_(client),
        way_(of.engine_, of.resolver_, of.way_.upstreams),
        session_(of.engine_.random()),
        used_(of.engine_.now()) {
    way_.bind<&Flow::on_way>(this);
    socket_.bind<&Flow::on_ready>(this);
    idle_.bind<&Flow::on_idle>(this);
    of_.engine_.start_timer(idle_, used_ + limits::udp_mapping_idle);
  }

  void send(const Endpoint& called, ConstBytes payload) {
    if (ending_) return;
    const std::optional<Target> meant = entrance_.meant_by(called);
    if (!meant) return;
    const Target& target = *meant;
    used_ = of_.engine_.now();
    note(called, target);
    if (way_.is_open() && socket_.is_open()) return transmit(target, payload);
    const bool room = held_.size() < limits::udp_waiting_datagrams_max &&
                      held_octets_ + payload.size() <= limits::udp_waiting_octets_max;
    if (!room) return;
    held_.push_back({target, {payload.begin(), payload.end()}});
    held_octets_ += payload.size();
    open();
  }

  /// Ends as soon as nothing waits any longer. What was sent last has to reach the proxy before it is told of the end.
  void finish() {
    finishing_ = true;
    if (!held_.empty()) return;
    const Instant end = sent_at_ + limits::datagram_linger;
    if (!unanswered_ || of_.engine_.now() >= end) return end_of_use();
    of_.engine_.start_timer(idle_, end);
  }
  void end() noexcept {
    ending_ = true;
    held_.clear();
    of_.engine_.cancel(idle_);
    way_.close();
    if (socket_.is_open()) of_.engine_.close(socket_);
    release_when_quiet();
  }
  [[nodiscard]] Instant used() const noexcept { return used_; }
  [[nodiscard]] bool is_ending() const noexcept { return ending_; }
  [[nodiscard]] Key key() const noexcept { return {&entrance_, client_}; }

 private:
  struct Held {
    Target target;
    std::vector<std::uint8_t> payload;
  };
  /// Whom the client sent to: the address that it called, and what is meant by it.
  struct Call {
    Endpoint called;
    Target target;
  };

  // The one called last stands in front; whoever was not called for longest is forgotten.
  void note(const Endpoint& called, const Target& target) {
    const auto known = std::ranges::find(calls_, called, &Call::called);
    if (known != calls_.end()) {
      std::rotate(calls_.begin(), known, known + 1);
      calls_.front().target = target;
      return;
    }
    if (calls_.size() == limits::datagram_calls_max) calls_.pop_back();
    calls_.push_front({called, target});
  }

  // Behind a way that failed not every datagram begins another.
  void open() {
    if (!way_.is_closed() || way_.pending()) return;
    if (failed_ && of_.engine_.now() - *failed_ < limits::udp_way_pause) {
      held_.clear();
      held_octets_ = 0;
      return;
    }
    way_.start(of_.way_.via, route::Ask{}, route::WayKeys{}, limits::connect_total);
  }

  void on_way(engine::Status) {
    if (ending_) return release_when_quiet();
    if (way_.is_open()) return socket_.is_open() ? void() : opened();
    if (socket_.is_open()) of_.engine_.close(socket_);
    failed_ = of_.engine_.now();
    held_.clear();
    held_octets_ = 0;
    report_end();
    if (finishing_) end();
  }

  void opened() {
    const engine::Egress& from = way_.from();
    if (!of_.engine_.open_udp(socket_, {*from.address, 0}, &from)) return way_.close();
    report(observe::Event::session_start, Reason::none);
    of_.engine_.wait(socket_, engine::Interest::readable);
    for (const Held& one : std::exchange(held_, {})) transmit(one.target, one.payload);
    held_octets_ = 0;
    if (finishing_) finish();
  }

  void transmit(const Target& target, ConstBytes payload) {
    const auto own = wire::encode_udp_header(target);
    std::vector<std::uint8_t> head(way_.headers().outer().begin(), way_.headers().outer().end());
    head.insert(head.end(), own.octets().begin(), own.octets().end());
    engine::Datagram datagram{
        .peer = way_.relay(), .payload = {const_cast<std::uint8_t*>(payload.data()), payload.size()}, .head = head};
    if (of_.engine_.send_datagrams(socket_, {&datagram, 1})) {
      ++sent_;
      sent_octets_ += payload.size();
      sent_at_ = of_.engine_.now();
      unanswered_ = true;
    }
  }

  void on_ready(engine::Status) {
    if (ending_) return release_when_quiet();
    if (!socket_.is_open()) return;
    for (std::size_t i = 0; i < limits::udp_batch_datagrams_max; ++i) {
      engine::Datagram datagram{.payload = {of_.room_.get(), received_octets_max}};
      const auto received = of_.engine_.receive_datagrams(socket_, {&datagram, 1});
      if (!received && received.error().kind == ErrorKind::would_block) break;
      if (received && datagram.peer == way_.relay() && !datagram.truncated) answered(datagram.payload);
    }
    of_.engine_.wait(socket_, engine::Interest::readable);
  }

  void answered(ConstBytes datagram) {
    const auto answer = way_.headers().peel(datagram);
    if (!answer) return;
    const auto from = known_to_client(answer->from);
    if (!from) return;
    used_ = of_.engine_.now();
    const ConstBytes payload = datagram.subspan(answer->consumed);
    unanswered_ = false;
    ++received_;
    received_octets_ += payload.size();
    entrance_.answer(*from, client_, payload);
  }

  // The proxy tells addresses of whom the client knows by name: of those, the one called last at this port has
  // answered.
  [[nodiscard]] std::optional<Endpoint> known_to_client(const Target& from) const {
    const auto literal = std::ranges::find_if(calls_, [&](const Call& call) { return call.target == from; });
    if (literal != calls_.end()) return literal->called;
    const auto named = std::ranges::find_if(
        calls_, [&](const Call& call) { return call.target.host_name() != nullptr && call.target.port == from.port; });
    if (named != calls_.end()) return named->called;
    if (from.address() == nullptr || !entrance_.hears_strangers()) return std::nullopt;
    return Endpoint{*from.address(), from.port};
  }

  void on_idle(engine::Status status) {
    if (ending_) return release_when_quiet();
    if (status == engine::Status::canceled) return;
    const Instant end = used_ + limits::udp_mapping_idle;
    if (!finishing_ && of_.engine_.now() < end) return of_.engine_.start_timer(idle_, end);
    end_of_use();
  }

  void end_of_use() {
    report_end();
    end();
  }

  void report_end() {
    const Reason reason = way_.reason();
    if (std::exchange(started_, false)) return report(observe::Event::session_end, reason);
    if (reason != Reason::none) report(observe::Event::error, reason);
  }
  void report(observe::Event event, Reason reason) {
    if (event == observe::Event::session_start) started_ = true;
    if (of_.reporter_ == nullptr) return;
    const std::string target = calls_.empty() ? std::string() : calls_.back().target.to_string();
    const std::string route = way_.text();
    observe::Record record{.event = event, .time = of_.engine_.wall_now(), .session = session_};
    record.client = client_;
    record.protocol = "transparent";
    record.command = wire::name(wire::Command::udp_associate);
    record.target = target;
    record.route = route;
    record.reason = reason;
    if (event == observe::Event::session_end) {
      record.packets_up = sent_;
      record.packets_down = received_;
      record.bytes_up = sent_octets_;
      record.bytes_down = received_octets_;
    }
    of_.reporter_->report(record);
  }

  void release_when_quiet() noexcept {
    if (!idle_.pending() && !socket_.pending() && !way_.pending()) of_.ended(*this);
  }

  DatagramFlows& of_;
  DatagramEntrance& entrance_;
  Endpoint client_;
  route::DatagramWay way_;
  engine::Socket socket_;  // open only while the way is
  engine::Timer idle_;
  std::uint64_t session_;
  Instant used_;
  Instant sent_at_{};
  std::optional<Instant> failed_;
  std::deque<Call> calls_;
  std::vector<Held> held_;  // until the way is open
  std::size_t held_octets_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t sent_octets_ = 0;
  std::uint64_t received_octets_ = 0;
  bool unanswered_ = false;  // nothing came since
  bool started_ = false;
  bool finishing_ = false;
  bool ending_ = false;
};

DatagramFlows::DatagramFlows(engine::Engine& engine, resolve::Resolver& resolver, Way way, Reporter* reporter)
    : engine_(engine),
      resolver_(resolver),
      way_(std::move(way)),
      reporter_(reporter),
      room_(std::make_unique<std::uint8_t[]>(received_octets_max)) {}

DatagramFlows::~DatagramFlows() {
  STILE_ASSERT(flows_.empty());
}

void DatagramFlows::finish() {
  finishing_ = true;
  for (auto flow = flows_.begin(); flow != flows_.end();) (flow++)->second->finish();  // it may be released by that
}

void DatagramFlows::stop() noexcept {
  finishing_ = true;
  for (auto flow = flows_.begin(); flow != flows_.end();) (flow++)->second->end();
}

void DatagramFlows::arrived(DatagramEntrance& entrance, const Endpoint& client, const Endpoint& called,
                            ConstBytes payload) {
  const Key key{&entrance, client};
  auto found = flows_.find(key);
  if (found == flows_.end()) {
    if (finishing_) return;
    if (flows_.size() >= limits::datagram_flows_max) return make_room();
    found = flows_.emplace(key, std::make_unique<Flow>(*this, entrance, client)).first;
  }
  found->second->send(called, payload);
}

// For the next one: this one is lost, as in any network that is full.
void DatagramFlows::make_room() noexcept {
  const auto idlest = std::ranges::min_element(
      flows_, {}, [](const auto& flow) { return std::pair(flow.second->is_ending(), flow.second->used()); });
  if (!idlest->second->is_ending()) idlest->second->end();
}

void DatagramFlows::ended(const Flow& flow) noexcept {
  flows_.erase(flow.key());
  if (quiet()) engine_.stop();
}

}  // namespace stile::server
