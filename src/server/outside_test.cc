#include "server/outside.h"

#include <gtest/gtest.h>

#include "wire/proxy_protocol.h"

namespace stile::server {
namespace {

Address at(std::string_view text) {
  return Address::parse(text).value();
}
Endpoint end(std::string_view text) {
  return Endpoint::parse(text).value();
}

const config::Outside behind_nat{.ports = {}, .advertise = {at("203.0.113.7"), at("2001:db8::7")}};
const config::Outside v4_only{.ports = {}, .advertise = {at("203.0.113.7")}};

TEST(Outside, AnAdvertisedAddressTakesThePlaceOfItsFamily) {
  EXPECT_EQ(advertised_for(behind_nat, at("10.0.0.2")), at("203.0.113.7"));
  EXPECT_EQ(advertised_for(behind_nat, at("fd00::2")), at("2001:db8::7"));
  EXPECT_EQ(advertised_for(behind_nat, at("8.8.8.8")), at("203.0.113.7"));
  EXPECT_EQ(advertised_for(v4_only, at("fd00::2")), std::nullopt);
  EXPECT_EQ(advertised_for({}, at("10.0.0.2")), std::nullopt);
}

TEST(Outside, LoopbackIsToldAsItIs) {
  EXPECT_EQ(advertised_for(behind_nat, at("127.0.0.1")), std::nullopt);
  EXPECT_EQ(advertised_for(behind_nat, at("::1")), std::nullopt);
}

TEST(Outside, ConnectHidesWhatIsNotPublic) {
  for (const std::string_view inside : {"10.0.0.2", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1"}) {
    EXPECT_EQ(told_by_connect(behind_nat, at(inside), at("8.8.4.4"), at("9.9.9.9")), at("203.0.113.7")) << inside;
    EXPECT_EQ(told_by_connect({}, at(inside), at("10.0.0.1"), at("192.168.7.7")), at(inside)) << inside;
  }
  const Address reached = at("10.0.0.1");
  const Address client = at("10.0.0.9");
  EXPECT_EQ(told_by_connect(behind_nat, at("fd00::2"), reached, client), at("2001:db8::7"));
  EXPECT_EQ(told_by_connect(v4_only, at("fd00::2"), reached, client), at("fd00::2"));
  EXPECT_EQ(told_by_connect(behind_nat, at("8.8.8.8"), reached, client), at("8.8.8.8"));
}

// Threat TS6.
TEST(Outside, AClientFromOutsideIsToldNoInsideAddress) {
  const Address client = at("9.9.9.9");
  for (const std::string_view inside :
       {"10.0.0.2", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "fd00::2"}) {
    EXPECT_EQ(told_by_connect({}, at(inside), at("8.8.4.4"), client), at("8.8.4.4")) << inside;
    EXPECT_EQ(told_by_connect({}, at(inside), at("10.0.0.1"), client), at("0.0.0.0")) << inside;
  }
  EXPECT_EQ(told_by_connect({}, at("8.8.8.8"), at("10.0.0.1"), client), at("8.8.8.8"));
}

TEST(ProxyOut, TheFirstTableThatHoldsTheTargetDecides) {
  const std::vector<config::ProxyProtocolTo> tables{
      {.targets = {{*Cidr::parse("10.0.0.80"), {443, 443}}}, .version = 1},
      {.targets = {{*Cidr::parse("10.0.0.0/8"), {8000, 8099}}, {*Cidr::parse("2001:db8::/32"), {}}}, .version = 2}};
  EXPECT_EQ(proxy_version_for(tables, end("10.0.0.80:443")), 1U);
  EXPECT_EQ(proxy_version_for(tables, end("10.0.0.80:8000")), 2U);
  EXPECT_EQ(proxy_version_for(tables, end("10.9.9.9:8099")), 2U);
  EXPECT_EQ(proxy_version_for(tables, end("10.9.9.9:8100")), 0U);
  EXPECT_EQ(proxy_version_for(tables, end("10.9.9.9:7999")), 0U);
  EXPECT_EQ(proxy_version_for(tables, end("[2001:db8::1]:1")), 2U);
  EXPECT_EQ(proxy_version_for(tables, end("[2001:db9::1]:1")), 0U);
  EXPECT_EQ(proxy_version_for({}, end("10.0.0.80:443")), 0U);
}

std::string text(const std::vector<std::uint8_t>& octets) {
  return {octets.begin(), octets.end()};
}

TEST(ProxyOut, VersionOneNamesTheClientAndTheTarget) {
  const Endpoint own = end("198.51.100.7:40000");
  EXPECT_EQ(text(proxy_header(1, end("203.0.113.9:5000"), own, end("198.51.100.80:80"))),
            "PROXY TCP4 203.0.113.9 198.51.100.80 5000 80\r\n");
  EXPECT_EQ(text(proxy_header(1, end("203.0.113.9:5000"), own, end("[2001:db8::1]:80"))),
            "PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 5000 80\r\n");
  EXPECT_EQ(text(proxy_header(1, std::nullopt, own, end("198.51.100.80:80"))),
            "PROXY TCP4 198.51.100.7 198.51.100.80 40000 80\r\n");
}

TEST(ProxyOut, VersionTwoIsReadBackOrLocal) {
  const Endpoint own = end("198.51.100.7:40000");
  const auto header = proxy_header(2, end("203.0.113.9:5000"), own, end("198.51.100.80:80"));
  const auto decoded = wire::decode_proxy_header(header);
  const auto* const parsed = std::get_if<wire::Parsed<wire::ProxyHeader>>(&decoded);
  ASSERT_NE(parsed, nullptr);
  EXPECT_EQ(parsed->consumed, header.size());
  EXPECT_EQ(parsed->value.connection, (wire::ProxiedConnection{end("203.0.113.9:5000"), end("198.51.100.80:80")}));
  const auto local = wire::decode_proxy_header(proxy_header(2, std::nullopt, own, end("198.51.100.80:80")));
  EXPECT_TRUE(std::get<wire::Parsed<wire::ProxyHeader>>(local).value.local);
}

}  // namespace
}  // namespace stile::server
