#include "policy/policy.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using auth::Authenticator;
using Decision = Verdict::Decision;

constexpr std::array commands = {Command::tcp, Command::udp, Command::bind, Command::ping, Command::resolve};

// Table 3.2 of the security reference, one of each platform.
constexpr std::array metadata_addresses = {
    "169.254.169.254", "169.254.170.2",   "169.254.170.23",     "169.254.169.253",   "169.254.169.123",
    "168.63.129.16",   "192.0.0.192",     "100.100.100.200",    "169.254.42.42",     "169.254.0.23",
    "fd00:ec2::254",   "fd20:ce::254",    "fd00:c1::a9fe:a9fe", "fd00:100::100:200", "fd00:a9fe:a9fe::1",
    "fd00:42::42",     "fe80::a9fe:a9fe",
};

TEST(Policy, NothingMatchedIsDenied) {
  const Asker asker;
  for (const Command command : commands) {
    const Verdict verdict = asker.verdict(Policy::deny_all(), command, target("8.8.8.8", 443));
    EXPECT_EQ(verdict.decision, Decision::deny);
    EXPECT_EQ(verdict.reason, Reason::deny_policy);
    EXPECT_EQ(verdict.rule, -1);
  }
  EXPECT_EQ(asker.tcp(Policy::deny_all(), "example.com", 443).decision, Decision::deny) << "certain without DNS";
}

TEST(Policy, FirstMatchDecidesAndIsNamed) {
  const Asker asker;
  const Policy policy =
      compiled("no: deny anyone to public:25\nyes: allow anyone to public:20-30\nallow anyone to any");
  const Verdict denied = asker.tcp(policy, "8.8.8.8", 25);
  EXPECT_EQ(denied.decision, Decision::deny);
  EXPECT_EQ(denied.reason, Reason::deny_policy);
  EXPECT_EQ(denied.rule, 0);
  const Verdict allowed = asker.tcp(policy, "8.8.8.8", 26);
  EXPECT_EQ(allowed.decision, Decision::allow);
  EXPECT_EQ(allowed.reason, Reason::none);
  EXPECT_EQ(allowed.rule, 1);
  EXPECT_EQ(asker.tcp(policy, "8.8.8.8", 443).rule, 2);
  EXPECT_EQ(policy.rules()[2].name, "rule 3");
}

TEST(Policy, Who) {
  Asker anonymous;
  Asker alice;
  alice.who = Authenticator::make("alice", {"staff", "ops"});
  struct Row {
    const char* who;
    bool anonymous;
    bool alice;
  };
  constexpr Row rows[] = {
      {"anyone", true, true},          {"anonymous", true, false},      {"authenticated", false, true},
      {"alice", false, true},          {"bob", false, false},           {"Alice", false, false},
      {"group:staff", false, true},    {"group:ops", false, true},      {"group:alice", false, false},
      {"bob, group:ops", false, true}, {"\"anonymous\"", false, false}, {"bob, anonymous", true, false},
  };
  for (const Row& row : rows) {
    const std::string rule = "allow " + std::string(row.who) + " to any";
    EXPECT_EQ(anonymous.allows(rule, "8.8.8.8"), row.anonymous) << rule;
    EXPECT_EQ(alice.allows(rule, "8.8.8.8"), row.alice) << rule;
  }
}

