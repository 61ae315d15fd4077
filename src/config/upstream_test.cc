// [[upstream]]: what is read, what is refused, and what rules may then name.
#include "config/upstream.h"

#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace stile::config {
namespace {

std::string faults(const std::string& text) {
  const auto config = parse(text);
  if (config) return "";
  std::string all;
  for (const ConfigError& error : config.error()) {
    all += std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message + "\n";
  }
  return all;
}

std::string upstream(const std::string& lines) {
  return "[[upstream]]\nname = \"exit\"\n" + lines;
}

constexpr std::string_view whole = R"(
[policy]
rules = "allow anyone from 10.0.0.0/8 to any via exit > far"
[[upstream]]
name = "exit"
servers = ["socks5h+tls://gate%40x@exit1.example:1443", "socks5h+tls://exit2.example"]
pick = "hash-user"
password_file = "p"
ca = "ca.pem"
certificate = "c.pem"
key = "k.pem"
handshake = "pipelined"
identity = "announce"
relays = ["10.0.0.0/24", "2001:db8::5"]
egress = "192.0.2.7%eth1"
mark = 0x10
fast_open = "on"
timeout = "2s"
failures = 1
retry = "30s"
slow_start = "off"
probe = "10s"
[[upstream]]
name = "far"
servers = "socks5://192.0.2.1"
clear_password = "allow"
)";

TEST(Upstream, IsReadWhole) {
  EXPECT_EQ(faults(std::string(whole)), "");
  const auto config = parse(whole);
  ASSERT_TRUE(config.has_value());
  ASSERT_EQ(config->upstreams.size(), 2U);
  const Upstream& exit = config->upstreams[0];
  EXPECT_EQ(exit.servers.size(), 2U);
  EXPECT_EQ(exit.servers[0].user, "gate@x");
  EXPECT_EQ(exit.pick, Pick::hash_user);
  EXPECT_TRUE(exit.pipelined && exit.announces && exit.takes_names());
  EXPECT_EQ(exit.relays, (std::vector{*Cidr::parse("10.0.0.0/24"), *Cidr::parse("2001:db8::5")}));
  EXPECT_EQ(exit.egress.place_text(), "192.0.2.7%eth1");
  EXPECT_EQ(exit.mark, 16U);
  EXPECT_TRUE(exit.fast_open);
  EXPECT_FALSE(config->upstreams[1].fast_open || config->upstreams[1].egress.is_set());
  EXPECT_EQ(exit.timeout, std::chrono::seconds(2));
  EXPECT_EQ(exit.failures, 1U);
  EXPECT_EQ(exit.retry, std::chrono::seconds(30));
  EXPECT_EQ(exit.slow_start, Duration::zero());
  EXPECT_EQ(exit.probe, std::chrono::seconds(10));
  EXPECT_FALSE(config->upstreams[1].takes_names());
  EXPECT_TRUE(config->upstreams[1].clear_password);
  const policy::Options& options = config->policy->options(0);
  EXPECT_EQ(options.via, (std::vector<std::string>{"exit", "far"}));
  EXPECT_FALSE(options.via_takes_names) << "the last hop is asked for addresses";
}

TEST(Upstream, ValuesInForceAreToldAsTheFileWritesThem) {
  const auto config = parse(whole, "stile.toml");
  ASSERT_TRUE(config.has_value());
  std::string text;
  for (const EffectiveValue& value : effective(*config)) {
    if (value.key.starts_with("upstream[1].")) text += value.key + "=" + value.value + " " + value.origin + "\n";
    if (value.key == "upstream[0].relays") {
      EXPECT_EQ(value.value, "[\"10.0.0.0/24\", \"2001:db8::5/128\"]");
    }
    if (value.key == "upstream[0].servers") {
      EXPECT_EQ(value.value, "[\"socks5h+tls://gate%40x@exit1.example:1443\", \"socks5h+tls://exit2.example:1080\"]");
    }
  }
  EXPECT_EQ(text,
            "upstream[1].name=far stile.toml:24\n"
            "upstream[1].servers=[\"socks5://192.0.2.1:1080\"] stile.toml:25\n"
            "upstream[1].pick=first-alive default\n"
            "upstream[1].clear_password=allow stile.toml:26\n"
            "upstream[1].gss_service=rcmd default\n"
            "upstream[1].gss_level=confidentiality default\n"
            "upstream[1].handshake=step-by-step default\n"
            "upstream[1].identity=hide default\n"
            "upstream[1].relays=[] default\n"
            "upstream[1].mark=0 default\n"
            "upstream[1].fast_open=off default\n"
            "upstream[1].timeout=5s default\n"
            "upstream[1].failures=3 default\n"
            "upstream[1].retry=5s default\n"
            "upstream[1].slow_start=30s default\n"
            "upstream[1].probe=off default\n");
}

