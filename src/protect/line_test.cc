// A protected line between two sockets on the simulation: any split, waits that plain octets satisfy, an end that does
// not go out at once, and each call of the engine failing in its turn.
#include "protect/line.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "base/limits.h"
#include "engine/sim/sim_engine.h"
#include "protect/transform_for_tests.h"

namespace stile::protect {
namespace {

using namespace std::chrono_literals;

ConstBytes octets_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Sends all it has, then its end; reads `room` octets at a time until the other's.
class End {
 public:
  explicit End(engine::Engine& engine) : engine_(engine) { line.bind<&End::on_ready>(this); }
  ~End() { line.close(engine_); }

  void begin(std::string text, std::size_t room) {
    to_send_ = std::move(text);
    room_ = room;
    act();
  }
  [[nodiscard]] bool over() const { return failed || (saw_end && end_sent_); }

  Line line;
  std::string received;
  bool saw_end = false;
  bool failed = false;

 private:
  void on_ready(engine::Status) {
    if (!line.is_open()) return;
    if (connecting_) {
      connecting_ = false;
      failed = !engine_.connect_result(line.socket()).has_value();
      return;
    }
    if (!over()) act();
  }

  // One read a completion, so that what is left is found by the wait alone.
  void act() {
    while (!to_send_.empty()) {
      const auto sent = line.send(engine_, octets_of(to_send_));
      if (!sent && sent.error().kind == ErrorKind::would_block) break;
      if (!sent) return fail();
      to_send_.erase(0, *sent);
    }
    if (to_send_.empty() && !end_sent_) {
      const auto sent = line.shutdown_write(engine_);
      if (!sent && sent.error().kind != ErrorKind::would_block) return fail();
      end_sent_ = sent.has_value();
    }
    if (!saw_end && !read()) return fail();
    if (over()) return;
    line.wait(engine_, static_cast<engine::Interest>((saw_end ? 0 : 1) | (end_sent_ ? 0 : 2)));
  }

  bool read() {
    std::array<std::uint8_t, 4096> buffer;
    const auto count = line.receive(engine_, MutableBytes(buffer).first(room_));
    if (!count) return count.error().kind == ErrorKind::would_block;
    saw_end = *count == 0;
    received.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*count));
    return true;
  }

  void fail() {
    failed = true;
    line.abort(engine_);
  }

  friend class Pair;
  engine::Engine& engine_;
  std::string to_send_;
  std::size_t room_ = 1;
  bool connecting_ = false;
  bool end_sent_ = false;
};

class Pair {
 public:
  explicit Pair(std::uint64_t seed, const engine::SimFaults& faults = {})
      : engine(seed, faults), one(engine), two(engine) {
    listener_.bind<&Pair::on_listener>(this);
    const Endpoint where{Address::v4(127, 0, 0, 1), 1080};
    EXPECT_TRUE(engine.listen(listener_, where, {}).has_value());
    one.connecting_ = true;
    EXPECT_TRUE(engine.connect(one.line.socket(), where).has_value());
    (void)engine.run_until_idle();
    EXPECT_TRUE(engine.try_accept(listener_, two.line.socket()).has_value());
    engine.close(listener_);
  }
  void protect() {
    one.line.protect(std::make_unique<PlainToSee>());
    two.line.protect(std::make_unique<PlainToSee>());
  }

  engine::SimEngine engine;
  End one;
  End two;

 private:
  void on_listener(engine::Status) {}
  engine::Socket listener_;
};

std::string text_of(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

TEST(Line, IsASocketWithoutATransform) {
  Pair pair(1);
  pair.one.begin("hello", 100);
  pair.two.begin("world", 100);
  (void)pair.engine.run_until_idle();
  EXPECT_EQ(pair.two.received, "hello");
  EXPECT_EQ(pair.one.received, "world");
  EXPECT_TRUE(pair.one.over() && pair.two.over());
  EXPECT_EQ(pair.one.line.failure(), Reason::none);
}

TEST(Line, CarriesHoweverLittleIsReadAtATime) {
  for (const std::size_t room : std::initializer_list<std::size_t>{1, 2, 3, 7, 1023, 1024, 1025, 4096}) {
    Pair pair(room);
    pair.protect();
    pair.one.begin(text_of(5000), room);
    pair.two.begin(text_of(3000), room);
    (void)pair.engine.run_until_idle();
    EXPECT_EQ(pair.two.received, text_of(5000)) << room;
    EXPECT_EQ(pair.one.received, text_of(3000)) << room;
    EXPECT_TRUE(pair.one.over() && pair.two.over()) << room;
    EXPECT_FALSE(pair.one.failed || pair.two.failed) << room;
  }
}

TEST(Line, CarriesWhateverTheSplits) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Pair pair(seed, {.short_read = 0.3, .short_write = 0.3, .spurious_ready = 0.2, .split = 0.7});
    pair.protect();
    pair.one.begin(text_of(3000), 100);
    pair.two.begin(text_of(2000), 4096);
    (void)pair.engine.run_until_idle();
    EXPECT_EQ(pair.two.received, text_of(3000)) << seed;
    EXPECT_EQ(pair.one.received, text_of(2000)) << seed;
  }
}

TEST(Line, OctetsThatCameBeforeAreTheTransforms) {
  Pair pair(1);
  pair.one.line.protect(std::make_unique<PlainToSee>(), octets_of("h"));
  ASSERT_EQ(pair.two.line.send(pair.engine, octets_of("i")).value(), 1U);
  (void)pair.engine.run_until_idle();
  EXPECT_TRUE(pair.one.line.establish(pair.engine).has_value());
}

TEST(Line, AnEndThatIsNotTheStreamsIsAFailure) {
  Pair pair(1);
  pair.one.line.protect(std::make_unique<PlainToSee>());
  ASSERT_TRUE(pair.two.line.send(pair.engine, octets_of("hi")).has_value());
  pair.two.line.close(pair.engine);
  pair.one.begin({}, 10);
  (void)pair.engine.run_until_idle();
  EXPECT_TRUE(pair.one.failed);
  EXPECT_FALSE(pair.one.saw_end);
}

TEST(Line, EachCallMayFail) {
  std::uint64_t calls = 0;
  for (std::uint64_t call = 1; call == 1 || call <= calls; ++call) {
    Pair pair(1);
    pair.protect();
    const std::uint64_t before = pair.engine.calls();
    pair.engine.fail_nth(before + call, Error{ErrorKind::reset, 0});
    pair.one.begin(text_of(3000), 4096);
    pair.two.begin(text_of(2000), 4096);
    (void)pair.engine.run_until_idle();
    calls = std::max(calls, pair.engine.calls() - before);
    EXPECT_TRUE(text_of(3000).starts_with(pair.two.received)) << call;
    EXPECT_TRUE(text_of(2000).starts_with(pair.one.received)) << call;
    EXPECT_TRUE(!pair.two.saw_end || pair.two.received.size() == 3000) << call;
    EXPECT_TRUE(!pair.one.saw_end || pair.one.received.size() == 2000) << call;
    EXPECT_TRUE(pair.one.over() && pair.two.over()) << call << ": nobody waits for ever";
  }
  EXPECT_GT(calls, 10U);
}

}  // namespace
}  // namespace stile::protect
