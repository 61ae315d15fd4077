// Gate R11 and threat TX5: no error of any call ends an association or leaks anything; each lost datagram is counted.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"
#include "sys/errno_table.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

constexpr int errors[] = {EAGAIN, ENOBUFS, ENOMEM, EMSGSIZE, ECONNREFUSED, EHOSTUNREACH,  ENETUNREACH,  EPROTO,
                          EPERM,  EACCES,  EINVAL, EMFILE,   ENFILE,       EADDRNOTAVAIL, EAFNOSUPPORT, EIO};

AssociationRequest from_client() {
  AssociationRequest request;
  request.client = ip("198.51.100.7");
  request.local = ip("10.0.0.1");
  return request;
}

TEST(UdpErrors, EveryKindHasItsDrop) {
  for (int i = 0; i < error_kind_count; ++i) {
    const UdpDrop drop = drop_of(static_cast<ErrorKind>(i));
    EXPECT_TRUE(drop == UdpDrop::send || drop == UdpDrop::limit || drop == UdpDrop::too_big) << i;
  }
  EXPECT_EQ(drop_of(sys::make_error(ENOBUFS).kind), UdpDrop::limit);
  EXPECT_EQ(drop_of(sys::make_error(EAGAIN).kind), UdpDrop::limit);
  EXPECT_EQ(drop_of(sys::make_error(EMSGSIZE).kind), UdpDrop::too_big);
  EXPECT_EQ(drop_of(sys::make_error(EPERM).kind), UdpDrop::send);
  EXPECT_EQ(drop_of(sys::make_error(ENETUNREACH).kind), UdpDrop::send);
}

TEST(UdpErrors, WhatTheNetworkSaysHasItsDrop) {
  const auto v4 = [](std::uint8_t type, std::uint8_t code) {
    return drop_of(engine::IcmpReport{.family = Family::ipv4, .type = type, .code = code, .offender = {}});
  };
  const auto v6 = [](std::uint8_t type, std::uint8_t code) {
    return drop_of(engine::IcmpReport{.family = Family::ipv6, .type = type, .code = code, .offender = {}});
  };
  EXPECT_EQ(v4(3, 0), UdpDrop::icmp_network);
  EXPECT_EQ(v4(3, 1), UdpDrop::icmp_host);
  EXPECT_EQ(v4(3, 2), UdpDrop::icmp_other);
  EXPECT_EQ(v4(3, 3), UdpDrop::icmp_port);
  EXPECT_EQ(v4(3, 4), UdpDrop::icmp_too_big);
  EXPECT_EQ(v4(3, 9), UdpDrop::icmp_prohibited);
  EXPECT_EQ(v4(3, 10), UdpDrop::icmp_prohibited);
  EXPECT_EQ(v4(3, 13), UdpDrop::icmp_prohibited);
  EXPECT_EQ(v4(3, 15), UdpDrop::icmp_prohibited);
  EXPECT_EQ(v4(3, 16), UdpDrop::icmp_other);
  EXPECT_EQ(v4(11, 0), UdpDrop::icmp_expired);
  EXPECT_EQ(v4(12, 0), UdpDrop::icmp_other);
  EXPECT_EQ(v6(1, 0), UdpDrop::icmp_network);
  EXPECT_EQ(v6(1, 1), UdpDrop::icmp_prohibited);
  EXPECT_EQ(v6(1, 3), UdpDrop::icmp_host);
  EXPECT_EQ(v6(1, 4), UdpDrop::icmp_port);
  EXPECT_EQ(v6(1, 7), UdpDrop::icmp_other);
  EXPECT_EQ(v6(2, 0), UdpDrop::icmp_too_big);
  EXPECT_EQ(v6(3, 1), UdpDrop::icmp_expired);
}

// Counted per kind, told once, and in nobody's way: what goes to another target goes.
TEST(UdpErrors, IcmpAboutADatagramIsCountedAndEndsNothing) {
  engine::SimEngine engine(1);
  engine.set_route(ip("192.0.2.66"), engine::SimBehaviour::host_unreachable(Family::ipv4));
  UdpRig rig(engine);
  UdpPeer& target = rig.peer(at("192.0.2.1:53"));
  UdpPeer& client = rig.peer(at("198.51.100.7:4000"));
  Association& association = rig.open(from_client());
  for (int i = 0; i < 3; ++i) {
    client.send(association.bound(), packet(target_of("192.0.2.66", 53), "lost"));
    rig.settle();
    client.send(association.bound(), packet(target_of("192.0.2.1", 53), "kept"));
    rig.settle();
  }
  EXPECT_EQ(association.totals().dropped(UdpDrop::icmp_host), 3U);
  EXPECT_EQ(rig.owner.first_drops, (std::vector{std::pair{UdpDrop::icmp_host, std::string("192.0.2.66:53")}}));
  EXPECT_EQ(target.received().size(), 3U);
  EXPECT_EQ(rig.owner.ends, 0U);
}