TEST(Policy, Sources) {
  struct Row {
    const char* sources;
    const char* address;
    bool matches;
  };
  constexpr Row rows[] = {
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"10.0.0.0/8", "10.1.2.3", true},
      {"private", "10.1.2.3", true},
      {"private", "::ffff:10.1.2.3", true},
      {"private", "fd00::1", true},
      {"private", "8.8.8.8", false},
      {"loopback", "127.0.0.1", true},
      {"loopback", "::1", true},
      {"public", "8.8.8.8", true},
      {"cgnat, 8.8.8.8", "8.8.8.8", true},
      {"self", "10.0.0.7", true},
      {"private", "10.0.0.7", true},
      {"self", "10.0.0.8", false},
      {"0.0.0.0/0", "127.0.0.1", true},
      {"0.0.0.0/0", "::1", false},
      {"metadata", "169.254.169.254", true},
      {"public", "64:ff9b::808:808", true},
      {"private", "64:ff9b::808:808", false},
      {"10.0.0.0/8", "64:ff9b::a00:1", true},
  };
  for (const Row& row : rows) {
    Asker asker;
    asker.own.local_routes = {cidr("10.0.0.7")};
    asker.source = address(row.address);
    const std::string from = " anyone from " + std::string(row.sources) + " to any";
    EXPECT_EQ(asker.allows("allow" + from, "8.8.8.8"), row.matches) << row.sources << " " << row.address;
    EXPECT_EQ(asker.allows("deny" + from + "\nallow anyone to any", "8.8.8.8"), !row.matches)
        << row.sources << " " << row.address;
  }
  // What a source embeds is looked at as in a target: any facet for a deny, every one for an allow.
  Asker relayed;
  relayed.source = address("2002:a00:1::1");
  EXPECT_FALSE(relayed.allows("deny anyone from private to any\nallow anyone to any", "8.8.8.8"));
  EXPECT_FALSE(relayed.allows("allow anyone from private to any", "8.8.8.8"));
}

// Design, 5.3: no command is tcp in an allow and every command in a deny.
TEST(Policy, CommandsLeftOut) {
  const Asker asker;
  for (const Command command : commands) {
    EXPECT_EQ(asker.allows("allow anyone to any", command, "8.8.8.8"), command == Command::tcp);
    EXPECT_FALSE(asker.allows("deny anyone to any\nallow anyone to tcp udp bind ping resolve any", command, "8.8.8.8"));
    EXPECT_EQ(asker.allows("deny anyone to udp any\nallow anyone to tcp udp bind ping resolve any", command, "8.8.8.8"),
              command != Command::udp);
    EXPECT_TRUE(asker.allows("allow anyone to " + std::string(name(command)) + " any", command, "8.8.8.8"));
  }
  EXPECT_TRUE(asker.allows("allow anyone to connect any", Command::tcp, "8.8.8.8"));
}

TEST(Policy, PortsOfCommandsWithoutPorts) {
  const Asker asker;
  const std::string all = "\nallow anyone to tcp udp bind ping resolve any:0-65535";
  for (const Command command : {Command::ping, Command::resolve}) {
    EXPECT_TRUE(asker.allows(all, command, "8.8.8.8", 0)) << "named, so ports do not matter";
    EXPECT_TRUE(asker.allows("deny anyone to any:443" + all, command, "8.8.8.8")) << "a deny on ports is about ports";
    EXPECT_FALSE(asker.allows("deny anyone to any" + all, command, "8.8.8.8"));
  }
}

// Design, 5.3: `any` is every public address in an allow and everything in a deny.
TEST(Policy, AnyIsPublicInAnAllowAndEverythingInADeny) {
  Asker asker;
  asker.own.local_routes = {cidr("8.8.4.4")};
  const char* inside[] = {"127.0.0.1", "169.254.1.1", "10.0.0.1",      "100.64.0.1", "224.0.0.1", "169.254.169.254",
                          "192.0.2.1", "8.8.4.4",     "168.63.129.16", "::1",        "fd00::1",   "2001:db8::1"};
  for (const char* text : inside) {
    EXPECT_FALSE(asker.allows("allow anyone to any", text)) << text;
    EXPECT_FALSE(asker.allows("allow anyone to public", text)) << text;
    EXPECT_FALSE(asker.allows("allow anyone to 0.0.0.0/0, ::/0", text)) << text;
    EXPECT_EQ(asker.tcp(compiled("deny anyone to any"), text, 1).rule, 0) << text;
  }
  EXPECT_TRUE(asker.allows("allow anyone to any", "8.8.8.8"));
  EXPECT_TRUE(asker.allows("allow anyone to any", "2606:4700::1111"));
  EXPECT_TRUE(asker.allows("allow anyone to 0.0.0.0/0", "8.8.8.8"));
}

