// Datagrams, both families.
#include <algorithm>
#include <array>
#include <iterator>
#include <set>

#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

class UdpConformance : public EngineTest {
 protected:
  [[nodiscard]] Endpoint open(Actor& actor, const Address& address) {
    EXPECT_TRUE(engine().open_udp(actor.socket, Endpoint{address, 0}));
    return engine().local_endpoint(actor.socket).value();
  }
  void send(Actor& from, const Endpoint& to, std::string payload) {
    const std::array datagrams{
        Datagram{.peer = to, .payload = {reinterpret_cast<std::uint8_t*>(payload.data()), payload.size()}}};
    const Result<std::size_t> sent = engine().send_datagrams(from.socket, datagrams);
    ASSERT_TRUE(sent);
    ASSERT_EQ(*sent, 1u);
  }
  struct Received {
    std::string payload;
    Endpoint from;
    bool truncated;
  };
  [[nodiscard]] std::vector<Received> receive(Actor& at, std::size_t count, std::size_t room = 2048) {
    std::vector<Received> received;
    std::array<std::vector<std::uint8_t>, 8> buffers;
    while (received.size() < count) {
      std::array<Datagram, 8> datagrams;
      for (std::size_t i = 0; i < datagrams.size(); ++i) {
        buffers[i].resize(room);
        datagrams[i].payload = buffers[i];
      }
      const Result<std::size_t> got = engine().receive_datagrams(at.socket, datagrams);
      if (!got) {
        EXPECT_EQ(got.error().kind, ErrorKind::would_block);
        if (!wait_for(at, Interest::readable)) break;
        continue;
      }
      for (std::size_t i = 0; i < *got; ++i) {
        received.push_back({std::string(datagrams[i].payload.begin(), datagrams[i].payload.end()), datagrams[i].peer,
                            datagrams[i].truncated});
      }
    }
    return received;
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, UdpConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(UdpConformance, CarriesDatagramsBothWaysInBothFamilies) {
  for (const Address& address : {loopback_v4, loopback_v6}) {
    if (!address.is_v4() && !has_ipv6(engine())) continue;
    Actor& one = actor();
    Actor& other = actor();
    const Endpoint one_at = open(one, address);
    const Endpoint other_at = open(other, address);
    EXPECT_NE(one_at, other_at);
    send(one, other_at, "ping");
    const auto ping = receive(other, 1);
    ASSERT_EQ(ping.size(), 1u);
    EXPECT_EQ(ping[0].payload, "ping");
    EXPECT_EQ(ping[0].from, one_at);
    EXPECT_FALSE(ping[0].truncated);
    send(other, ping[0].from, "");
    const auto pong = receive(one, 1);
    ASSERT_EQ(pong.size(), 1u);
    EXPECT_EQ(pong[0].payload, "") << "an empty datagram is one too";
    EXPECT_EQ(pong[0].from, other_at);
  }
}

TEST_P(UdpConformance, ABatchComesWholeAndBoundariesAreKept) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint other_at = open(other, loopback_v4);
  std::array<std::string, 100> payloads;
  std::array<Datagram, 100> datagrams;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    payloads[i] = std::to_string(i) + std::string(i, '.');
    datagrams[i] = Datagram{.peer = other_at,
                            .payload = {reinterpret_cast<std::uint8_t*>(payloads[i].data()), payloads[i].size()}};
  }
  std::span<const Datagram> rest = datagrams;
  while (!rest.empty()) {
    const Result<std::size_t> sent = engine().send_datagrams(one.socket, rest);
    ASSERT_TRUE(sent);
    ASSERT_GT(*sent, 0u);
    rest = rest.subspan(*sent);
  }
  std::set<std::string> received;
  for (const Received& datagram : receive(other, payloads.size())) received.insert(datagram.payload);
  EXPECT_EQ(received, std::set<std::string>(payloads.begin(), payloads.end()));
}

TEST_P(UdpConformance, TheHeadGoesInFrontOfThePayload) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint other_at = open(other, loopback_v4);
  std::string octets = "payload";
  const MutableBytes payload{reinterpret_cast<std::uint8_t*>(octets.data()), octets.size()};
  const std::array datagrams{Datagram{.peer = other_at, .payload = payload, .head = bytes("far ")},
                             Datagram{.peer = other_at, .payload = payload.subspan(3), .head = payload.first(3)},
                             Datagram{.peer = other_at, .payload = {}, .head = bytes("alone")}};
  for (std::span<const Datagram> rest = datagrams; !rest.empty();) {
    rest = rest.subspan(engine().send_datagrams(one.socket, rest).value());
  }
  std::multiset<std::string> received;
  for (const Received& datagram : receive(other, 3)) received.insert(datagram.payload);
  EXPECT_EQ(received, (std::multiset<std::string>{"far payload", "payload", "alone"}));
}