/// One association that uses everything: both families, a name, fragments, answers.
class Exchange {
 public:
  explicit Exchange(engine::SimEngine& engine) : engine_(engine), rig_(engine) {
    rig_.add_name("origin.example", {ip("192.0.2.1")});
  }

  /// Checks itself; `fail_at` 0: nothing fails. Answers how many calls there were to fail.
  std::uint64_t run(std::uint64_t fail_at, const Error& error) {
    engine_.fail_nth(fail_at, error);
    auto opened = rig_.relay.open(from_client(), rig_.owner);
    if (!opened) {
      EXPECT_EQ(opened.error().kind, error.kind);
      EXPECT_TRUE(rig_.live.list().empty());
      opened = rig_.relay.open(from_client(), rig_.owner);
    }
    if (!opened) throw std::runtime_error("no association");
    Association& association = **opened;
    send_all(association);
    account(association);
    const std::uint64_t calls = engine_.calls();
    engine_.fail_nth(0, {});
    lives_on(association);
    association.end(Reason::fin_client);
    EXPECT_EQ(rig_.owner.ends, 1U);
    EXPECT_EQ(rig_.relay.held_octets(), 0U);
    rig_.run_until([&] { return rig_.relay.quiet(); });
    EXPECT_EQ(engine_.open_sockets(), 3U) << "the peers'";
    EXPECT_EQ(engine_.pending_timers(), 0U);
    return calls;
  }

 private:
  void send_all(Association& association) {
    for (const std::string& octets :
         {packet(target_of("192.0.2.1", 53), "four"), packet(target_of("2001:db8::1", 53), "six"),
          packet(target_of("origin.example", 53), "name"), packet(target_of("192.0.2.1", 53), "AB", 1),
          packet(target_of("192.0.2.1", 53), "CD", 0x82)}) {
      client_.send(association.bound(), octets);
    }
    rig_.run_for(100ms);
    for (UdpPeer* const origin : {&origin4_, &origin6_}) {
      if (origin->received().empty()) continue;
      origin->send(origin->received()[0].from, "answer");
      ++answers_;
    }
    rig_.run_for(100ms);
  }

  // Nothing is lost but what was counted as dropped, and nothing counted twice.
  void account(const Association& association) {
    const AssociationTotals& totals = association.totals();
    const std::uint64_t dropped = std::accumulate(totals.drops.begin(), totals.drops.end(), std::uint64_t{0});
    EXPECT_EQ(totals.up.datagrams, origin4_.received().size() + origin6_.received().size());
    EXPECT_EQ(totals.down.datagrams, client_.received().size());
    EXPECT_EQ(totals.up.datagrams + totals.down.datagrams + dropped, 4 + answers_);
    EXPECT_LE(totals.socket_errors, 1U);
  }

  void lives_on(Association& association) {
    const std::size_t before = origin4_.received().size();
    client_.send(association.bound(), packet(target_of("192.0.2.1", 53), "still here"));
    rig_.settle();
    ASSERT_EQ(origin4_.received().size(), before + 1);
    const std::size_t answered = client_.received().size();
    origin4_.send(origin4_.received().back().from, "so are we");
    rig_.settle();
    EXPECT_EQ(client_.received().size(), answered + 1);
    EXPECT_EQ(rig_.owner.ends, 0U);
  }

  engine::SimEngine& engine_;
  UdpRig rig_;
  UdpPeer& client_ = rig_.peer(at("198.51.100.7:5000"));
  UdpPeer& origin4_ = rig_.peer(at("192.0.2.1:53"));
  UdpPeer& origin6_ = rig_.peer(at("[2001:db8::1]:53"));
  std::size_t answers_ = 0;
};

// Habit 16: fail the i-th operation, for every i and error.
TEST(UdpFaults, NoErrorOfAnyCallEndsAnAssociation) {
  std::uint64_t calls = 0;
  {
    engine::SimEngine engine(1);
    calls = Exchange(engine).run(0, {});
  }
  EXPECT_GT(calls, 10U);
  for (const int error : errors) {
    for (std::uint64_t call = 1; call <= calls; ++call) {
      SCOPED_TRACE(testing::Message() << "call " << call << " fails with errno " << error);
      engine::SimEngine engine(1);
      Exchange(engine).run(call, sys::make_error(error));
      if (testing::Test::HasFailure()) return;
    }
  }
}