// Security reference, 3.1, column "Opened by".
TEST(Policy, InsideClassesOpenByClassOrAPrefixInside) {
  Asker asker;
  asker.own.local_routes = {cidr("10.0.0.7")};
  struct Row {
    const char* target;
    const char* address;
    bool open;
  };
  constexpr Row rows[] = {
      {"loopback", "127.0.0.1", true},
      {"127.0.0.0/8", "127.0.0.1", true},
      {"127.0.0.1", "127.0.0.1", true},
      {"126.0.0.0/7", "127.0.0.1", false},
      {"private", "10.0.0.1", true},
      {"10.0.0.0/8", "10.0.0.1", true},
      {"8.0.0.0/5", "10.0.0.1", false},
      {"private", "10.0.0.7", false},  // self is closer
      {"10.0.0.0/8", "10.0.0.7", false},
      {"10.0.0.7", "10.0.0.7", true},
      {"self", "10.0.0.7", true},
      {"link-local", "169.254.1.1", true},
      {"link-local", "169.254.169.254", false},  // metadata is closer
      {"169.254.0.0/16", "169.254.169.254", false},
      {"169.254.169.254", "169.254.169.254", true},
      {"metadata", "169.254.169.254", true},
      {"public", "168.63.129.16", false},
      {"168.63.129.16", "168.63.129.16", true},
      {"cgnat", "100.64.0.1", true},
      {"reserved", "192.0.2.1", true},
      {"192.0.2.0/25", "192.0.2.1", true},
      {"2001:db8::/32", "2001:db8::1", true},
      {"2000::/3", "2001:db8::1", false},
      {"fc00::/7", "fd00::1", true},
      {"::/0", "5000::1", false},
      {"reserved", "255.255.255.255", true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(asker.allows("allow anyone to " + std::string(row.target), row.address), row.open)
        << row.target << " " << row.address;
  }
}

// Security reference, 3.1: multicast is for UDP only, whatever the rules say.
TEST(Policy, MulticastIsUdpOnly) {
  const Asker asker;
  for (const char* rule : {"allow anyone to tcp udp bind ping resolve multicast",
                           "allow anyone to tcp udp bind ping resolve 224.0.0.0/4, 239.1.2.3"}) {
    for (const Command command : commands) {
      EXPECT_EQ(asker.allows(rule, command, "239.1.2.3", 5353), command == Command::udp) << rule;
    }
  }
  EXPECT_EQ(asker.tcp(compiled("allow anyone to multicast, 224.0.0.0/8"), "example.com", 80).decision, Decision::deny)
      << "certain before DNS";
}

// TS4.
TEST(Policy, MailNeedsItsPortNamed) {
  const Asker asker;
  EXPECT_FALSE(asker.allows("allow anyone to public", "8.8.8.8", 25));
  EXPECT_FALSE(asker.allows("allow anyone to mail.example", "mail.example", 25, "8.8.8.8"));
  EXPECT_TRUE(asker.allows("allow anyone to public:25", "8.8.8.8", 25));
  EXPECT_TRUE(asker.allows("allow anyone to public:smtp", "8.8.8.8", 25));
  EXPECT_TRUE(asker.allows("allow anyone to public:20-30", "8.8.8.8", 25));
  EXPECT_TRUE(asker.allows("allow anyone to udp public", Command::udp, "8.8.8.8", 25)) << "only tcp 25 is mail";
  EXPECT_FALSE(asker.allows("deny anyone to public\nallow anyone to public:25", "8.8.8.8", 25)) << "a deny has all";
  EXPECT_EQ(asker.tcp(compiled("allow anyone to public"), "example.com", 25).decision, Decision::deny);
}

TEST(Policy, NamesMatchWhatWasAsked) {
  const Asker asker;
  EXPECT_TRUE(asker.allows("allow anyone to db.example", "db.example", 443, "8.8.8.8"));
  EXPECT_FALSE(asker.allows("allow anyone to db.example", "other.example", 443, "8.8.8.8"));
  EXPECT_FALSE(asker.allows("allow anyone to db.example", "x.db.example", 443, "8.8.8.8"));
  EXPECT_FALSE(asker.allows("allow anyone to db.example", "8.8.8.8")) << "a literal matches no name rule";
  EXPECT_FALSE(asker.allows("deny anyone to db.example\nallow anyone to any", "db.example", 443, "8.8.8.8"));
  EXPECT_TRUE(asker.allows("deny anyone to db.example\nallow anyone to any", "8.8.8.8"));
  EXPECT_TRUE(asker.allows("allow anyone to \"public\"", "public", 443, "8.8.8.8"));
}

// TN4: one verdict for all spellings; a wildcard matches one label or more, never the name itself.
TEST(Policy, SpellingsOfANameAreOneName) {
  const Asker asker;
  for (const char* pattern : {"db.example", "DB.Example", "db.example.", "\"db.EXAMPLE.\""}) {
    for (const char* asked : {"db.example", "DB.EXAMPLE", "db.example."}) {
      EXPECT_TRUE(asker.allows("allow anyone to " + std::string(pattern), asked, 443, "8.8.8.8")) << pattern << asked;
    }
  }
  const std::string below = "allow anyone to *.Example";
  EXPECT_TRUE(asker.allows(below, "a.example", 443, "8.8.8.8"));
  EXPECT_TRUE(asker.allows(below, "a.b.EXAMPLE.", 443, "8.8.8.8"));
  EXPECT_FALSE(asker.allows(below, "example", 443, "8.8.8.8"));
  EXPECT_FALSE(asker.allows(below, "badexample", 443, "8.8.8.8"));
  EXPECT_TRUE(asker.allows("allow anyone to [2606:4700::1]", "[2606:4700::1]"));
  EXPECT_TRUE(asker.allows("allow anyone to 2606:4700::1", "2606:4700:0::0001"));
}

// Security reference, 1.1: an exact name opens the soft classes, a wildcard only public ones, no name a hard class.
TEST(Policy, WhatNamesOpen) {
  Asker asker;
  asker.own.local_routes = {cidr("10.0.0.7")};
  struct Row {
    const char* resolved;
    bool exact;
    bool wildcard;
  };
  constexpr Row rows[] = {
      {"8.8.8.8", true, true},         {"10.0.0.1", true, false},         {"100.64.0.1", true, false},
      {"fd00::1", true, false},        {"127.0.0.1", false, false},       {"::1", false, false},
      {"169.254.1.1", false, false},   {"169.254.169.254", false, false}, {"168.63.129.16", false, false},
      {"10.0.0.7", false, false},      {"192.0.2.1", false, false},       {"239.1.1.1", false, false},
      {"64:ff9b::a00:1", true, false}, {"2002:a00:1::1", false, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(asker.allows("allow anyone to db.corp.example", "db.corp.example", 443, row.resolved), row.exact)
        << row.resolved;
    EXPECT_EQ(asker.allows("allow anyone to *.corp.example", "db.corp.example", 443, row.resolved), row.wildcard)
        << row.resolved;
  }
}

// TD4, H8: `localhost` is judged by where it leads.
TEST(Policy, LocalhostIsClassifiedByAddress) {
  const Asker asker;
  EXPECT_FALSE(asker.allows("allow anyone to localhost, any", "localhost", 80, "127.0.0.1"));
  EXPECT_FALSE(asker.allows("allow anyone to *.localhost", "a.localhost", 80, "::1"));
  EXPECT_TRUE(asker.allows("allow anyone to loopback", "localhost", 80, "127.0.0.1"));
  EXPECT_EQ(asker.tcp(compiled("allow anyone to loopback"), "localhost", 80).decision, Decision::undecided);
  EXPECT_EQ(asker.tcp(compiled("deny anyone to localhost\nallow anyone to loopback"), "localhost", 80).rule, 0);
}

TEST(Policy, TheUnspecifiedAddressIsNeverATarget) {
  const Asker asker;
  const Policy wide = compiled(
      "allow anyone to tcp udp bind ping resolve public:0-65535, reserved:0-65535, loopback:0-65535, 0.0.0.0, ::");
  for (const char* text : {"0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::", "::ffff:0:0:0", "2002::1",
                           "2606:4700::5efe:0:0", "2001:0:808:808::ffff:ffff"}) {
    for (const Command command : commands) {
      const Verdict verdict = asker.verdict(wide, command, target(text, 80));
      EXPECT_EQ(verdict.decision, Decision::deny) << text;
      EXPECT_EQ(verdict.reason, Reason::deny_unspecified) << text;
    }
    EXPECT_EQ(asker.tcp(wide, "example.com", 80, text).reason, Reason::deny_unspecified) << text;
  }
}

// TS2, TU5: no rule opens a socket of Stile's own.
TEST(Policy, OwnSocketsAreNeverTargets) {
  Asker asker;
  asker.own.local_routes = {cidr("10.0.0.7"), cidr("2606:4700::7")};
  asker.own.sockets = {*Endpoint::parse("127.0.0.1:1080"), *Endpoint::parse("[::1]:1080"),
                       *Endpoint::parse("0.0.0.0:1081"), *Endpoint::parse("10.0.0.7:1082")};
  const std::string everything =
      "allow anyone to tcp udp bind ping resolve public:0-65535, loopback:0-65535, self:0-65535, reserved:0-65535";
  const auto reason = [&](const char* host, std::uint16_t port) {
    return asker.tcp(compiled(everything), host, port).reason;
  };
  for (const char* host : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "2002:7f00:1::1"}) {
    EXPECT_EQ(reason(host, 1080), Reason::deny_self) << host;
  }
  EXPECT_EQ(reason("127.0.0.2", 1080), Reason::none) << "of a loopback listener only its own address";
  EXPECT_EQ(reason("127.0.0.1", 1079), Reason::none);
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "10.0.0.7", "2606:4700::7", "64:ff9b::a00:7"}) {
    EXPECT_EQ(reason(host, 1081), Reason::deny_self) << host;
  }
  EXPECT_EQ(reason("8.8.8.8", 1081), Reason::none);
  EXPECT_EQ(reason("10.0.0.7", 1082), Reason::deny_self);
  EXPECT_EQ(reason("10.0.0.7", 1083), Reason::none);

  EXPECT_EQ(asker.tcp(compiled(everything), "loop.example", 1080, "127.0.0.1").reason, Reason::deny_self);
  EXPECT_EQ(asker.verdict(compiled(everything), Command::udp, target("127.0.0.1", 1080)).reason, Reason::deny_self);
  EXPECT_TRUE(asker.allows(everything, Command::ping, "127.0.0.1", 1080)) << "an echo goes to no socket of ours";
  EXPECT_EQ(asker.tcp(Policy::loopback_preset(), "127.0.0.1", 1080).reason, Reason::deny_self);
}

