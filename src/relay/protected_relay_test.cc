// Tunnels one side of which is protected, on both engines and against the simulation's faults: the relay's contract in
// plain octets, an end that is a message of its own, and a stream that was cut short.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "protect/transform_for_tests.h"
#include "relay/relay_rig_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using protect::PlainToSee;

/// The peer and the tunnel's side towards it.
void protect_client(RelayRig& rig, bool word_for_end = true) {
  rig.protect = [&rig, word_for_end](protect::Line& client, protect::Line&) {
    rig.client.protect(std::make_unique<PlainToSee>(word_for_end));
    client.protect(std::make_unique<PlainToSee>(word_for_end));
  };
}
void protect_target(RelayRig& rig) {
  rig.protect = [&rig](protect::Line&, protect::Line& target) {
    rig.target.protect(std::make_unique<PlainToSee>());
    target.protect(std::make_unique<PlainToSee>());
  };
}
/// The client speaks octets as they cross the network.
void protect_tunnel_alone(RelayRig& rig) {
  rig.protect = [](protect::Line& client, protect::Line&) { client.protect(std::make_unique<PlainToSee>()); };
}

std::string message(std::string_view plain) {
  PlainToSee transform;
  const std::string_view greeting = "hi";
  transform.take({reinterpret_cast<const std::uint8_t*>(greeting.data()), greeting.size()});
  EXPECT_TRUE(transform.handshake());
  transform.sent(transform.to_send().size());
  if (plain.empty()) {
    transform.finish();
  } else {
    EXPECT_EQ(transform.seal({reinterpret_cast<const std::uint8_t*>(plain.data()), plain.size()}).value(),
              plain.size());
  }
  return {transform.to_send().begin(), transform.to_send().end()};
}

/// Protects nothing, and takes all that may be sealed at once.
class Hoarder final : public protect::Transform {
 public:
  Result<void> handshake() override { return {}; }
  [[nodiscard]] bool established() const noexcept override { return true; }
  void take(ConstBytes octets) override { input_.append(octets.begin(), octets.end()); }
  [[nodiscard]] bool holds_input() const noexcept override { return !input_.empty(); }
  Result<std::size_t> open(MutableBytes plain) override {
    if (input_.empty()) return std::unexpected(Error{ErrorKind::would_block, 0});
    const std::size_t count = std::min(plain.size(), input_.size());
    std::copy_n(input_.begin(), count, plain.begin());
    input_.erase(0, count);
    return count;
  }
  bool connection_ended() noexcept override { return true; }
  Result<std::size_t> seal(ConstBytes plain) override {
    output_.append(plain.begin(), plain.end());
    return plain.size();
  }
  void finish() override {}
  [[nodiscard]] ConstBytes to_send() const noexcept override {
    return {reinterpret_cast<const std::uint8_t*>(output_.data()), output_.size()};
  }
  void sent(std::size_t octets) noexcept override { output_.erase(0, octets); }
  [[nodiscard]] Reason failure() const noexcept override { return Reason::none; }

 private:
  std::string input_;
  std::string output_;
};

struct Epoll {
  static std::unique_ptr<engine::Engine> create() { return std::move(*engine::EpollEngine::create()); }
};
struct Sim {
  static std::unique_ptr<engine::Engine> create() { return std::make_unique<engine::SimEngine>(1); }
};

template <class Factory>
class ProtectedRelay : public testing::Test {
 protected:
  std::unique_ptr<engine::Engine> engine = Factory::create();
};
using Engines = testing::Types<Epoll, Sim>;
TYPED_TEST_SUITE(ProtectedRelay, Engines);

