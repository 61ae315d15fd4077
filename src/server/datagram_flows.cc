#include "server/datagram_flows.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/limits.h"
#include "protect/datagram_layers.h"
#include "route/datagram_way.h"
#include "server/decision.h"
#include "wire/nested_headers.h"
#include "wire/udp_header.h"

namespace stile::server {
namespace {

constexpr std::size_t received_octets_max = wire::nested_headers_octets_max + limits::udp_payload_octets_max;

}  // namespace

/// The datagrams of one client.
class DatagramFlows::Flow {
 public:
  Flow(DatagramFlows& of, DatagramEntrance& entrance, const Endpoint& client, DatagramJudge::Sentence sentence)
      : of_(of),
        entrance_(entrance),
        client_(client),
        sentence_(std::move(sentence)),
        way_(of.engine_, of.resolver_, of.way_.upstreams),
        used_(of.engine_.now()) {
    way_.bind<&Flow::on_way>(this);
    socket_.bind<&Flow::on_ready>(this);
    idle_.bind<&Flow::on_idle>(this);
    of_.engine_.start_timer(idle_, used_ + limits::udp_mapping_idle);
  }

  void send(const Endpoint& called, const Target& target, ConstBytes payload) {
    if (ending_) return;
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
    const Instant until = sent_at_ + limits::datagram_linger;
    if (!unanswered_ || of_.engine_.now() >= until) return end();
    of_.engine_.start_timer(idle_, until);
  }
  void end() noexcept {
    report_end();
    ending_ = true;
    held_.clear();
    of_.engine_.cancel(idle_);
    way_.close();
    if (socket_.is_open()) of_.engine_.close(socket_);
    release_when_quiet();
  }
  [[nodiscard]] Instant used() const noexcept { return used_; }
  [[nodiscard]] bool is_ending() const noexcept { return ending_; }
  [[nodiscard]] bool holds_sockets() const noexcept { return socket_.is_open(); }
  [[nodiscard]] Key key() const { return {&entrance_, client_, sentence_.via}; }

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
    session_ = of_.engine_.random();
    target_ = calls_.front().target.to_string();
    due_ = true;
    sent_ = received_ = sent_octets_ = received_octets_ = 0;
    way_.start(sentence_.via, route::Ask{}, route::WayKeys{}, limits::connect_total);
  }

  void on_way(engine::Status) {
    if (ending_) return release_when_quiet();
    if (way_.is_open()) return socket_.is_open() ? void() : opened();
    if (socket_.is_open()) of_.engine_.close(socket_);
    failed_ = of_.engine_.now();
    held_.clear();
    held_octets_ = 0;
    report_end();
    if (finishing_) return end();
    if (way_.reason() == Reason::no_resources) of_.make_room(true);
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
    std::vector<std::uint8_t> wrapped;
    if (protect::DatagramLayers* const layers = way_.layers()) {
      head.insert(head.end(), payload.begin(), payload.end());
      if (!layers->wrap(head, wrapped)) return;
      datagram.payload = wrapped;
      datagram.head = {};
    }
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
    std::vector<std::uint8_t> plain;
    if (protect::DatagramLayers* const layers = way_.layers()) {
      if (!layers->unwrap(datagram, plain)) return;
      datagram = plain;
    }
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
    const Instant until = used_ + limits::udp_mapping_idle;
    if (!finishing_ && of_.engine_.now() < until) return of_.engine_.start_timer(idle_, until);
    end();
  }