// TS1: list × {address, name} × commands, under rules that open all but metadata.
TEST(Policy, MetadataStaysClosedUnlessNamed) {
  const Asker asker;
  const std::string wide =
      "allow anyone to tcp udp bind ping resolve public, private, link-local, cgnat, reserved, loopback, self, "
      "169.254.0.0/16, 168.63.129.0/24, fd00::/8, meta.example";
  for (const char* text : metadata_addresses) {
    for (const Command command : commands) {
      EXPECT_FALSE(asker.allows(wide, command, text)) << text;
      EXPECT_EQ(asker.verdict(compiled(wide), command, target("meta.example", 80), address(text)).decision,
                Decision::deny)
          << text;
      EXPECT_TRUE(asker.allows("allow anyone to " + std::string(name(command)) + " metadata", command, text)) << text;
      EXPECT_TRUE(asker.allows("allow anyone to " + std::string(name(command)) + " " + text, command, text)) << text;
    }
    EXPECT_FALSE(asker.allows("deny anyone to metadata\nallow anyone to metadata", text)) << text;
  }
}

// TN1 and TS1: every metadata address in every form.
TEST(Policy, MetadataStaysClosedInEveryForm) {
  const Asker asker;
  const Policy wide = compiled("allow anyone to public, private, link-local, cgnat, reserved, loopback, self");
  for (const char* text : metadata_addresses) {
    if (!address(text).is_v4()) continue;
    for (const Address& encoded : encodings(quad_of(address(text)))) {
      const Target literal{.host = encoded, .port = 80};
      EXPECT_EQ(asker.verdict(wide, Command::tcp, literal).decision, Decision::deny) << encoded.to_string();
      EXPECT_EQ(asker.verdict(wide, Command::tcp, target("x.example", 80), encoded).decision, Decision::deny);
    }
  }
}

