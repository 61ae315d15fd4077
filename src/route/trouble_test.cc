// What a client is told, and which hop is to blame.
#include "route/trouble.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace stile::route {
namespace {

using session::Awaited;
using session::ProxyFault;
using wire::ProxyProtocol;

Trouble answered(std::uint16_t code, ProxyProtocol protocol, std::size_t hop) {
  return {.obstacle = Obstacle::conversation,
          .failure = {.fault = ProxyFault::refused, .awaited = Awaited::reply, .code = code, .protocol = protocol},
          .hop = hop};
}

// Protocol reference, section 4.
TEST(Trouble, TheLastProxysWordOnTheTargetIsToldAsItIs) {
  const std::array codes{
      Reason::upstream_general,          Reason::upstream_denied,      Reason::upstream_network_unreachable,
      Reason::upstream_host_unreachable, Reason::upstream_refused,     Reason::upstream_ttl_expired,
      Reason::upstream_command,          Reason::upstream_address_type};
  for (std::uint16_t code = 1; code <= 8; ++code) {
    const Reason reason = reason_of(answered(code, ProxyProtocol::socks5, 1), 2);
    EXPECT_EQ(reason, codes[code - 1U]);
    EXPECT_EQ(static_cast<int>(reply_code(reason)), code);
  }
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{9, 0x5B, 0xF0, 0xFF}) {
    EXPECT_EQ(reason_of(answered(code, ProxyProtocol::socks5, 0), 1), Reason::upstream_general);
  }
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{91, 92, 93}) {
    EXPECT_EQ(reason_of(answered(code, ProxyProtocol::socks4, 0), 1), Reason::upstream_general);
  }
  EXPECT_EQ(reason_of(answered(403, ProxyProtocol::http, 0), 1), Reason::upstream_denied);
  EXPECT_EQ(reason_of(answered(404, ProxyProtocol::http, 0), 1), Reason::upstream_host_unreachable);
  EXPECT_EQ(reason_of(answered(502, ProxyProtocol::http, 0), 1), Reason::upstream_host_unreachable);
  EXPECT_EQ(reason_of(answered(504, ProxyProtocol::http, 0), 1), Reason::upstream_timeout);
  EXPECT_EQ(reason_of(answered(500, ProxyProtocol::http, 0), 1), Reason::upstream_general);
  EXPECT_EQ(reason_of(answered(407, ProxyProtocol::http, 0), 1), Reason::upstream_failed);
}

TEST(Trouble, WhatAnEarlierProxySaysIsNoWordOnTheTarget) {
  EXPECT_EQ(reason_of(answered(5, ProxyProtocol::socks5, 0), 2), Reason::upstream_failed);
  EXPECT_EQ(blamed_hop(answered(5, ProxyProtocol::socks5, 0), 2), 1U) << "the one that it could not reach";
  EXPECT_EQ(blamed_hop(answered(5, ProxyProtocol::socks5, 1), 2), std::nullopt) << "the target";
}

TEST(Trouble, EveryFaultOfTheWayIsOneReason) {
  for (const Obstacle obstacle : {Obstacle::proxy_name, Obstacle::login_half, Obstacle::clear_password, Obstacle::dial,
                                  Obstacle::announcement, Obstacle::protection}) {
    const Trouble trouble{.obstacle = obstacle, .reason = Reason::dial_refused, .failure = {}, .hop = 1};
    EXPECT_EQ(reason_of(trouble, 3), Reason::upstream_failed);
    EXPECT_EQ(blamed_hop(trouble, 3), 1U);
  }
  for (int i = 0; i < static_cast<int>(session::proxy_fault_count); ++i) {
    const auto fault = static_cast<ProxyFault>(i);
    if (fault == ProxyFault::refused || fault == ProxyFault::no_such_command) continue;
    const Trouble trouble{.obstacle = Obstacle::conversation, .failure = {.fault = fault}, .hop = 0};
    EXPECT_EQ(reason_of(trouble, 1), Reason::upstream_failed);
    EXPECT_EQ(blamed_hop(trouble, 1), 0U);
  }
}

