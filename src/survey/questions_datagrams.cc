// UDP ASSOCIATE: whether what it says of its relay can be true, and whether datagrams come back.
#include <array>
#include <string>
#include <utility>

#include "policy/classes.h"
#include "route/datagram_way.h"
#include "server/through_upstreams.h"
#include "survey/questions.h"
#include "sys/wait_any.h"
#include "wire/udp_header.h"

namespace stile::survey {
namespace {

constexpr unsigned tries = 3;
constexpr auto answer_wait = std::chrono::seconds(1);
constexpr std::size_t room_octets = 4096;

// A DNS question (RFC 1035 section 4.1): which servers are the root's. Who echoes sends it back; the second octet is
// the number of the try, and comes back from a DNS server as well.
constexpr std::array<std::uint8_t, 17> question{0x53, 0x54, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};

policy::TargetClass class_of(const Address& address) {
  return policy::classify(address, {});
}

/// What the reply says of the relay, by the proxy's own address.
void judge_relay(Case& about, const wire::AddressField& bound) {
  const auto add = [&](Answer answer, std::string detail) {
    about.report.add("udp", "relay's address", answer, std::move(detail));
  };
  const auto relay = bound.target();
  if (!relay) return add(Answer::no, "it cannot be read");
  const std::string text = relay->to_string();
  if (relay->port == 0) return add(Answer::no, text + ": a port to which nothing can be sent");
  if (relay->address() == nullptr) return add(Answer::no, text + ": a name");
  if (relay->address()->is_unspecified())
    return add(Answer::no, text + ": clients have to take the proxy's own address");
  if (about.ground.hops.size() > 1) return add(Answer::untested, text + ": seen from the proxy before it");
  if (*relay->address() == about.proxy->address) return add(Answer::yes, text + ", the proxy's own");
  const policy::TargetClass there = class_of(*relay->address());
  const bool inside = there != class_of(about.proxy->address) && there != policy::TargetClass::public_space;
  add(Answer::no, text + (inside ? ": an address of the inside (" + std::string(policy::name(there)) + ")"
                                 : ": not the proxy's own address, which many clients do not send to"));
}

/// Datagrams there and back.
class Exchange {
 public:
  Exchange(Case& about, const Target& target)
      : about_(about),
        target_(target),
        upstreams_(about.ground.engine, about.ground.resolver),
        way_(about.ground.engine, about.ground.resolver, upstreams_) {
    upstreams_.use(about.plan.upstreams);
    way_.bind<&Exchange::on_change>(this);
    socket_.bind<&Exchange::on_change>(this);
    timer_.bind<&Exchange::on_change>(this);
  }
  ~Exchange() {
    way_.close();
    if (socket_.is_open()) about_.ground.engine.close(socket_);
    about_.ground.engine.cancel(timer_);
    upstreams_.stop();
    while (way_.pending() || socket_.pending() || timer_.pending() || !upstreams_.quiet()) {
      about_.ground.engine.stop();
      about_.ground.engine.run();
    }
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// False: there is no way; `why` tells.
  bool open(std::string& why) {
    way_.start(server::names_of(about_.plan.upstreams), route::Ask{}, route::WayKeys{}, limits::connect_total);
    while (way_.pending() && !way_.is_open()) about_.ground.engine.run();
    const bool open = way_.is_open() && about_.ground.engine.open_udp(socket_, {*way_.from().address, 0}, &way_.from());
    if (open) return true;
    why = way_.reason() == Reason::upstream_failed ? "its relay is not at the proxy's own address, and is not sent to"
                                                   : std::string(token(way_.reason()));
    return false;
  }

  struct Answered {
    Target from;
    Duration after{};
  };
  /// Whoever answers one of a few.
  std::optional<Answered> ask() {
    for (unsigned i = 0; i < tries; ++i) {
      send(static_cast<std::uint8_t>(i));
      about_.ground.engine.start_timer(timer_, about_.ground.engine.now() + answer_wait);
      while (timer_.pending()) {
        if (auto answered = receive()) return answered;
        about_.ground.engine.wait(socket_, engine::Interest::readable);
        about_.ground.engine.run();
      }
    }
    return std::nullopt;
  }

 private:
  void on_change(engine::Status) { about_.ground.engine.stop(); }

  /// `number`: of the try, by which its answer is known.
  void send(std::uint8_t number) {
    const auto own = wire::encode_udp_header(target_);
    std::vector<std::uint8_t> head(way_.headers().outer().begin(), way_.headers().outer().end());
    head.insert(head.end(), own.octets().begin(), own.octets().end());
    std::array<std::uint8_t, question.size()> payload = question;
    payload[1] = number;
    sent_[number] = sys::monotonic_now();
    const engine::Datagram datagram{.peer = way_.relay(), .payload = payload, .head = head};
    (void)about_.ground.engine.send_datagrams(socket_, {&datagram, 1});
  }

  std::optional<Answered> receive() {
    std::array<std::uint8_t, room_octets> room;
    engine::Datagram datagram{.payload = room};
    const auto received = about_.ground.engine.receive_datagrams(socket_, {&datagram, 1});
    if (!received || datagram.peer != way_.relay()) return std::nullopt;
    const auto answer = way_.headers().peel(datagram.payload);
    if (!answer) return std::nullopt;
    const ConstBytes told = datagram.payload.subspan(answer->consumed);
    const bool is_ours = told.size() >= 2 && told[0] == question[0] && told[1] < sent_.size();
    if (!is_ours || sent_[told[1]] == Duration::zero()) return std::nullopt;
    return Answered{answer->from, sys::monotonic_now() - sent_[told[1]]};
  }

  Case& about_;
  Target target_;
  route::Upstreams upstreams_;
  route::DatagramWay way_;
  engine::Socket socket_;
  engine::Timer timer_;
  std::array<Duration, tries> sent_{};
};

std::string milliseconds(Duration time) {
  const auto tenths = std::chrono::duration_cast<std::chrono::microseconds>(time).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

void ask_datagrams(Case& about, const Target& target, bool own) {
  Exchange exchange(about, target);
  std::string why;
  if (!exchange.open(why)) {
    about.report.add("udp", "datagrams", Answer::untested, why);
    return;
  }
  const auto answered = exchange.ask();
  const std::size_t arrived = own ? about.callback->senders().size() : 0;
  // What nobody here got, nobody here has sent back.
  if (!answered || (own && arrived == 0)) {
    const std::string lost = own && arrived > 0 ? "they arrive, and no answer comes back" : "none comes back";
    // Where not even a connection reaches this host, nobody can tell why.
    const bool blind = own && arrived == 0 && !about.reaches_callback;
    about.report.add("udp", "datagrams", blind ? Answer::untested : Answer::no,
                     blind ? about.why_no_callback() + " (name a --udp-target)" : target.to_string() + ": " + lost);
    return;
  }
  about.report.add("udp", "datagrams", Answer::yes,
                   "to " + target.to_string() + " and back in " + milliseconds(answered->after));
  if (target.host_name() != nullptr) {
    about.report.add("udp", "sender", Answer::untested,
                     "the target is a name; " + answered->from.to_string() + " answers");
    return;
  }
  const bool right = answered->from == target;
  about.report.add("udp", "sender", right ? Answer::yes : Answer::no,
                   right ? "told as it is" : "told as " + answered->from.to_string());
}

}  // namespace

void ask_associate(Case& about) {
  Stream control(about.ground);
  const Attempt there =
      attempt(about.ground, about.ground.hops, {.command = wire::Command::udp_associate, .target = {}}, &control);
  about.report.add("commands", "UDP ASSOCIATE", there.ok() ? Answer::yes : Answer::no, there.ok() ? "" : there.text());
  if (!there.ok()) return;
  judge_relay(about, there.bound);
  control.close();
  if (about.plan.udp_target) return ask_datagrams(about, *about.plan.udp_target, false);
  if (about.callback != nullptr) {
    const Endpoint& at = about.callback->datagrams();
    return ask_datagrams(about, {at.address, at.port}, true);
  }
  about.report.add("udp", "datagrams", Answer::untested, about.why_no_callback() + " (or a --udp-target)");
}

}  // namespace stile::survey