// TN1: no encoding of an address turns deny into allow.
TEST(Policy, NoEncodingTurnsADenyIntoAnAllow) {
  const char* policies[] = {
      "allow anyone to any",
      "allow anyone to public, reserved",
      "deny anyone to 8.0.0.0/6\nallow anyone to any, reserved",
      "deny anyone to private, loopback\nallow anyone to public, private, loopback, reserved, cgnat",
      "allow anyone to public, 10.0.0.0/8, 64:ff9b::/96, 2002::/16, 2001::/23, ::/96",
      "deny anyone to 64:ff9b::/97\nallow anyone to any",
  };
  std::mt19937 random(20260401);
  Asker asker;
  asker.own.local_routes = {cidr("9.0.0.0/8")};
  for (const char* rules : policies) {
    const Policy policy = compiled(rules);
    for (int i = 0; i < 2'000; ++i) {
      const auto octet = [&] { return static_cast<std::uint8_t>(random() % (i % 2 == 0 ? 256 : 16)); };
      const std::array quad = {octet(), octet(), octet(), octet()};
      const Address plain = Address::v4(quad);
      if (asker.verdict(policy, Command::tcp, {.host = plain, .port = 80}).decision == Decision::allow) continue;
      for (const Address& encoded : encodings(quad)) {
        ASSERT_EQ(asker.verdict(policy, Command::tcp, {.host = encoded, .port = 80}).decision, Decision::deny)
            << rules << ": " << plain.to_string() << " as " << encoded.to_string();
      }
    }
  }
}