// A whole batch meets one full socket: nothing is queued, nothing goes on being tried.
TEST(UdpFaults, AFullSocketDropsTheRestOfTheBatch) {
  engine::SimEngine engine(1);
  UdpRig rig(engine);
  UdpPeer& client = rig.peer(at("198.51.100.7:5000"));
  Association& association = rig.open(from_client());
  engine.set_route(ip("192.0.2.1"), engine::SimBehaviour::local_error(sys::make_error(EAGAIN)));
  for (int i = 0; i < 20; ++i) client.send(association.bound(), packet(target_of("192.0.2.1", 53), "x"));
  const std::uint64_t before = engine.calls();
  rig.settle();
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 20U);
  EXPECT_LT(engine.calls() - before, 6U);
}

// One unreachable target among others costs the others nothing.
TEST(UdpFaults, AnUnreachableTargetHoldsUpNobody) {
  engine::SimEngine engine(1);
  UdpRig rig(engine);
  UdpPeer& client = rig.peer(at("198.51.100.7:5000"));
  UdpPeer& origin = rig.peer(at("192.0.2.1:53"));
  Association& association = rig.open(from_client());
  engine.set_route(ip("192.0.2.2"), engine::SimBehaviour::local_error(sys::make_error(ENETUNREACH)));
  for (int i = 0; i < 10; ++i) {
    client.send(association.bound(), packet(target_of("192.0.2.1", 53), "yes"));
    client.send(association.bound(), packet(target_of("192.0.2.2", 53), "no"));
  }
  rig.settle();
  EXPECT_EQ(origin.received().size(), 10U);
  EXPECT_EQ(association.totals().dropped(UdpDrop::send), 10U);
  EXPECT_EQ(association.totals().up.datagrams, 10U);
  EXPECT_EQ(association.totals().socket_errors, 0U);
}

/// Puts something from which no datagram can be received behind the descriptor of the socket bound to `port`;
/// readiness is still told, since the socket itself lives on.
class Sabotage {
 public:
  explicit Sabotage(std::uint16_t port) {
    for (int fd = 3; fd < 1024; ++fd) {
      sockaddr_in local{};
      socklen_t size = sizeof local;
      const bool found = ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0 &&
                         local.sin_family == AF_INET && ntohs(local.sin_port) == port;
      if (!found) continue;
      kept_ = ::dup(fd);
      const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      ::dup2(null, fd);
      ::close(null);
      return;
    }
    ADD_FAILURE() << "no socket is bound to port " << port;
  }
  ~Sabotage() { ::close(kept_); }
  Sabotage(const Sabotage&) = delete;
  Sabotage& operator=(const Sabotage&) = delete;

 private:
  int kept_ = -1;
};

TEST(UdpFaults, ARelaySocketBeyondUseEndsTheAssociationWithoutSpinning) {
  const auto engine = std::move(*engine::EpollEngine::create());
  UdpRig rig(*engine);
  UdpPeer& client = rig.peer(at("127.0.0.1:0"));
  Association& association = rig.open();
  rig.settle();  // so that the engine watches the socket
  const Sabotage sabotage(association.bound().port);
  client.send(association.bound(), "x");
  rig.run_until([&] { return rig.owner.end.has_value(); });
  EXPECT_EQ(rig.owner.end->reason, Reason::no_resources);
  EXPECT_EQ(rig.owner.end->totals.socket_errors, 64U);
}

TEST(UdpFaults, AnOutgoingSocketBeyondUseIsReplaced) {
  const auto engine = std::move(*engine::EpollEngine::create());
  UdpRig rig(*engine);
  UdpPeer& client = rig.peer(at("127.0.0.1:0"));
  UdpPeer& origin = rig.peer(at("127.0.0.2:0"));
  Association& association = rig.open();
  const std::string good = packet(target_of(origin.where()), "x");
  client.send(association.bound(), good);
  rig.run_until([&] { return origin.received().size() == 1; });
  const Endpoint outside = origin.received()[0].from;
  const Sabotage sabotage(outside.port);
  origin.send(outside, "lost");
  rig.run_until([&] { return association.totals().socket_errors == 64; });
  client.send(association.bound(), good);
  rig.run_until([&] { return origin.received().size() == 2; });
  origin.send(origin.received()[1].from, "answer");
  rig.run_until([&] { return client.received().size() == 1; });
  EXPECT_NE(origin.received()[1].from, outside);
  EXPECT_FALSE(rig.owner.end.has_value());
}

}  // namespace
}  // namespace stile::relay