void expect_bulk_both_ways(RelayRig& rig, const std::string& early = {}) {
  const std::string up = pattern(3 << 20, 1);
  const std::string down = pattern(3 << 20, 2);
  rig.begin(early);
  rig.client.send(up);
  rig.target.send(down);
  rig.client.fin();
  rig.run_until([&] { return rig.target.saw_fin(); });
  rig.target.send("and more behind the client's FIN");
  rig.target.fin();
  rig.run_until([&] { return rig.client.saw_fin() && rig.end.has_value(); });
  EXPECT_TRUE(rig.target.received() == early + up);
  EXPECT_TRUE(rig.client.received() == down + "and more behind the client's FIN");
  EXPECT_EQ(rig.end->reason, Reason::fin_client);
  EXPECT_EQ(rig.end->octets_up, early.size() + up.size()) << "plain octets are counted";
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

TYPED_TEST(ProtectedRelay, CarriesInBulkBothWaysAndHalfClosed) {
  RelayRig rig(*this->engine);
  protect_client(rig);
  expect_bulk_both_ways(rig, "early");
}

TYPED_TEST(ProtectedRelay, CarriesTowardsAProtectedTarget) {
  RelayRig rig(*this->engine);
  protect_target(rig);
  expect_bulk_both_ways(rig);
}

TYPED_TEST(ProtectedRelay, AFinIsTheEndWhereTheTransformHasNoWordForIt) {
  RelayRig rig(*this->engine);
  protect_client(rig, false);
  expect_bulk_both_ways(rig);
}

TYPED_TEST(ProtectedRelay, ASlowReaderStopsItsWriterAlone) {
  RelayRig rig(*this->engine);
  protect_client(rig);
  rig.begin();
  rig.client.pause_reading();
  rig.target.send(pattern(64 << 20, 3));
  rig.run_for(300ms);
  EXPECT_GT(rig.target.unsent(), 0U);
  EXPECT_LE(rig.relay.parked_octets(), limits::parked_octets_per_direction_max);
  rig.client.send("up it goes");
  rig.run_until([&] { return rig.target.received() == "up it goes"; });
  rig.client.resume_reading();
  rig.run_until([&] { return rig.client.received().size() == 64 << 20; });
  EXPECT_TRUE(rig.client.received() == pattern(64 << 20, 3));
}

// The simulation's sockets hold less than is sealed at once.
TEST(ProtectedRelayBounds, SealedOctetsCountAsParkedOnes) {
  engine::SimEngine engine(1);
  RelayRig rig(engine);
  rig.protect = [](protect::Line& client, protect::Line&) { client.protect(std::make_unique<Hoarder>()); };
  rig.begin();
  rig.client.pause_reading();
  const std::string octets = pattern(2 << 20, 5);
  rig.target.send(octets);
  rig.run_for(300ms);
  EXPECT_EQ(rig.relay.parked_octets(), limits::relay_buffer_octets) << "one read, of which a part is sealed";
  rig.client.resume_reading();
  rig.run_until([&] { return rig.client.received().size() == octets.size(); });
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
  rig.client.pause_reading();
  rig.target.send(octets);
  rig.run_for(300ms);
  EXPECT_GT(rig.relay.parked_octets(), 0U);
  rig.target.reset();
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.relay.parked_octets(), 0U);
}

TYPED_TEST(ProtectedRelay, WhatIsLookedAtIsPlain) {
  RelayRig rig(*this->engine);
  protect_client(rig);
  rig.begin({}, Watch::requests_and_hello);
  rig.client.send("GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
  rig.run_until([&] { return !rig.seen.empty(); });
  EXPECT_EQ(rig.seen, "GET http://b/a\n");
}

TYPED_TEST(ProtectedRelay, AMessageInManyPartsAndManyMessagesInOnePart) {
  RelayRig rig(*this->engine);
  protect_tunnel_alone(rig);
  rig.begin();
  const std::string octets = "hi" + message("one ") + message("two ") + message("three");
  for (const char octet : octets.substr(0, 9)) {
    rig.client.send(std::string(1, octet));
    rig.run_for(2ms);
  }
  rig.client.send(octets.substr(9));
  rig.run_until([&] { return rig.target.received() == "one two three"; });
  rig.client.send(message({}) + message("behind the end"));
  rig.run_until([&] { return rig.target.saw_fin(); });
  rig.run_for(5ms);
  EXPECT_EQ(rig.target.received(), "one two three") << "nothing counts behind the end";
}

TYPED_TEST(ProtectedRelay, AStreamThatIsCutShortIsNoCompleteOne) {
  RelayRig rig(*this->engine);
  protect_tunnel_alone(rig);
  rig.begin();
  rig.client.send("hi" + message("half of it"));
  rig.run_until([&] { return rig.target.received() == "half of it"; });
  rig.client.fin();  // the connection's end, not the stream's
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::tls_truncated);
  rig.run_until([&] { return rig.target.saw_reset(); });
  EXPECT_FALSE(rig.target.saw_fin());
}