// Security reference, 3.3: behind the well-known NAT64 prefix the inner address decides alone (DNS64 networks work).
TEST(Policy, Nat64IsJudgedByWhatItEmbeds) {
  const Asker asker;
  EXPECT_TRUE(asker.allows("allow anyone to any", "64:ff9b::808:808"));
  EXPECT_TRUE(asker.allows("allow anyone to private", "64:ff9b::a00:1"));
  EXPECT_FALSE(asker.allows("allow anyone to any", "64:ff9b::a00:1"));
  EXPECT_FALSE(asker.allows("deny anyone to 64:ff9b::/96\nallow anyone to any", "64:ff9b::808:808"));
  EXPECT_FALSE(asker.allows("allow anyone to any", "2002:808:808::1")) << "6to4 stays reserved";
  EXPECT_TRUE(asker.allows("allow anyone to any, 2002::/16", "2002:808:808::1"));
  EXPECT_FALSE(asker.allows("allow anyone to 2002::/16", "2002:808:808::1")) << "both facets must be covered";
  EXPECT_FALSE(asker.allows("allow anyone to any, 64:ff9b:1::/48", "64:ff9b:1::808:808")) << "undeclared";
  EXPECT_TRUE(asker.allows("allow anyone to any", "2606:4700::5efe:808:808"));
}

