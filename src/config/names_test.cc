// [[resolver]] and [names].
#include "config/names.h"

#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace stile::config {
namespace {

using namespace std::chrono_literals;

std::string faults(std::string_view text) {
  const auto config = parse(text, "stile.toml");
  if (config) return "accepted";
  std::string list;
  for (const ConfigError& error : config.error()) {
    list += std::to_string(error.line) + ": " + error.message + "\n";
  }
  return list;
}

Config accepted(std::string_view text) {
  auto config = parse(text, "stile.toml");
  EXPECT_TRUE(config) << faults(text);
  return config ? std::move(*config) : Config{};
}

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

TEST(Resolvers, AreRead) {
  const Config config = accepted(R"([[resolver]]
suffixes = ["Corp.Example", "10.in-addr.arpa"]
servers = ["10.0.0.53", "10.0.0.54:5353", "[fd00::53]:53", "fd00::54"]
transport = "tcp"
timeout = "2s"
[[resolver]]
servers = "192.0.2.53"
)");
  ASSERT_EQ(config.resolvers.size(), 2U);
  const Resolver& corp = config.resolvers[0];
  EXPECT_EQ(corp.suffixes, (std::vector{host("corp.example"), host("10.in-addr.arpa")}));
  std::string servers;
  for (const Endpoint& server : corp.servers) servers += server.to_string() + " ";
  EXPECT_EQ(servers, "10.0.0.53:53 10.0.0.54:5353 [fd00::53]:53 [fd00::54]:53 ");
  EXPECT_TRUE(corp.tcp);
  EXPECT_EQ(corp.timeout, 2s);
  EXPECT_TRUE(config.resolvers[1].suffixes.empty());
  EXPECT_FALSE(config.resolvers[1].tcp);
  EXPECT_EQ(config.resolvers[1].timeout, limits::dns_try);
}

TEST(Resolvers, NeedServers) {
  EXPECT_EQ(faults("[[resolver]]\nsuffixes = ['corp.example']\n"), "1: [[resolver]] has no 'servers'\n");
  EXPECT_EQ(faults("[[resolver]]\nservers = []\n"), "2: resolver.servers: the list is empty\n");
  for (const char* server : {"ns.corp.example", "10.0.0.53:0", "0.0.0.0", "10.0.0.53:x", ""}) {
    EXPECT_NE(faults("[[resolver]]\nservers = ['" + std::string(server) + "']\n").find("expected the address of a DNS"),
              std::string::npos)
        << server;
  }
  EXPECT_EQ(faults("[[resolver]]\nservers = ['10.0.0.53', '10.0.0.53:53']\n"),
            "2: resolver.servers: 10.0.0.53:53 stands twice\n");
  std::string many;
  for (int i = 0; i < 9; ++i) many += "'10.0.0." + std::to_string(i + 1) + "', ";
  EXPECT_EQ(faults("[[resolver]]\nservers = [" + many + "]\n"), "2: resolver.servers: 8 servers are enough\n");
}

TEST(Resolvers, SuffixesAreNames) {
  for (const char* suffix : {".corp.example", "*.corp.example", "10.0.0.0/8", "10.0.0.1", "", "a b"}) {
    EXPECT_NE(faults("[[resolver]]\nservers = '10.0.0.53'\nsuffixes = ['" + std::string(suffix) + "']\n")
                  .find("3: resolver.suffixes: expected a name"),
              std::string::npos)
        << suffix;
  }
  EXPECT_EQ(faults("[[resolver]]\nservers = '10.0.0.53'\nsuffixes = []\n"),
            "3: resolver.suffixes: the list is empty\n");
}

TEST(Resolvers, OfReservedNamesOnlyLocalIsAsked) {
  EXPECT_EQ(accepted("[[resolver]]\nservers = '10.0.0.53'\nsuffixes = ['local', 'a.local']\n").resolvers.size(), 1U);
  for (const char* suffix : {"localhost", "x.localhost", "invalid", "onion", "alt", "a.alt"}) {
    EXPECT_EQ(faults("[[resolver]]\nservers = '10.0.0.53'\nsuffixes = '" + std::string(suffix) + "'\n"),
              "3: resolver.suffixes: no resolver is asked for names below " + std::string(suffix) + "\n");
  }
}

TEST(Resolvers, ANameHasOneTable) {
  const std::string corp = "[[resolver]]\nservers = '10.0.0.53'\nsuffixes = ['corp.example']\n";
  EXPECT_EQ(faults(corp + corp), "6: resolver.suffixes: another table has corp.example already\n");
  EXPECT_EQ(faults("[[resolver]]\nservers = '10.0.0.53'\nsuffixes = ['a.example', 'A.example']\n"),
            "3: resolver.suffixes: A.example stands twice\n");
  const std::string rest = "[[resolver]]\nservers = '10.0.0.53'\n";
  EXPECT_EQ(faults(rest + corp + rest), "7: resolver: another table without `suffixes` is for all names already\n");
}

TEST(Resolvers, TheirNumberIsBounded) {
  std::string text;
  for (int i = 0; i < 64; ++i)
    text += "[[resolver]]\nservers='10.0.0.53'\nsuffixes='n" + std::to_string(i) + ".example'\n";
  EXPECT_EQ(accepted(text).resolvers.size(), 64U);
  EXPECT_EQ(faults(text + "[[resolver]]\nservers='10.0.0.53'\n"), "194: resolver: 64 tables are enough\n");
}

TEST(Hosts, AreRead) {
  for (const char* text :
       {"[names]\nhosts = { 'intra.corp.example' = ['10.1.2.3', 'fd00::3'], 'B.example' = '10.1.2.4' }",
        "[names.hosts]\n'intra.corp.example' = ['10.1.2.3', 'fd00::3', '10.1.2.3']\n'b.example' = "
        "'10.1.2.4'\n"}) {
    const Config config = accepted(text);
    EXPECT_EQ(config.names.hosts.size(), 2U);
    EXPECT_EQ(config.names.hosts.at(host("intra.corp.example")),
              (std::vector{Address::v4(10, 1, 2, 3), *Address::parse("fd00::3")}));
    EXPECT_EQ(config.names.hosts.at(host("b.example")), std::vector{Address::v4(10, 1, 2, 4)});
  }
}

TEST(Hosts, FaultsNameTheHost) {
  const auto fault = [](const std::string& line) { return faults("[names.hosts]\n" + line + "\n"); };
  EXPECT_EQ(fault("'a.example' = 'b.example'"),
            "2: names.hosts: 'a.example': expected IP addresses, such as \"10.1.2.3\" or \"fd00::3\"\n");
  EXPECT_EQ(fault("'a.example' = []"), "2: names.hosts: 'a.example': the list is empty\n");
  EXPECT_EQ(fault("'10.0.0.1' = '10.0.0.2'"),
            "2: names.hosts: '10.0.0.1': expected a host's name, such as \"intra.corp.example\"\n");
  EXPECT_EQ(fault("'x.localhost' = '10.0.0.2'"),
            "2: names.hosts: 'x.localhost': localhost is always this host itself\n");
  EXPECT_EQ(fault("'x.invalid' = '10.0.0.2'"),
            "2: names.hosts: 'x.invalid': names below invalid have no address (RFC 6761)\n");
  EXPECT_EQ(fault("'A.example' = '10.0.0.2'\n'a.example' = '10.0.0.2'"),
            "3: names.hosts: 'a.example': it stands twice\n");
  EXPECT_NE(fault("a.example = '10.0.0.2'").find("2: names.hosts: write the name between quotes"), std::string::npos);
  EXPECT_NE(fault("'a.example' = 7").find("expected addresses for 'a.example', not"), std::string::npos);
  EXPECT_NE(faults("[names]\nhosts = 'file'\n").find("expected names and addresses"), std::string::npos);
}

TEST(Names, EffectiveShowsThem) {
  const Config config = accepted(R"([[resolver]]
servers = "192.0.2.53"
[[resolver]]
suffixes = ["corp.example"]
servers = ["10.0.0.53"]
timeout = "1s"
transport = "tcp"
[names.hosts]
"intra.corp.example" = ["10.1.2.3", "fd00::3"]
)");
  std::string text;
  for (const EffectiveValue& value : effective(config)) {
    if (value.key.starts_with("resolver") || value.key.starts_with("names")) {
      text += value.key + "=" + value.value + " <" + value.origin + ">\n";
    }
  }
  EXPECT_EQ(text,
            "resolver[0].suffixes=[] <default>\n"
            "resolver[0].servers=[\"192.0.2.53:53\"] <stile.toml:2>\n"
            "resolver[0].transport=udp <default>\n"
            "resolver[0].timeout=5s <default>\n"
            "resolver[1].suffixes=[\"corp.example\"] <stile.toml:4>\n"
            "resolver[1].servers=[\"10.0.0.53:53\"] <stile.toml:5>\n"
            "resolver[1].transport=tcp <stile.toml:7>\n"
            "resolver[1].timeout=1s <stile.toml:6>\n"
            "names.hosts.intra.corp.example=[\"10.1.2.3\", \"fd00::3\"] <stile.toml:8>\n");
}

TEST(Dns, IsAnsweredWhereItSays) {
  const auto config = parse("[[dns]]\naddress = '127.0.0.1'\n[[dns]]\naddress = '[::1]:5353'\n");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->dns,
            (std::vector<DnsListener>{{*Endpoint::parse("127.0.0.1:53")}, {*Endpoint::parse("[::1]:5353")}}));
  EXPECT_TRUE(exposures(*config).empty());
  for (const std::string bad : {"localhost", "127.0.0.1:0", "", "::1:x"}) {
    EXPECT_NE(faults("[[dns]]\naddress = '" + bad + "'\n").find("dns.address: expected an IP address"),
              std::string::npos)
        << bad;
  }
  EXPECT_EQ(faults("[[dns]]\naddress = '127.0.0.1'\n[[dns]]\naddress = '127.0.0.1:53'\n"),
            "4: dns.address: 127.0.0.1:53 is named twice\n");
}

TEST(Dns, IsNotAnsweredToAnybodyByAccident) {
  const auto told = [](const std::string& policy) {
    const auto config = parse("[[listen]]\naddress = '127.0.0.1:1'\n[[dns]]\naddress = '10.0.0.1'\n" + policy);
    EXPECT_TRUE(config.has_value());
    return config ? exposures(*config).size() : 0;
  };
  EXPECT_EQ(told(""), 1U);
  EXPECT_EQ(told("[policy]\nrules = 'allow anyone to resolve any'\n"), 1U);
  EXPECT_EQ(told("[policy]\nrules = 'allow anyone from 10.0.0.0/8 to resolve any'\n"), 0U);
}

}  // namespace
}  // namespace stile::config