TYPED_TEST(ProtectedRelay, ABrokenMessageEndsTheTunnelAlone) {
  RelayRig rig(*this->engine);
  RelayRig other(*this->engine);
  other.begin();
  protect_tunnel_alone(rig);
  rig.begin();
  rig.client.send("hi" + message("good") + "\xFF\xFF");
  rig.run_until([&] { return rig.end.has_value(); });
  EXPECT_EQ(rig.end->reason, Reason::tls_record);
  EXPECT_EQ(rig.target.received(), "good");
  rig.run_until([&] { return rig.target.saw_reset(); });
  other.client.send("unmoved");
  other.run_until([&] { return other.target.received() == "unmoved"; });
}

TYPED_TEST(ProtectedRelay, ARstIsARst) {
  RelayRig rig(*this->engine);
  protect_client(rig);
  rig.begin();
  rig.client.send("x");
  rig.run_until([&] { return rig.target.received() == "x"; });
  rig.client.reset();
  rig.run_until([&] { return rig.end.has_value() && rig.target.saw_reset(); });
  EXPECT_EQ(rig.end->reason, Reason::reset_client);
}

TYPED_TEST(ProtectedRelay, AQuietTunnelEndsInOrder) {
  RelayRig rig(*this->engine);
  protect_client(rig);
  rig.begin();
  rig.client.send("x");
  rig.run_until([&] { return rig.target.received() == "x"; });
  rig.run_for(quiet_before_fin + 10ms);
  rig.relay.end_all(Reason::drain);
  rig.run_until([&] { return rig.client.saw_fin() && rig.target.saw_fin(); });
}

// Whatever the network does to it, a tunnel carries a beginning of what was sent, and an end only behind all of it.
TEST(ProtectedRelayFaults, NothingIsLostOrTakenForComplete) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    engine::SimFaults faults;
    faults.split = 0.5;
    faults.short_read = 0.2;
    faults.short_write = 0.2;
    faults.spurious_ready = 0.1;
    faults.reset = seed % 3 == 0 ? 0.0005 : 0.0;
    engine::SimEngine engine(seed, faults);
    RelayRig rig(engine);
    protect_client(rig);
    const std::string up = pattern(20'000, 1);
    const std::string down = pattern(20'000, 2);
    rig.begin();
    rig.client.send(up);
    rig.target.send(down);
    rig.client.fin();
    rig.target.fin();
    rig.run_until([&] { return rig.end.has_value() && (faults.reset > 0 || rig.client.saw_fin()); });
    EXPECT_TRUE(up.starts_with(rig.target.received()));
    EXPECT_TRUE(down.starts_with(rig.client.received()));
    if (rig.target.saw_fin()) {
      EXPECT_EQ(rig.target.received().size(), up.size());
    }
    if (rig.client.saw_fin()) {
      EXPECT_EQ(rig.client.received().size(), down.size());
    }
    if (faults.reset == 0) {
      EXPECT_EQ(rig.end->octets_up, up.size());
    }
  }
}

}  // namespace
}  // namespace stile::relay
