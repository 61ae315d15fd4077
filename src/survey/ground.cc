#include "survey/ground.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "client/direct.h"

namespace stile::survey {
namespace {

/// When the last hop was reached, and let us in.
class Clock final : public route::ChainWatch {
 public:
  explicit Clock(std::size_t last) noexcept : last_(last) {}
  void hop_met(std::size_t hop, Duration) noexcept override {
    if (hop == last_) met_ = sys::monotonic_now();
  }
  [[nodiscard]] std::optional<Duration> met() const noexcept { return met_; }

 private:
  std::size_t last_;
  std::optional<Duration> met_;
};

}  // namespace

Stream::Stream(const Ground& ground) : ground_(ground) {
  line_.bind<&Stream::on_ready>(this);
  deadline_.bind<&Stream::on_ready>(this);
}

Stream::~Stream() {
  close();
}

void Stream::close() noexcept {
  if (line_.is_open()) line_.close(ground_.engine);
  ground_.engine.cancel(deadline_);
  while (line_.pending() || deadline_.pending()) {
    ground_.engine.stop();
    ground_.engine.run();
  }
}

bool Stream::wait(engine::Interest interest) {
  ground_.engine.start_timer(deadline_, ground_.engine.now() + step_wait);
  line_.wait(ground_.engine, interest);
  while (line_.pending() && deadline_.pending()) ground_.engine.run();
  const bool ready = !line_.pending();
  line_.cancel(ground_.engine);
  ground_.engine.cancel(deadline_);
  while (line_.pending() || deadline_.pending()) ground_.engine.run();
  return ready;
}

bool Stream::establish() {
  for (;;) {
    const auto done = line_.establish(ground_.engine);
    if (done) return true;
    if (done.error().kind != ErrorKind::would_block || !wait(engine::Interest::readable)) return false;
  }
}

bool Stream::send(ConstBytes octets) {
  while (!octets.empty()) {
    const auto sent = line_.send(ground_.engine, octets);
    if (sent) {
      octets = octets.subspan(*sent);
    } else if (sent.error().kind != ErrorKind::would_block || !wait(engine::Interest::writable)) {
      return false;
    }
  }
  return true;
}

std::vector<std::uint8_t> Stream::receive(std::size_t octets_max) {
  std::vector<std::uint8_t> room(octets_max);
  for (;;) {
    const auto received = line_.receive(ground_.engine, room);
    if (!received && received.error().kind == ErrorKind::would_block && wait(engine::Interest::readable)) continue;
    room.resize(received.value_or(0));
    return room;
  }
}

std::vector<std::uint8_t> Stream::receive_all(std::size_t octets) {
  std::vector<std::uint8_t> all;
  while (all.size() < octets) {
    const auto more = receive(octets - all.size());
    if (more.empty()) break;
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::string Attempt::text() const {
  return route::explain(trouble).why;
}

Attempt attempt(const Ground& ground, std::span<const route::Hop* const> hops, const route::Ask& ask, Stream* into,
                Duration limit) {
  Attempt result;
  Stopper stopper(ground.engine);
  const Duration begun = sys::monotonic_now();
  route::Approach approach(ground.engine, ground.resolver);
  approach.bind<&Stopper::on_done>(&stopper);
  approach.start(*hops.front(), route::dial_limits(*hops.front(), step_wait), {});
  ground.finish(approach);
  const Duration dialled = sys::monotonic_now();
  result.dial = dialled - begun;
  result.trouble = approach.trouble();
  if (!result.ok()) return result;
  result.peer = approach.peer();
  route::Chain chain(ground.engine, ground.resolver, hops, ask, {.greeting = limit, .conversation = limit});
  Clock clock(hops.size() - 1);
  chain.watch(clock);
  chain.bind<&Stopper::on_done>(&stopper);
  chain.start(approach);
  ground.finish(chain);
  const Duration ended = sys::monotonic_now();
  result.trouble = chain.trouble();
  result.bound = chain.bound();
  result.let_in = clock.met().value_or(ended) - dialled;
  result.granted = ended - clock.met().value_or(ended);
  if (result.ok() && into != nullptr && !chain.awaits_peer()) chain.take(into->line());
  return result;
}

bool approach(const Ground& ground, Stream& into) {
  const route::Hop& last = ground.proxy();
  if (ground.hops.size() > 1) {
    const std::span<const route::Hop* const> before(ground.hops.data(), ground.hops.size() - 1);
    return attempt(ground, before, {.target = last.url.server}, &into).ok();
  }
  Stopper stopper(ground.engine);
  client::Direct direct(ground.engine, ground.resolver, last.url.server);
  direct.bind<&Stopper::on_done>(&stopper);
  direct.start();
  ground.finish(direct);
  if (direct.reason() != Reason::none) return false;
  direct.take(into.line());
  return true;
}

}  // namespace stile::survey