// Security reference, 3.4: the walk before DNS, P8.
TEST(Policy, WalkWithTheAddressUnknown) {
  const Asker asker;
  struct Row {
    const char* rules;
    Decision decision;
    int rule;
  };
  constexpr Row rows[] = {
      {"", Decision::deny, -1},
      {"allow anyone to any", Decision::undecided, -1},
      {"allow anyone to db.example", Decision::undecided, -1},
      {"allow anyone to *.example", Decision::undecided, -1},
      {"allow anyone to 10.0.0.0/8", Decision::undecided, -1},
      {"allow anyone to other.example", Decision::deny, -1},
      {"allow anyone to any:80", Decision::deny, -1},
      {"allow anyone to udp any", Decision::deny, -1},
      {"allow alice to any", Decision::deny, -1},
      {"allow anyone from private to any", Decision::deny, -1},
      {"deny anyone to db.example\nallow anyone to any", Decision::deny, 0},
      {"deny anyone to any\nallow anyone to any", Decision::deny, 0},
      {"deny anyone to any:443\nallow anyone to any", Decision::deny, 0},
      {"deny anyone to any:80\nallow anyone to any", Decision::undecided, -1},
      {"deny anyone to private\nallow anyone to any", Decision::undecided, -1},
      {"deny anyone to private", Decision::deny, -1},
      {"deny anyone to private\ndeny anyone to *.example\nallow anyone to any", Decision::deny, 1},
      {"allow anyone to private\ndeny anyone to db.example", Decision::undecided, -1},
      {"allow anyone to other.example\ndeny anyone to db.example\nallow anyone to any", Decision::deny, 1},
  };
  for (const Row& row : rows) {
    const Verdict verdict = asker.tcp(compiled(row.rules), "db.example", 443);
    EXPECT_EQ(verdict.decision, row.decision) << row.rules;
    EXPECT_EQ(verdict.rule, row.rule) << row.rules;
  }
  // A literal needs no candidate.
  EXPECT_EQ(asker.tcp(compiled("allow anyone to private"), "10.0.0.1", 443).decision, Decision::allow);
}

// Security reference, table 1.1.
TEST(Policy, LoopbackPreset) {
  Asker asker;
  asker.source = address("127.0.0.1");
  asker.own.local_routes = {cidr("10.0.0.7")};
  asker.own.sockets = {*Endpoint::parse("127.0.0.1:1080")};
  const Policy preset = Policy::loopback_preset();
  for (const char* text : {"8.8.8.8", "2606:4700::1", "127.0.0.1", "::1", "10.0.0.7", "10.0.0.8", "fd00::1",
                           "100.64.0.1", "169.254.1.1", "64:ff9b::808:808"}) {
    for (const Command command : commands) {
      for (const std::uint16_t port : std::to_array<std::uint16_t>({0, 1, 25, 443, 65535})) {
        EXPECT_EQ(asker.verdict(preset, command, target(text, port)).decision, Decision::allow) << text << " " << port;
      }
    }
  }
  for (const char* text : {"169.254.169.254", "168.63.129.16", "fd00:ec2::254", "224.0.0.1", "ff02::1", "192.0.2.1",
                           "240.0.0.1", "2001:db8::1", "fe80::1", "2002:808:808::1", "0.0.0.0"}) {
    for (const Command command : commands) {
      EXPECT_EQ(asker.verdict(preset, command, target(text, 443)).decision, Decision::deny) << text;
    }
  }
  EXPECT_EQ(asker.tcp(preset, "127.0.0.1", 1080).reason, Reason::deny_self);
  EXPECT_EQ(asker.tcp(preset, "localhost", 80).decision, Decision::undecided);
  EXPECT_EQ(preset.rules().size(), 1U);
  EXPECT_EQ(preset.rules()[0].line, 0);
  asker.source = address("192.0.2.9");
  EXPECT_EQ(asker.tcp(preset, "8.8.8.8", 443).decision, Decision::deny) << "for clients on loopback only";
}