// What leaves as a train and what is received as one: whoever looks sees the datagrams that were sent.
TEST_P(UdpConformance, BoundariesAreKeptInTrains) {
  Actor& one = actor();
  Actor& single = actor();
  Actor& coupled = actor();
  (void)open(one, loopback_v4);
  const Endpoint single_at = open(single, loopback_v4);
  const Endpoint coupled_at = open(coupled, loopback_v4);
  ASSERT_TRUE(engine().use_trains(one.socket));
  ASSERT_TRUE(engine().use_trains(coupled.socket));
  // Runs of one size, ended by a shorter one, a longer one, an empty one, another destination; more than one train's.
  std::vector<std::size_t> sizes(100, 1'200);
  constexpr std::size_t others[] = {700,    1'200,  1'200,  1'300,  0, 0, 1'200, 1'200,
                                    17'000, 17'000, 17'000, 17'000, 1, 1, 1};
  sizes.insert(sizes.end(), std::begin(others), std::end(others));
  std::multiset<std::string> sent;
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    payloads.push_back(pattern(sizes[i] + i % 100).substr(i % 100));
    sent.insert("head" + payloads.back());
  }
  std::vector<Datagram> datagrams;
  for (const Endpoint& to : {single_at, coupled_at}) {
    for (std::string& payload : payloads) {
      const MutableBytes octets{reinterpret_cast<std::uint8_t*>(payload.data()), payload.size()};
      datagrams.push_back({.peer = to, .payload = octets, .head = bytes("head")});
    }
  }
  std::multiset<std::string> singles;
  for (std::span<const Datagram> rest = datagrams; !rest.empty();) {
    rest = rest.subspan(engine().send_datagrams(one.socket, rest).value());
  }
  for (const Received& datagram : receive(single, sent.size(), 65'535)) singles.insert(datagram.payload);
  EXPECT_EQ(singles, sent);
  std::multiset<std::string> segments;
  std::size_t trains = 0;
  std::vector<std::uint8_t> room(65'535);
  while (segments.size() < sent.size()) {
    std::array datagram{Datagram{.payload = room}};
    if (!engine().receive_datagrams(coupled.socket, datagram)) {
      ASSERT_TRUE(wait_for(coupled, Interest::readable));
      continue;
    }
    ASSERT_FALSE(datagram[0].truncated);
    ConstBytes rest = datagram[0].payload;
    const std::size_t segment = datagram[0].segment == 0 ? rest.size() : datagram[0].segment;
    if (datagram[0].segment != 0) ++trains;
    do {
      const ConstBytes octets = rest.first(std::min(segment, rest.size()));
      segments.emplace(octets.begin(), octets.end());
      rest = rest.subspan(octets.size());
    } while (!rest.empty());
  }
  EXPECT_EQ(segments, sent);
  EXPECT_GT(trains, 0u);
}

TEST_P(UdpConformance, WhatAFullQueueLosesIsTold) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint other_at = open(other, loopback_v4);
  std::vector<std::uint8_t> octets(60'000);
  constexpr std::uint32_t count = 150;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::array datagrams{Datagram{.peer = other_at, .payload = octets}};
    ASSERT_TRUE(engine().send_datagrams(one.socket, datagrams));
  }
  run_for(std::chrono::milliseconds{20});
  std::uint32_t received = 0;
  std::vector<std::uint8_t> room(65'535);
  const auto next = [&]() -> std::optional<std::uint32_t> {
    std::array datagram{Datagram{.payload = room}};
    if (!engine().receive_datagrams(other.socket, datagram)) return std::nullopt;
    return datagram[0].lost;
  };
  while (const auto lost = next()) {
    EXPECT_EQ(*lost, 0u) << "what is in the queue came before it was full";
    ++received;
  }
  ASSERT_LT(received, count);
  send(one, other_at, "what came after");
  ASSERT_TRUE(wait_for(other, Interest::readable));
  EXPECT_EQ(next(), count - received);
}

TEST_P(UdpConformance, ALongDatagramIsCutAndSaysSo) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint other_at = open(other, loopback_v4);
  send(one, other_at, std::string(1000, 'x'));
  const auto cut = receive(other, 1, 100);
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_EQ(cut[0].payload, std::string(100, 'x'));
  EXPECT_TRUE(cut[0].truncated);
}

TEST_P(UdpConformance, TheErrorIsThatOfTheFirstDatagramThatDidNotGo) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint other_at = open(other, loopback_v4);
  std::vector<std::uint8_t> small(10);
  std::vector<std::uint8_t> huge(70'000);
  const std::array datagrams{Datagram{.peer = other_at, .payload = small}, Datagram{.peer = other_at, .payload = huge},
                             Datagram{.peer = other_at, .payload = small}};
  EXPECT_EQ(engine().send_datagrams(one.socket, datagrams).value(), 1u);
  const Result<std::size_t> failed = engine().send_datagrams(one.socket, std::span(datagrams).subspan(1));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::message_too_big);
}

TEST_P(UdpConformance, ARefusedDatagramDoesNotFailTheSocket) {
  Actor& one = actor();
  Actor& other = actor();
  (void)open(one, loopback_v4);
  const Endpoint gone = open(other, loopback_v4);
  engine().close(other.socket);
  send(one, gone, "to nobody");
  run_for(std::chrono::milliseconds{20});
  EXPECT_FALSE(engine().failed(one.socket));
  Actor& third = actor();
  const Endpoint third_at = open(third, loopback_v4);
  send(one, third_at, "to somebody");
  EXPECT_EQ(receive(third, 1).size(), 1u);
}

TEST_P(UdpConformance, AnAddressInUseIsToldAndFreedByClose) {
  Actor& one = actor();
  const Endpoint where = open(one, loopback_v4);
  Actor& other = actor();
  const Result<void> taken = engine().open_udp(other.socket, where);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::address_in_use);
  EXPECT_FALSE(other.socket.is_open());
  engine().close(one.socket);
  EXPECT_TRUE(engine().open_udp(other.socket, where));
}

TEST_P(UdpConformance, WaitIsWritableAtOnceAndCancelledByClose) {
  Actor& one = actor();
  (void)open(one, loopback_v4);
  EXPECT_TRUE(wait_for(one, Interest::writable));
  Actor& other = actor();
  (void)open(other, loopback_v4);
  wait_for(other, Interest::readable, std::chrono::milliseconds{5});
  EXPECT_TRUE(wait_for(other, Interest::writable)) << "though it began with a wait for something else";
  engine().wait(one.socket, Interest::readable);
  engine().close(one.socket);
  run_once();
  EXPECT_FALSE(one.socket.pending());
}

}  // namespace
}  // namespace stile::engine::conformance
