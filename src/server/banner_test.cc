#include "server/banner.h"

#include <gtest/gtest.h>

namespace stile::server {
namespace {

config::Config configured(std::string_view text) {
  auto config = config::parse(text);
  EXPECT_TRUE(config) << (config ? "" : config.error().front().message);
  return config ? std::move(*config) : config::Config{};
}

TEST(Banner, SaysWhatAListenerAdmits) {
  const auto config = configured(
      "[[listen]]\naddress = '127.0.0.1:1'\nproxy_protocol_from = ['10.0.0.5', '10.1.0.0/24']\n"
      "[[listen]]\naddress = 'unix:/run/s'\nprotocols = 'socks4'\n");
  EXPECT_EQ(admitted(config, config.listeners[0]).substr(0, 20), "SOCKS5, SOCKS4, HTTP");
  EXPECT_NE(admitted(config, config.listeners[0]).find("; PROXY header from 10.0.0.5/32, 10.1.0.0/24 required"),
            std::string::npos);
  EXPECT_EQ(admitted(config, config.listeners[1]), "SOCKS4");
}

TEST(Banner, SaysWhoMay) {
  const std::string users = "[users]\nfile = 'u'\n";
  const std::string policy = "[policy]\nrules = 'allow anyone from 10.0.0.0/8 to public'\n";
  const auto says = [](const std::string& text) {
    const auto config = configured(text);
    return who_may(config, config.listeners[0]);
  };
  const std::string outside = "[[listen]]\naddress = '10.0.0.1:1'\n";
  EXPECT_EQ(says(""), "clients on this host, without authentication");
  EXPECT_EQ(says(users), "clients on this host, with a password");
  EXPECT_EQ(says(outside + users), "nobody, since there is no [policy]");
  EXPECT_EQ(says(outside + policy), "clients without authentication, as 1 rule of the policy says");
  EXPECT_EQ(says(outside + users + policy), "users with a password, as 1 rule of the policy says");
  EXPECT_EQ(says(outside + "auth = ['password', 'none']\n" + users + policy),
            "clients with or without a password, as 1 rule of the policy says");
}

TEST(Banner, ALoginIsPartOfTheTrial) {
  const auto config = configured("[users]\nfile = 'u'\n");
  EXPECT_EQ(admitted(config, config.listeners[0]), "SOCKS5, HTTP") << "SOCKS4 proves nothing";
  EXPECT_EQ(trial(config, config.listeners[0], *Endpoint::parse("127.0.0.1:1")),
            "curl -x socks5h://127.0.0.1:1 -U USER http://HOST/");
}

TEST(Banner, SaysNothingOfDefaults) {
  EXPECT_TRUE(outside_facts(config::Config{}).empty());
}

TEST(Banner, SaysWhatIsShownToTheOutside) {
  const auto config = configured(
      "[udp]\nports = '40000-40009'\nadvertise = ['203.0.113.7', '2001:db8::7']\nfilter = 'any'\n"
      "[bind]\nadvertise = '203.0.113.7'\n[[proxy_protocol_to]]\ntargets = ['192.0.2.1:80']\n");
  EXPECT_EQ(outside_facts(config),
            (std::vector<std::string>{"UDP relays at ports 40000-40009, as 203.0.113.7, 2001:db8::7 to those outside",
                                      "UDP answers are taken from anybody (udp.filter = \"any\")",
                                      "BIND as 203.0.113.7 to those outside",
                                      "1 target is told who the client is by a PROXY header"}));
}

std::shared_ptr<const policy::Policy> policy_of(std::string_view rules) {
  return std::make_shared<const policy::Policy>(policy::Policy::compile(rules).value());
}

TEST(Banner, SaysWhichEgressIsMissing) {
  config::Config config;
  config.policy = policy_of(
      "here: allow anyone to any egress 192.0.2.1%eth0\n"
      "gone: allow anyone to any egress 192.0.2.2\n"
      "loop: allow anyone to loopback egress 127.0.0.9\n"
      "many: allow anyone to any egress 2001:db8:1::/64\n"
      "routed: allow anyone to any egress 2001:db8:2:3::/64\n"
      "pulled: allow anyone to any egress eth1\n"
      "marked: allow anyone to any mark 7\n");
  config.upstreams.push_back({.name = "exit", .egress = {.interface = *InterfaceName::parse("eth2")}, .mark = 9});
  EgressFacts host{.addresses = {*Cidr::parse("192.0.2.1"), *Cidr::parse("2001:db8:2::/48")},
                   .has_interface = [](const InterfaceName& name) { return name.text() == "eth0"; },
                   .may_mark = true,
                   .mark_cure = "ask"};
  const auto missing = missing_egress(config, host);
  ASSERT_EQ(missing.size(), 4U);
  EXPECT_EQ(missing[0].what, "rule 'gone' cannot leave from 192.0.2.2");
  EXPECT_EQ(missing[0].cure, "`ip address add 192.0.2.2/32 dev INTERFACE`");
  EXPECT_EQ(missing[1].what, "rule 'many' cannot leave from 2001:db8:1::/64");
  EXPECT_EQ(missing[1].cure, "`ip route add local 2001:db8:1::/64 dev lo`");
  EXPECT_EQ(missing[2].what, "rule 'pulled' cannot leave by eth1");
  EXPECT_EQ(missing[3].what, "upstream 'exit' cannot leave by eth2");
  host.may_mark = false;
  host.addresses.clear();
  const auto unmarked = missing_egress(config, host);
  ASSERT_EQ(unmarked.size(), 4U) << "addresses that are not known are not judged";
  EXPECT_EQ(unmarked[1].what, "rule 'marked' cannot set its mark 7");
  EXPECT_EQ(unmarked[1].cure, "ask");
  EXPECT_EQ(unmarked[3].what, "upstream 'exit' cannot set its mark 9");
}

TEST(Banner, KnowsWhetherAnythingIsMarked) {
  config::Config config;
  EXPECT_FALSE(marks(config));
  config.policy = policy_of("one: allow anyone to any egress eth1\n");
  EXPECT_FALSE(marks(config));
  config.policy = policy_of("one: allow anyone to any\ntwo: allow anyone to any:80 mark 7\n");
  EXPECT_TRUE(marks(config));
  config.policy.reset();
  config.upstreams.push_back({.name = "exit", .mark = 7});
  EXPECT_TRUE(marks(config));
}

TEST(Banner, OffersACommandThatWorks) {
  config::Listener listener;
  EXPECT_EQ(trial({}, listener, *Endpoint::parse("[::1]:1080")), "curl -x socks5h://[::1]:1080 http://HOST/");
  EXPECT_EQ(trial({}, listener, *Endpoint::parse("0.0.0.0:1080")),
            "curl -x socks5h://ADDRESS-OF-THIS-HOST:1080 http://HOST/");
  listener.protocols = {.socks5 = false, .socks4 = false, .http = true};
  EXPECT_EQ(trial({}, listener, *Endpoint::parse("127.0.0.1:1")), "curl -x http://127.0.0.1:1 http://HOST/");
  listener.protocols = {};
  listener.file.path = "/run/s";
  EXPECT_EQ(trial({}, listener, {}), "curl -x socks5h://localhost/run/s http://HOST/");
}

}  // namespace
}  // namespace stile::server