// TS3: what makes an unauthenticated listener an open proxy.
TEST(Policy, AnonymousAllowsNameTheirSources) {
  const auto named = [](const char* rules) { return compiled(rules).every_anonymous_allow_names_its_sources(); };
  EXPECT_TRUE(named(""));
  EXPECT_TRUE(named("allow anyone from 10.0.0.0/8 to any"));
  EXPECT_TRUE(named("allow authenticated, alice, group:ops to any"));
  EXPECT_TRUE(named("deny anyone to any:25\nallow anonymous from private to any\nallow alice to any"));
  EXPECT_FALSE(named("allow anyone to any"));
  EXPECT_FALSE(named("allow alice, anonymous to example.com:80"));
  EXPECT_FALSE(named("allow anyone from private to any\nallow anyone to udp any"));
  EXPECT_TRUE(named("deny anonymous to any\nallow anyone to any")) << "nobody anonymous is left";
  EXPECT_FALSE(named("deny anonymous to any:1-65535\nallow anyone to any"));
  EXPECT_FALSE(named("deny anonymous from private to any\nallow anyone to any"));
  EXPECT_FALSE(named("deny anonymous to tcp any\nallow anyone to udp any"));
  EXPECT_FALSE(named("deny authenticated to any\nallow anyone to any"));
  EXPECT_TRUE(Policy::deny_all().every_anonymous_allow_names_its_sources());
}

// Security reference, 3.1: `stile check` warns of each rule that opens a hard class.
TEST(Policy, WarningsNameHardClasses) {
  const Policy policy = compiled(
      "a: allow anyone to public, loopback, 10.0.0.0/8\n"
      "deny anyone to metadata\n"
      "b: allow anyone to 169.254.169.254:80, 0.0.0.0/0, private, db.example");
  const std::vector<RuleError> warnings = policy.warnings();
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_EQ(warnings[0].line, 1);
  EXPECT_EQ(warnings[0].column, 28);
  EXPECT_EQ(warnings[0].message, "'a' opens the class 'loopback', which is closed for good reason");
  EXPECT_EQ(warnings[1].line, 3);
  EXPECT_EQ(warnings[1].message, "'b' opens the class 'metadata', which is closed for good reason");
}

TEST(Policy, MovesKeepTheRules) {
  Policy first = compiled("allow anyone to any");
  Policy second = std::move(first);
  first = Policy::deny_all();
  EXPECT_EQ(Asker{}.tcp(second, "8.8.8.8", 443).decision, Decision::allow);
  EXPECT_EQ(Asker{}.tcp(first, "8.8.8.8", 443).decision, Decision::deny);
}

// BIND that names no peer, UDP ASSOCIATE: is there anything that this client may do?
TEST(Policy, WithoutATargetOnlyACertainDenialIsOne) {
  const Identity anonymous = Identity::anonymous();
  const auto decision = [&](std::string_view rules, Command command) {
    const auto policy = Policy::compile(rules);
    return policy->decide({.who = &anonymous, .source = Address::v4(10, 0, 0, 7), .command = command}, {}).decision;
  };
  EXPECT_EQ(decision("allow anyone to udp 10.0.0.0/8", Command::udp), Verdict::Decision::undecided);
  EXPECT_EQ(decision("allow anyone to udp dns.example:53", Command::udp), Verdict::Decision::undecided);
  EXPECT_EQ(decision("allow anyone to 10.0.0.0/8", Command::udp), Verdict::Decision::deny);
  EXPECT_EQ(decision("allow anyone from 10.9.0.0/16 to udp any", Command::udp), Verdict::Decision::deny);
  EXPECT_EQ(decision("deny anyone to any\nallow anyone to bind any", Command::bind), Verdict::Decision::deny);
  EXPECT_EQ(decision("deny anyone to any:25\nallow anyone to bind any", Command::bind), Verdict::Decision::undecided);
}

}  // namespace
}  // namespace stile::policy
