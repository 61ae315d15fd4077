#include "config/dante.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace stile::config {
namespace {

/// The rules alone, and the notes as "LINE: MESSAGE".
struct Outcome {
  std::string rules;
  std::string notes;
};

Outcome outcome(std::string_view text) {
  const auto result = import_dante(text);
  if (!result) {
    ADD_FAILURE() << result.error().front().message;
    return {};
  }
  const auto parsed = parse(result->text, "imported.toml");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().front().message) << "\n" << result->text;
  Outcome outcome;
  const std::size_t begin = result->text.find("'''\n") + 4;
  outcome.rules = result->text.substr(begin, result->text.rfind("'''") - begin);
  for (const ConfigError& note : result->notes) outcome.notes += std::to_string(note.line) + ": " + note.message + "\n";
  return outcome;
}
std::string rules(std::string_view text) {
  const Outcome of = outcome(text);
  EXPECT_EQ(of.notes, "");
  return of.rules;
}
std::string notes(std::string_view text) {
  return outcome(text).notes;
}

constexpr std::string_view open_door = "client pass { from: 0/0 to: 0/0 }\n";

TEST(Dante, EachRuleIsALineWithTheClientsThatMayAsk) {
  EXPECT_EQ(rules("client pass { from: 10.0.0.0/8 to: 0.0.0.0/0 }\n"
                  "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 protocol: tcp udp }\n"),
            "line-2: allow anyone from 10.0.0.0/8 to bind tcp udp any\n");
  EXPECT_EQ(rules(std::string(open_door) + "socks pass { from: 0/0 to: 10.20.0.0/16 port = 443 command: connect }"),
            "line-2: allow anyone to tcp 10.20.0.0/16:443\n");
  EXPECT_EQ(
      rules(std::string(open_door) + "socks pass { from: 10.1.2.3/255.255.0.0 to: 2001:db8::/32 command: connect }"),
      "line-2: allow anyone from 10.1.0.0/16 to tcp [2001:db8::/32]\n");
  EXPECT_EQ(rules("client pass { from: 10.0.0.0/8 to: 0/0 }\nclient pass { from: 192.168.0.0/16 to: 0/0 }\n"
                  "pass {\n  from: 0.0.0.0/0\n  to: 8.8.8.8\n  command: connect\n}\n"),
            "line-3: allow anyone from 10.0.0.0/8, 192.168.0.0/16 to tcp 8.8.8.8\n");
}

TEST(Dante, ABlockedClientIsDeniedUnlessItWasLetInBefore) {
  EXPECT_EQ(rules("client block { from: 10.9.0.0/16 to: 0/0 }\nclient pass { from: 10.0.0.0/8 to: 0/0 }\n"
                  "client block { from: 10.8.0.0/16 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 command: connect }\n"),
            "line-1: deny anyone from 10.9.0.0/16 to any\nline-4: allow anyone from 10.0.0.0/8 to tcp any\n");
  const Outcome both =
      outcome("client pass { from: 10.1.0.0/16 to: 0/0 }\nclient block { from: 10.0.0.0/8 to: 0/0 }\n");
  EXPECT_EQ(both.rules, "line-2: deny anyone from 10.0.0.0/8 to any\n");
  EXPECT_NE(both.notes.find("2: also closes a network"), std::string::npos);
}

TEST(Dante, PortsAreRanges) {
  const auto ports = [](std::string_view words) {
    const std::string line = rules(std::string(open_door) + "socks pass { from: 0/0 to: 0/0 port " +
                                   std::string(words) + " command: connect }");
    return line.substr(line.rfind("any") + 3);
  };
  EXPECT_EQ(ports("= 80"), ":80\n");
  EXPECT_EQ(ports("eq https"), ":443\n");
  EXPECT_EQ(ports("8000-8099"), ":8000-8099\n");
  EXPECT_EQ(ports("= 8000-8099"), ":8000-8099\n");
  EXPECT_EQ(ports("gt 49151"), ":49152-65535\n");
  EXPECT_EQ(ports("ge 1024"), ":1024-65535\n");
  EXPECT_EQ(ports("lt 1024"), ":1-1023\n");
  EXPECT_EQ(ports("le 1024"), ":1-1024\n");
  EXPECT_EQ(ports("neq 25"), ":1-24,26-65535\n");
  EXPECT_EQ(ports("= 0"), "\n");
  for (const std::string_view impossible : {"gt 65535", "lt 1", "= 65536", "= nosuch", "x 1", "9-8", "= 1 2"}) {
    EXPECT_EQ(notes(std::string(open_door) + "socks pass { from: 0/0 to: 0/0 port " + std::string(impossible) + " }"),
              "2: left out: the port of the target cannot be said\n")
        << impossible;
  }
}