  // Of one association, once.
  void report_end() {
    if (!std::exchange(due_, false)) return;
    const Reason reason = way_.reason();
    if (std::exchange(started_, false)) return report(observe::Event::session_end, reason);
    if (reason != Reason::none) report(observe::Event::error, reason);
  }
  void report(observe::Event event, Reason reason) {
    if (event == observe::Event::session_start) started_ = true;
    if (of_.reporter_ == nullptr) return;
    const std::string route = way_.text();
    observe::Record record{.event = event, .time = of_.engine_.wall_now(), .session = session_};
    of_.describe(record, client_, sentence_);
    record.target = target_;
    record.route = route;
    record.reason = reason;
    if (event == observe::Event::session_end) {
      record.packets_up = sent_;
      record.packets_down = received_;
      record.bytes_up = sent_octets_;
      record.bytes_down = received_octets_;
    }
    if (event == observe::Event::session_start) account(observe::AccountingKind::start, record);
    if (event == observe::Event::session_end) account(observe::AccountingKind::stop, record);
    if (sentence_.is_recorded) of_.reporter_->report(record);
  }
  void account(observe::AccountingKind kind, const observe::Record& record) {
    (void)of_.reporter_->account(kind, record);
  }

  void release_when_quiet() noexcept {
    if (!idle_.pending() && !socket_.pending() && !way_.pending()) of_.ended(*this);
  }

  DatagramFlows& of_;
  DatagramEntrance& entrance_;
  Endpoint client_;
  DatagramJudge::Sentence sentence_;
  route::DatagramWay way_;
  engine::Socket socket_;  // open only while the way is
  engine::Timer idle_;
  std::uint64_t session_ = 0;  // of the way that was begun last, as all that records tell
  std::string target_;         // for which it was begun
  bool due_ = false;           // its end is still to be told
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

DatagramJudge::Sentence DatagramFlows::judge(const Endpoint& client, const Target& target) const {
  if (way_.judge != nullptr) return way_.judge->judge(client, target);
  return {.via = way_.via, .user = {}, .rule = {}};
}

void DatagramFlows::describe(observe::Record& record, const Endpoint& client,
                             const DatagramJudge::Sentence& sentence) const {
  record.listener = way_.listener;
  record.client = client;
  record.protocol = "transparent";
  record.command = wire::name(wire::Command::udp_associate);
  record.user = sentence.user;
  record.method = sentence.method;
  record.rule = sentence.rule;
}

// A client that goes on sending to the same place is not told of again.
void DatagramFlows::denied(const Endpoint& client, const Target& target, const DatagramJudge::Sentence& sentence) {
  if (reporter_ == nullptr || !sentence.is_recorded) return;
  if (const auto told = denied_.find(client); told != denied_.end() && told->second == target) return;
  if (denied_.size() >= limits::datagram_flows_max) denied_.clear();
  denied_.insert_or_assign(client, target);
  const std::string text = target.to_string();
  observe::Record record{.event = event_of(sentence.reason), .time = engine_.wall_now(), .session = engine_.random()};
  describe(record, client, sentence);
  record.target = text;
  record.reason = sentence.reason;
  reporter_->report(record);
}

void DatagramFlows::arrived(DatagramEntrance& entrance, const Endpoint& client, const Endpoint& called,
                            ConstBytes payload) {
  const std::optional<Target> target = entrance.meant_by(called);
  if (!target) return;
  DatagramJudge::Sentence sentence = judge(client, *target);
  if (sentence.via.empty()) return denied(client, *target, sentence);
  Key key{&entrance, client, sentence.via};
  auto found = flows_.find(key);
  if (found == flows_.end()) {
    if (finishing_) return;
    if (flows_.size() >= limits::datagram_flows_max) return make_room(false);
    auto flow = std::make_unique<Flow>(*this, entrance, client, std::move(sentence));
    found = flows_.emplace(std::move(key), std::move(flow)).first;
  }
  found->second->send(called, *target, payload);
}

// For the next one: this one is lost, as in any network that is full. The one that gives way was not used for longest.
void DatagramFlows::make_room(bool of_sockets) noexcept {
  Flow* idlest = nullptr;
  for (const auto& [key, flow] : flows_) {
    if (flow->is_ending() || (of_sockets && !flow->holds_sockets())) continue;
    if (idlest == nullptr || flow->used() < idlest->used()) idlest = flow.get();
  }
  if (idlest != nullptr) idlest->end();
}

void DatagramFlows::ended(const Flow& flow) noexcept {
  flows_.erase(flow.key());
  if (quiet()) engine_.stop();
}

}  // namespace stile::server
