#include "server/name_settings.h"

#include <gtest/gtest.h>

namespace stile::server {
namespace {

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

TEST(NameSettings, NothingSaidIsNothingSet) {
  const auto settings = name_settings(config::zero_configuration());
  EXPECT_TRUE(settings.servers.empty());
  EXPECT_EQ(settings.overrides, nullptr);
}

TEST(NameSettings, EachTableAndEachHost) {
  const auto config = config::parse(R"(
[[resolver]]
suffixes = ["corp.example", "10.in-addr.arpa"]
servers = ["10.0.0.53", "[fd00::53]:5353"]
transport = "tcp"
timeout = "2s"
[[resolver]]
servers = "192.0.2.53"
[names.hosts]
"intra.corp.example" = ["10.1.2.3", "fd00::3"]
"other.example" = "10.1.2.3"
)");
  ASSERT_TRUE(config) << config.error().front().message;
  const auto settings = name_settings(*config);
  ASSERT_EQ(settings.servers.size(), 2U);
  const resolve::NameServers& corp = settings.servers[0];
  EXPECT_EQ(corp.suffixes, (std::vector{host("corp.example"), host("10.in-addr.arpa")}));
  EXPECT_EQ(corp.servers, (std::vector{*Endpoint::parse("10.0.0.53:53"), *Endpoint::parse("[fd00::53]:5353")}));
  EXPECT_EQ(corp.transport, resolve::Transport::tcp);
  EXPECT_EQ(corp.try_time, std::chrono::seconds{2});
  EXPECT_TRUE(settings.servers[1].suffixes.empty());
  EXPECT_EQ(settings.servers[1].transport, resolve::Transport::udp);
  EXPECT_EQ(settings.servers[1].try_time, limits::dns_try);
  ASSERT_NE(settings.overrides, nullptr);
  EXPECT_EQ(*settings.overrides->find(host("intra.corp.example")),
            (std::vector{*Address::parse("10.1.2.3"), *Address::parse("fd00::3")}));
  EXPECT_EQ(*settings.overrides->find(*Address::parse("10.1.2.3")), host("intra.corp.example"));
}

}  // namespace
}  // namespace stile::server
