// Every obstacle, fault and reply has a code, an errno and words.
#include "client/failure.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace stile::client {
namespace {

using route::Obstacle;
using session::ProxyFault;

const route::Hop one{.url = wire::parse_proxy_url("socks5h://alice:secret@proxy.example").value()};
const route::Hop other{.url = wire::parse_proxy_url("http://other.example:3128").value()};
const std::vector<const route::Hop*> hops{&one, &other};

route::Trouble answered(ProxyFault fault, std::uint16_t code = 0,
                        wire::ProxyProtocol protocol = wire::ProxyProtocol::socks5) {
  return {.obstacle = Obstacle::conversation, .failure = {.fault = fault, .code = code, .protocol = protocol}};
}

TEST(Failure, EveryObstacleIsTold) {
  EXPECT_TRUE(failure_of({}, hops).is_none());
  for (int i = 1; i <= static_cast<int>(Obstacle::canceled); ++i) {
    const Failure failure = failure_of({.obstacle = static_cast<Obstacle>(i)}, hops);
    EXPECT_NE(failure.code, STILE_OK) << i;
    EXPECT_GT(failure.system_error, 0) << i;
    EXPECT_FALSE(failure.text.empty()) << i;
    EXPECT_EQ(failure.text.find("secret"), std::string::npos);
  }
}

TEST(Failure, EveryFaultIsTold) {
  for (std::size_t i = 0; i < session::proxy_fault_count; ++i) {
    const Failure failure = failure_of(answered(static_cast<ProxyFault>(i)), hops);
    EXPECT_NE(failure.code, STILE_OK) << i;
    EXPECT_GT(failure.system_error, 0) << i;
    EXPECT_EQ(failure.hop, 0);
    EXPECT_TRUE(failure.text.starts_with("socks5h://proxy.example:1080: ")) << failure.text;
  }
}

TEST(Failure, WhatAProxySaysOfTheTargetIsToldAsConnectWould) {
  const auto errno_of = [](std::uint16_t code, wire::ProxyProtocol protocol) {
    const Failure failure = failure_of(answered(ProxyFault::refused, code, protocol), hops);
    EXPECT_EQ(failure.reply, code);
    return failure.system_error;
  };
  const auto socks5 = wire::ProxyProtocol::socks5;
  const int expected[] = {ECONNREFUSED, ECONNREFUSED, EACCES,     ENETUNREACH,  EHOSTUNREACH,
                          ECONNREFUSED, EHOSTUNREACH, EOPNOTSUPP, EAFNOSUPPORT, ECONNREFUSED};
  for (std::uint16_t code = 1; code < std::size(expected); ++code) EXPECT_EQ(errno_of(code, socks5), expected[code]);
  EXPECT_EQ(errno_of(91, wire::ProxyProtocol::socks4), ECONNREFUSED);
  EXPECT_EQ(errno_of(403, wire::ProxyProtocol::http), EACCES);
  EXPECT_EQ(errno_of(502, wire::ProxyProtocol::http), ECONNREFUSED);
  EXPECT_EQ(errno_of(504, wire::ProxyProtocol::http), ETIMEDOUT);
  EXPECT_EQ(failure_of(answered(ProxyFault::refused, 407, wire::ProxyProtocol::http), hops).code, STILE_ERROR_LOGIN);
}

TEST(Failure, TheHopAtFaultIsNamed) {
  route::Trouble trouble{.obstacle = Obstacle::protection, .reason = Reason::tls_certificate_name};
  trouble.hop = 1;
  const Failure failure = failure_of(trouble, hops);
  EXPECT_EQ(failure.hop, 1);
  EXPECT_TRUE(failure.text.starts_with("http://other.example:3128: ")) << failure.text;
  EXPECT_EQ(failure_of({.obstacle = Obstacle::target_name, .reason = Reason::dns_failed}, hops).hop, -1);
  EXPECT_EQ(failure_of({.obstacle = Obstacle::dial, .reason = Reason::no_resources}, hops).code, STILE_ERROR_SYSTEM);
  EXPECT_EQ(failure_of({.obstacle = Obstacle::dial, .reason = Reason::dial_timeout}, hops).system_error, ETIMEDOUT);
}

TEST(Failure, AnErrorIsFilledAndEndsWithinItsRoom) {
  stile_error error;
  tell({.code = STILE_ERROR_SYSTEM, .system_error = ENOMEM, .text = std::string(1'000, 'x')}, &error);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(std::string(error.text), std::string(sizeof error.text - 1, 'x'));
  EXPECT_EQ(error.reply, -1);
  EXPECT_EQ(error.hop, -1);
  tell({}, &error);
  EXPECT_EQ(error.code, STILE_OK);
  EXPECT_EQ(error.text[0], '\0');
  tell({.code = STILE_ERROR_STATE, .system_error = EINVAL}, nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST(Failure, ATargetWithoutAProxy) {
  const Target target{.host = Address::v4(192, 0, 2, 1), .port = 80};
  EXPECT_TRUE(direct_failure(Reason::none, target).is_none());
  EXPECT_EQ(direct_failure(Reason::dial_refused, target).system_error, ECONNREFUSED);
  EXPECT_EQ(direct_failure(Reason::dns_not_found, target).code, STILE_ERROR_TARGET_NAME);
  EXPECT_EQ(direct_failure(Reason::client_reset, target).code, STILE_ERROR_CANCELED);
  EXPECT_TRUE(direct_failure(Reason::dial_timeout, target).text.starts_with("192.0.2.1:80: "));
}

}  // namespace
}  // namespace stile::client