TEST(Dante, NamesAndDomains) {
  EXPECT_EQ(rules(std::string(open_door) + "socks block { from: 0/0 to: .Example.com port = 80 }\n"
                                           "socks pass { from: 0/0 to: public command: connect }\n"),
            "line-2: deny anyone to \"example.com\":80, *.example.com:80\nline-3: allow anyone to tcp \"public\"\n");
}

TEST(Dante, CommandsAndTheirAnswers) {
  EXPECT_EQ(rules(std::string(open_door) + "socks pass { from: 0/0 to: 0/0 command: bind udpassociate bindreply }\n"
                                           "socks pass { from: 0/0 to: 0/0 command: bindreply udpreply }\n"
                                           "socks block { from: 0/0 to: 0/0 command: udpassociate }\n"
                                           "socks block { from: 0/0 to: 0/0 protocol: tcp udp }\n"
                                           "socks pass { from: 0/0 to: 0/0 protocol: udp }\n"),
            "line-2: allow anyone to bind udp any\nline-4: deny anyone to udp any\nline-5: deny anyone to any\n"
            "line-6: allow anyone to udp any\n");
  EXPECT_EQ(notes(std::string(open_door) + "socks block { from: 0/0 to: 0/0 command: udpreply }"),
            "2: left out: answers come back only where the request was allowed\n");
}

TEST(Dante, WhoIsAskedForAndWhatItIsHeldTo) {
  const std::string users = "socksmethod: username\n" + std::string(open_door);
  const auto line = [&](std::string_view rule) {
    const Outcome of = outcome(users + std::string(rule));
    EXPECT_EQ(of.notes, "1: users of the system are not taken over: make them with 'stile user add'\n");
    return of.rules;
  };
  EXPECT_EQ(line("socks pass { from: 0/0 to: 0/0 command: connect user: alice bob group: ops }"),
            "line-3: allow alice, bob, group:ops to tcp any\n");
  EXPECT_EQ(line("socks pass { from: 0/0 to: 0/0 command: connect bandwidth: 1000000 session.max: 100 log: connect }"),
            "line-3: allow authenticated to tcp any rate 1MB/s sessions 100\n");
  EXPECT_EQ(line("socks pass { from: 0/0 to: 0/0 command: connect socksmethod: none }"),
            "line-3: allow anonymous to tcp any\n");
  EXPECT_EQ(line("socks pass { from: 0/0 to: 0/0 command: connect redirect to: 10.0.0.9 port = 8080 }"),
            "line-3: allow authenticated to tcp any redirect 10.0.0.9:8080\n");
  EXPECT_EQ(line("socks block { from: 0/0 to: 8.8.8.8 socksmethod: username }"),
            "line-3: deny authenticated to 8.8.8.8\n");
}