TEST(Upstream, MayTakeKerberosTickets) {
  const auto plain = parse(upstream("servers = \"socks5h+gssapi://proxy.example\"\n"));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->upstreams[0].keytab + plain->upstreams[0].principal, "") << "Kerberos has one for clients";
  EXPECT_EQ(plain->upstreams[0].gss_service, "rcmd");
  EXPECT_FALSE(plain->upstreams[0].gss_integrity_only);
  const auto all =
      parse(upstream("servers = [\"socks5h+gssapi://proxy.example\", \"socks5h+tls://other.example\"]\n"
                     "keytab = \"gate.keytab\"\nprincipal = \"stile/gate.example@EXAMPLE.ORG\"\n"
                     "gss_service = \"socks\"\ngss_level = \"integrity\"\n"));
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->upstreams[0].keytab, "gate.keytab");
  EXPECT_EQ(all->upstreams[0].principal, "stile/gate.example@EXAMPLE.ORG");
  EXPECT_EQ(all->upstreams[0].gss_service, "socks");
  EXPECT_TRUE(all->upstreams[0].gss_integrity_only);
}

TEST(Upstream, RulesMayStandInFrontOfIt) {
  EXPECT_EQ(faults("[policy]\nrules = \"allow anyone from 10.0.0.0/8 to any via exit\"\n" +
                   upstream("servers = \"socks5h://192.0.2.1\"\n")),
            "");
}

TEST(Upstream, EveryFaultIsToldWithItsPlace) {
  EXPECT_EQ(faults("[[upstream]]\nservers = \"socks5h://192.0.2.1\"\n"), "1:1: [[upstream]] has no 'name'\n");
  EXPECT_EQ(faults("[[upstream]]\nname = \"direct\"\nservers = \"socks5h://192.0.2.1\"\n"),
            "2:8: upstream.name: 'direct' means no upstream at all\n");
  EXPECT_EQ(faults("[[upstream]]\nname = \"a b\"\nservers = \"socks5h://192.0.2.1\"\n"),
            "2:8: upstream.name: expected letters, digits, '-', '_' and '.'\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\n") + upstream("servers = \"socks5h://192.0.2.1\"\n")),
            "5:8: upstream.name: another upstream is named 'exit'\n");
  EXPECT_EQ(faults(upstream("")), "2:1: upstream.name: it has no 'servers': nobody could be asked\n");
  EXPECT_EQ(faults(upstream("servers = \"socks6://192.0.2.1\"\n")),
            "3:11: upstream.servers: the scheme socks6 is unknown (did you mean socks4?)\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://a:secret@192.0.2.1\"\n")),
            "3:11: upstream.servers: a password does not stand here: write it into a file and name that in "
            "password_file\n");
  EXPECT_EQ(faults(upstream("servers = [\"socks5h://192.0.2.1\",\n\"socks5://192.0.2.2\"]\n")),
            "4:1: upstream.servers: some servers here take names and others addresses: rules could not tell which is "
            "meant (make two upstreams)\n");
  EXPECT_EQ(faults(upstream("servers = [\"socks5h://192.0.2.1\", \"socks5h://192.0.2.1:1080\"]\n")),
            "3:35: upstream.servers: it stands twice\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://a@192.0.2.1\"\n")),
            "3:1: upstream.servers: a user stands there without a password (add `password_file`)\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\npassword_file = \"p\"\n")),
            "4:1: upstream.password_file: nobody logs in with it (write the user before the @ in `servers`)\n");
  EXPECT_EQ(faults(upstream("servers = \"https://192.0.2.1\"\ncertificate = \"c\"\n")),
            "4:1: upstream.certificate: a certificate and its key belong together\n");
  EXPECT_EQ(faults(upstream("servers = \"http://192.0.2.1\"\nca = \"c\"\n")),
            "4:1: upstream.ca: no server has TLS (write +tls behind the scheme, or https)\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\nkeytab = \"k\"\n")),
            "4:1: upstream.keytab: no server takes a Kerberos ticket (write +gssapi behind the scheme)\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h+tls://192.0.2.1\"\nprincipal = \"gate@R\"\n")),
            "4:1: upstream.principal: no server takes a Kerberos ticket (write +gssapi behind the scheme)\n");
  for (const std::string_view principal : {"", "@R", "/host@R", "a b@R", "\\u007F"}) {
    EXPECT_EQ(
        faults(upstream("servers = \"socks5h+gssapi://192.0.2.1\"\nprincipal = \"" + std::string(principal) + "\"\n")),
        "4:13: upstream.principal: expected a principal, such as \"stile/gate.example@EXAMPLE.ORG\"\n");
  }
  EXPECT_EQ(faults(upstream("servers = \"socks5h+gssapi://192.0.2.1\"\ngss_service = \"rcmd/host\"\n")),
            "4:15: upstream.gss_service: expected the first part of a principal, such as \"rcmd\", without a host\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h+gssapi://192.0.2.1\"\ngss_level = \"clear\"\n")),
            "4:13: upstream.gss_level: expected \"confidentiality\" or \"integrity\"\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\negress = \"eth0/1\"\n")),
            "4:10: upstream.egress: expected an address of this host, an IPv6 prefix of it or an interface, found "
            "'eth0/1'\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\nmark = 4294967296\n")),
            "4:8: upstream.mark: expected a whole number from 0 to 4294967295\n");
  EXPECT_EQ(faults(upstream("servers = \"socks5h://192.0.2.1\"\npick = \"random\"\n")),
            "4:8: upstream.pick: expected one of first-alive, round-robin, least-latency, least-sessions, hash-source, "
            "hash-user, hash-target\n");
}