TEST(Trouble, NobodyIsToBlameForThisHostOrForTheRequest) {
  EXPECT_EQ(blamed_hop({.obstacle = Obstacle::dial, .reason = Reason::no_resources}, 1), std::nullopt);
  EXPECT_EQ(reason_of({.obstacle = Obstacle::dial, .reason = Reason::no_resources}, 1), Reason::no_resources);
  EXPECT_EQ(blamed_hop({.obstacle = Obstacle::dial, .reason = Reason::dial_egress}, 1), std::nullopt);
  EXPECT_EQ(reason_of({.obstacle = Obstacle::dial, .reason = Reason::dial_egress}, 1), Reason::dial_egress);
  EXPECT_EQ(blamed_hop({.obstacle = Obstacle::canceled}, 1), std::nullopt);
  EXPECT_EQ(reason_of({.obstacle = Obstacle::canceled}, 1), Reason::client_reset);
  EXPECT_EQ(reason_of({.obstacle = Obstacle::target_family}, 1), Reason::upstream_address_type);
  EXPECT_EQ(reason_of({.obstacle = Obstacle::target_name, .reason = Reason::dns_not_found}, 1), Reason::dns_not_found);
  const Trouble lacking{.obstacle = Obstacle::conversation, .failure = {.fault = ProxyFault::no_such_command}};
  EXPECT_EQ(reason_of(lacking, 1), Reason::upstream_command);
  EXPECT_EQ(blamed_hop(lacking, 1), std::nullopt);
}

// A SOCKS5 proxy that let us in and is still at it has a slow target; one that does not even greet is gone.
TEST(Trouble, ASlowTargetIsNotItsProxysFault) {
  const auto silent = [](Awaited awaited, ProxyProtocol protocol) {
    return Trouble{.obstacle = Obstacle::conversation,
                   .failure = {.fault = ProxyFault::timed_out, .awaited = awaited, .protocol = protocol}};
  };
  EXPECT_EQ(blamed_hop(silent(Awaited::reply, ProxyProtocol::socks5), 1), std::nullopt);
  EXPECT_EQ(blamed_hop(silent(Awaited::reply, ProxyProtocol::socks5), 2), 0U);
  EXPECT_EQ(blamed_hop(silent(Awaited::method, ProxyProtocol::socks5), 1), 0U);
  EXPECT_EQ(blamed_hop(silent(Awaited::reply, ProxyProtocol::http), 1), 0U);
}

// Who waits for a peer behind it stops at the same time as it does, and whoever is first says the same.
TEST(Trouble, APeerThatNeverCameIsNotTheProxysFault) {
  for (const ProxyProtocol protocol : {ProxyProtocol::socks4, ProxyProtocol::socks5}) {
    const Trouble trouble{.obstacle = Obstacle::conversation,
                          .failure = {.fault = ProxyFault::timed_out, .awaited = Awaited::peer, .protocol = protocol}};
    EXPECT_EQ(reason_of(trouble, 1), Reason::bind_timeout);
    EXPECT_EQ(blamed_hop(trouble, 1), std::nullopt);
  }
}

TEST(Trouble, EveryObstacleHasItsOwnWords) {
  std::set<std::string> texts;
  for (int i = 1; i <= static_cast<int>(Obstacle::canceled); ++i) {
    const session::Advice advice = explain({.obstacle = static_cast<Obstacle>(i)});
    EXPECT_FALSE(advice.why.empty()) << i;
    EXPECT_TRUE(texts.insert(advice.why).second) << advice.why;
  }
}

TEST(Trouble, OfAServerItsCauseIsToldAndWhoSaysSo) {
  const Trouble dead{.obstacle = Obstacle::dial, .reason = Reason::dial_refused};
  EXPECT_EQ(cause_of(dead), Reason::dial_refused);
  EXPECT_EQ(cause_text(dead, 0), "nobody listens there");
  const Trouble silent{.obstacle = Obstacle::conversation, .failure = {.fault = ProxyFault::timed_out}};
  EXPECT_EQ(cause_of(silent), Reason::upstream_failed) << "it was reached";
  EXPECT_EQ(cause_text(silent, 0), "it did not answer in time");
  EXPECT_EQ(cause_text(answered(5, ProxyProtocol::socks5, 0), 1),
            "the proxy in front of it says: the target refuses the connection");
}

}  // namespace
}  // namespace stile::route