TEST(Dante, SettingsFindTheirPlaces) {
  const auto result = import_dante(
      "internal: 10.0.0.1 port = 1081\ninternal: 10.0.0.2\nexternal: 192.0.2.7\nsocksmethod: username none\n"
      "timeout.negotiate: 30\ntimeout.io: 3600\ntimeout.connect: 40\ntimeout.io.udp: 60\nudp.portrange: 40000-45000\n" +
      std::string(open_door) + "socks pass { from: 0/0 to: 0/0 command: connect }\n");
  ASSERT_TRUE(result);
  const auto config = parse(result->text, "imported.toml");
  ASSERT_TRUE(config) << config.error().front().message;
  ASSERT_EQ(config->listeners.size(), 2U);
  EXPECT_EQ(config->listeners[0].where(), "10.0.0.1:1081");
  EXPECT_EQ(config->listeners[1].where(), "10.0.0.2:1080");
  EXPECT_EQ(config->limits.handshake, std::chrono::seconds(30));
  EXPECT_EQ(config->limits.idle, std::chrono::hours(1));
  EXPECT_EQ(config->limits.connect_per_address, std::chrono::seconds(40));
  EXPECT_EQ(config->udp.outside.ports.first, 40'000);
  EXPECT_EQ(config->users.file, "users");
  EXPECT_TRUE(config->policy->options(0).egress.from.has_value());
}

TEST(Dante, WhatCannotBeSaidIsNamedAndNeverWider) {
  const std::string door(open_door);
  EXPECT_EQ(notes(door + "socks pass { from: eth0 to: 0/0 }"), "2: left out: from: 'eth0' cannot be said\n");
  const Outcome block = outcome(door + "socks block { from: eth0 to: 8.8.8.8 }\nsocks pass { from: 0/0 to: 0/0 }");
  EXPECT_EQ(block.notes, "2: denies more than it did: from: 'eth0' cannot be said\n");
  EXPECT_EQ(block.rules, "line-2: deny anyone to 8.8.8.8\nline-3: allow anyone to bind tcp udp any\n");
  const Outcome client = outcome("client block { from: eth0 to: 0/0 }\n" + door + "socks pass { from: 0/0 to: 0/0 }");
  EXPECT_EQ(client.rules, "") << "nobody comes behind a block that is not understood";
  EXPECT_EQ(notes(door + "socks block { from: 0/0 to: lo }"),
            "2: left out: addresses of this host are closed unless a rule names them\n");
  EXPECT_EQ(notes(door + "socks pass { from: 0/0 to: 0/0 libwrap: x }"), "2: left out: libwrap cannot be said\n");
  EXPECT_EQ(notes("socks pass { from: 0/0 to: 0/0 }"), "1: left out: no client rule lets anybody in for it\n");
  EXPECT_EQ(notes("route { from: 0/0 to: 0/0 via: 10.0.0.1 port = 1080 }"), "1: 'route' { … } is left out\n");
  EXPECT_EQ(outcome("hostid pass { from: 0/0 to: 0/0 }\n" + door + "socks pass { from: 0/0 to: 0/0 }").rules, "");
  EXPECT_EQ(outcome(door + "socks block { from: 0/0 to: lo to: 8.8.8.8 }").rules, "line-2: deny anyone to any\n");
  EXPECT_EQ(outcome(door + "socks block { from: 0/0 to: 8.8.8.8 user: a b$c d }").rules,
            "line-2: deny anyone to 8.8.8.8\n");
  EXPECT_EQ(notes("child.maxrequests: 5\ninternal: eth0 port = 1080\nexternal: eth0"),
            "1: 'child.maxrequests' is left out\n"
            "2: no listener: write [[listen]] with an address of this interface and a port\n"
            "3: an interface: connections leave by it, and not only from its address\n");
  EXPECT_EQ(outcome("external: eth1\n" + door + "socks pass { from: 0/0 to: 8.8.8.8 command: connect }").rules,
            "line-3: allow anyone to tcp 8.8.8.8 egress eth1\n");
  EXPECT_EQ(notes("external: eth0/1"), "1: neither an address nor an interface\n");
}

TEST(Dante, FaultsHaveTheirLines) {
  const auto fault = [](std::string_view text) {
    const auto result = import_dante(text);
    return result ? "" : std::to_string(result.error().front().line) + ": " + result.error().front().message;
  };
  EXPECT_EQ(fault("\nsocks pass { from: 0/0"), "2: 'socks pass' is not closed");
  EXPECT_EQ(fault("socks pass {\n what from: 0/0 }"), "2: 'what' belongs to no setting of this rule");
  EXPECT_EQ(fault("client blocks { from: 0/0 to: 0/0 }"), "1: 'client blocks' is no kind of rule");
  EXPECT_EQ(fault("}"), "1: '}' is neither a setting nor the beginning of a rule");
  EXPECT_EQ(fault("socks pass\ninternal: 10.0.0.1"),
            "1: 'socks pass' is neither a setting nor the beginning of a rule");
  EXPECT_EQ(fault(std::string_view("a\0b", 3)), "1: the file holds a zero octet: it is no text");
}

}  // namespace
}  // namespace stile::config