/// What `stile check` warns of, with its line.
std::string warnings(const std::string& rules, const std::string& upstreams) {
  const auto config = parse("[policy]\nrules = \"" + rules + "\"\n" + upstreams);
  if (!config) return "not accepted: " + config.error().at(0).message;
  std::string all;
  for (const ConfigError& one : cautions(*config)) all += std::to_string(one.line) + ": " + one.message + "\n";
  return all;
}

std::string upstream_of(const std::string& name, const std::string& servers) {
  return "[[upstream]]\nname = \"" + name + "\"\nservers = [" + servers + "]\n";
}

TEST(Upstream, OneThatNoRuleUsesIsWarnedOf) {
  const std::string exit = upstream_of("exit", "'socks5h://192.0.2.1'");
  EXPECT_EQ(warnings("allow alice to any:443", exit),
            "4: no rule leads through upstream 'exit' (write 'via exit' behind one, or take it out)\n");
  EXPECT_EQ(warnings("allow alice to any:443 via exit", exit), "");
  const auto config = parse(exit);
  ASSERT_TRUE(config.has_value());
  std::string all;
  for (const ConfigError& one : cautions(*config)) all += std::to_string(one.line) + ": " + one.message + "\n";
  EXPECT_NE(all.find("2: no rule leads through upstream 'exit'"), std::string::npos) << "nor is there any\n" << all;
}

TEST(Upstream, ARuleWhoseCommandItsServersDoNotKnowIsWarnedOf) {
  const std::string socks5 = upstream_of("one", "'socks5h://192.0.2.1'");
  const auto warned = [&](const std::string& commands, const std::string& servers) {
    std::string rest =
        warnings("r: allow alice to " + commands + " public via one > two", socks5 + upstream_of("two", servers));
    std::string about;
    for (const std::string command : {"udp", "bind", "ping", "resolve"}) {
      const std::string line = "2: 'r': " + command + " does not go through upstream 'two', whose server ";
      const std::size_t at = rest.find(line);
      if (at == std::string::npos) continue;
      about += (about.empty() ? "" : " ") + command;
      rest.erase(at, rest.find('\n', at) + 1 - at);
    }
    return about + rest;
  };
  const std::string all = "tcp udp bind ping resolve";
  EXPECT_EQ(warned(all, "'socks5h://192.0.2.2'"), "") << "whether the proxy grants them only it can say";
  EXPECT_EQ(warned(all, "'socks5+tls://192.0.2.2'"), "");
  EXPECT_EQ(warned(all, "'socks4a://192.0.2.2'"), "udp ping");
  EXPECT_EQ(warned(all, "'socks4://192.0.2.2'"), "udp ping resolve");
  EXPECT_EQ(warned(all, "'http://192.0.2.2'"), "udp bind ping resolve");
  EXPECT_EQ(warned("tcp", "'http://192.0.2.2'"), "");
  EXPECT_EQ(warned(all, "'socks5h://192.0.2.2', 'http://192.0.2.3'"), "udp bind ping resolve") << "one is enough";
  const std::string behind = upstream_of("two", "'http://192.0.2.2'") + socks5;
  EXPECT_EQ(warnings("r: allow alice to udp bind public via two > one", behind),
            "2: 'r': udp does not go through upstream 'two', whose server http://192.0.2.2:1080 cannot be asked for it "
            "(give udp a rule of its own, or the upstream servers of SOCKS5)\n")
      << "datagrams pass every hop; the others connect";
}

}  // namespace
}  // namespace stile::config
