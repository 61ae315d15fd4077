#include "config/config.h"

#include <gtest/gtest.h>

#include "config/loopback.h"

namespace stile::config {
namespace {

using namespace std::chrono_literals;

// "LINE:COLUMN: message" of every fault, one a line.
std::string faults(std::string_view text) {
  const auto config = parse(text, "stile.toml");
  if (config) return "accepted";
  std::string list;
  for (const ConfigError& error : config.error()) {
    list += std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message + "\n";
  }
  return list;
}

Config accepted(std::string_view text) {
  auto config = parse(text, "stile.toml");
  EXPECT_TRUE(config) << faults(text);
  return config ? std::move(*config) : Config{};
}

TEST(Config, EveryKeyIsRead) {
  const Config config = accepted(R"(workers = 4
log = "json"
[[listen]]
address = "192.0.2.1:1080"
[[listen]]
address = "[2001:db8::1]:0"
[limits]
handshake = "250ms"
idle = "1h"
half_closed = "2m"
connect = "3s"
connect_total = "9s"
drain = "0s"
sessions = 7
[policy]
rules = '''
allow anyone from 192.0.2.0/24 to public
'''
)");
  EXPECT_EQ(config.workers, 4U);
  EXPECT_EQ(config.log, LogFormat::json);
  ASSERT_EQ(config.listeners.size(), 2U);
  EXPECT_EQ(config.listeners[0].address.to_string(), "192.0.2.1:1080");
  EXPECT_EQ(config.listeners[1].address.to_string(), "[2001:db8::1]:0");
  EXPECT_FALSE(config.listeners[0].optional);
  EXPECT_EQ(config.limits.handshake, 250ms);
  EXPECT_EQ(config.limits.idle, 1h);
  EXPECT_EQ(config.limits.half_closed, 2min);
  EXPECT_EQ(config.limits.connect_per_address, 3s);
  EXPECT_EQ(config.limits.connect_total, 9s);
  EXPECT_EQ(config.limits.drain, 0s);
  EXPECT_EQ(config.limits.sessions, 7U);
  ASSERT_NE(config.policy, nullptr);
  EXPECT_EQ(config.policy->rules().size(), 1U);
  EXPECT_EQ(config.policy_rules, "allow anyone from 192.0.2.0/24 to public\n");
  EXPECT_EQ(config.policy_rules_line, 17);
}

TEST(Config, AnEmptyFileIsTheZeroConfiguration) {
  const Config config = accepted("");
  ASSERT_EQ(config.listeners.size(), 2U);
  EXPECT_EQ(config.listeners[0].address.to_string(), "127.0.0.1:1080");
  EXPECT_EQ(config.listeners[1].address.to_string(), "[::1]:1080");
  EXPECT_FALSE(config.listeners[0].optional);
  EXPECT_TRUE(config.listeners[1].optional);
  EXPECT_EQ(config.policy, nullptr);
}

TEST(Config, IdleIsOffByWord) {
  EXPECT_EQ(accepted("[limits]\nidle = \"off\"").limits.idle, 0s);
  EXPECT_EQ(faults("[limits]\ndrain = \"off\""),
            "2:9: limits.drain: expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\", from 0s to 7d\n");
}

TEST(Config, UnknownKeysAreLocatedAndCorrected) {
  EXPECT_EQ(faults("wokers = 4"), "1:1: unknown key 'wokers' (did you mean 'workers'?)\n");
  EXPECT_EQ(faults("[limits]\n  handshke = \"1s\""),
            "2:3: unknown key 'handshke' in [limits] (did you mean 'handshake'?)\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nport = 1"), "3:1: unknown key 'port' in [[listen]]\n");
  EXPECT_EQ(faults("[limit]\nidle = \"1s\""), "1:2: unknown key 'limit' (did you mean 'limits'?)\n");
  EXPECT_EQ(faults("[limits]\nworkers = 2"), "2:1: unknown key 'workers' in [limits] (did you mean 'workers'?)\n");
  EXPECT_EQ(faults("sessions = 2"), "1:1: unknown key 'sessions' (did you mean 'limits.sessions'?)\n");
}

TEST(Config, KeysOfThingsThatDoNotExistAreUnknown) {
  for (const std::string_view text :
       {"[users]\nfile = \"x\"", "[udp]\nports = \"1-2\"", "[[upstream]]\nname = \"x\"", "protocols = [\"socks5\"]"}) {
    EXPECT_NE(faults(text).find("unknown key"), std::string::npos) << text;
  }
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nauth = [\"none\"]"),
            "3:1: unknown key 'auth' in [[listen]]\n");
}

TEST(Config, AllFaultsAreReportedInFileOrder) {
  EXPECT_EQ(faults("workers = 1025\nlog = \"jsn\"\n[limits]\nsessions = 0\nidle = 5\n"),
            "1:11: workers: expected a whole number from 0 to 1024\n"
            "2:7: log: expected one of json, text, none, auto\n"
            "4:12: limits.sessions: expected a whole number from 1 to 1000000\n"
            "5:8: limits.idle: expected a string such as \"1h\", not a whole number\n");
}

TEST(Config, WrongTypesSayWhatIsExpected) {
  EXPECT_EQ(faults("workers = \"4\""), "1:11: workers: expected a whole number without quotes, not a string\n");
  EXPECT_EQ(faults("log = true"), "1:7: log: expected a string such as \"json\", not a boolean\n");
  EXPECT_EQ(faults("[listen]\naddress = \"127.0.0.1:1\""),
            "1:1: write [[listen]], in two brackets, for each listener\n");
  EXPECT_EQ(faults("listen = [3]"), "1:11: expected a [[listen]] table, not a whole number\n");
  EXPECT_EQ(faults("limits = 1.5"), "1:10: 'limits' is a table: write [limits]\n");
  EXPECT_EQ(faults("[policy]\nrules = [\"x\"]"), "2:9: policy.rules: expected a string between ''', not an array\n");
  EXPECT_EQ(faults("[[listen]]\n"), "1:1: [[listen]] has no 'address'\n");
  EXPECT_EQ(faults("[policy]\n"), "1:2: [policy] has no 'rules': nobody could go anywhere\n");
}

TEST(Config, SyntaxErrorsAreLocated) {
  EXPECT_EQ(faults("log = \"json\"\n[limits\n").substr(0, 12), "2:8: not TOM");
  EXPECT_EQ(faults("log = \"json\"\n\n[.limits]\n[limits]\n"), "3:1: not TOML: no key can begin so\n");
  EXPECT_EQ(faults("[limits]\nschl\u00fcssel = 1").substr(0, 2), "2:");
  EXPECT_EQ(faults("[!]"), "1:1: not TOML: no key can begin so\n");
  EXPECT_EQ(faults("log = \"a\"\nlog = \"b\"\n").substr(0, 2), "2:");
}

TEST(Config, HostNamesAreNoListenAddresses) {
  for (const std::string_view address : {"localhost:1080", "127.0.0.1", "::1:1080", "1080", "127.0.0.1:65536",
                                         "[::1%lo]:1080", "*:1080", "unix:/run/x", ""}) {
    EXPECT_EQ(faults("[[listen]]\naddress = \"" + std::string(address) + "\""),
              "2:11: listen.address: expected an IP address and a port, such as \"127.0.0.1:1080\" or \"[::1]:1080\"; "
              "host names are not looked up here\n");
  }
}

TEST(Config, ContradictionsAreFaults) {
  EXPECT_EQ(faults("[limits]\nconnect = \"40s\""),
            "2:1: limits.connect (40s) is longer than limits.connect_total (30s)\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\n[[listen]]\naddress = \"127.0.0.1:1\""),
            "4:1: listen.address: 127.0.0.1:1 is named twice\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"127.0.0.1:0\""), "accepted");
}

// A fault in the rules stands at its own line and column of the file, however the string is quoted.
TEST(Config, RuleFaultsAreLocatedInTheFile) {
  const auto place = [](std::string_view text) { return faults(text).substr(0, faults(text).find(": ")); };
  EXPECT_EQ(place("[policy]\nrules = '''\ndeny anyone to any\nallow anyone to pubic\n'''\n"), "4:17");
  EXPECT_EQ(place("[policy]\nrules = \"\"\"\ndeny anyone to any\nallow anyone to pubic\n\"\"\"\n"), "4:17");
  EXPECT_EQ(place("[policy]\r\nrules = '''\r\ndeny anyone to any\r\nallow anyone to pubic\r\n'''\r\n"), "4:17");
  EXPECT_EQ(place("[policy]\nrules = 'allow anyone to pubic'\n"), "2:26");
  EXPECT_EQ(place("[policy]\nrules = '''allow anyone to pubic'''\n"), "2:28");
  EXPECT_EQ(place("policy = { rules = 'allow anyone to pubic' }"), "1:37");
  EXPECT_EQ(place("\"policy\".rules = '''allow anyone\n to pubic'''").substr(0, 2), "1:");
}

TEST(Config, RuleFaultsBehindEscapesCountTheirOwnLines) {
  const std::string fault = faults("[policy]\nrules = \"deny anyone to any\\nallow anyone to pubic\"\n");
  EXPECT_EQ(fault.substr(0, fault.find(": unknown")), "2:9: rules line 2, column 17");
}

TEST(Config, AllRuleFaultsAreReported) {
  const auto config = parse("wokers = 1\n[policy]\nrules = '''\nallow anyone to pubic\nfrobnicate\n'''\n");
  ASSERT_FALSE(config);
  ASSERT_EQ(config.error().size(), 3U);
  EXPECT_EQ(config.error()[0].line, 1);
  EXPECT_EQ(config.error()[1].line, 4);
  EXPECT_EQ(config.error()[2].line, 5);
}

TEST(Config, ASizeBoundHolds) {
  const std::string line = "# " + std::string(1021, 'x') + "\n";  // 1 KiB
  std::string text;
  for (int i = 0; i < 1024; ++i) text += line;
  EXPECT_EQ(faults(text), "accepted");
  EXPECT_EQ(faults(text + "#"), "1:1: the file is larger than 1 MiB\n");
}

TEST(Config, MessagesShowNoControlOctets) {
  const std::string fault = faults("\"a\\u001b[2J\\n\" = 1");
  EXPECT_EQ(fault.find('\x1b'), std::string::npos);
  EXPECT_EQ(fault.find("1:1: unknown key"), 0U);
}

// The matrix of the security reference, 1.1.
TEST(Exposures, AListenerThatIsNotLoopbackNeedsSources) {
  const auto exposed = [](std::string_view address, std::string_view policy) {
    return exposures(accepted("[[listen]]\naddress = \"" + std::string(address) + "\"\n" + std::string(policy))).size();
  };
  constexpr std::string_view none;
  constexpr std::string_view open = "[policy]\nrules = 'allow anyone to public'";
  constexpr std::string_view sourced = "[policy]\nrules = 'allow anyone from 192.0.2.0/24 to public'";
  constexpr std::string_view closed = "[policy]\nrules = 'deny anyone to any'";
  for (const std::string_view address : {"127.0.0.1:1080", "127.9.9.9:1080", "[::1]:1080"}) {
    EXPECT_EQ(exposed(address, none), 0U) << address;
    EXPECT_EQ(exposed(address, open), 0U) << address;
  }
  for (const std::string_view address : {"0.0.0.0:1080", "[::]:1080", "192.0.2.1:1080", "10.0.0.1:1080",
                                         "[2001:db8::1]:1080", "[fe80::1]:1080", "128.0.0.1:1080"}) {
    EXPECT_EQ(exposed(address, none), 1U) << address;
    EXPECT_EQ(exposed(address, open), 1U) << address;
    EXPECT_EQ(exposed(address, sourced), 0U) << address;
    EXPECT_EQ(exposed(address, closed), 0U) << address;
  }
}

TEST(Exposures, MappedLoopbackIsLoopback) {
  EXPECT_TRUE(is_loopback(Address::parse("::ffff:127.0.0.1").value()));
  EXPECT_FALSE(is_loopback(Address::parse("::ffff:0.0.0.0").value()));
}

TEST(Exposures, TheMessageNamesTheListenerAndBothCures) {
  const auto messages = exposures(accepted("[[listen]]\naddress = \"0.0.0.0:1080\""));
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(
      messages[0],
      "cannot listen on 0.0.0.0:1080: no [policy] says who may use it, and it has no authentication (add a "
      "[policy] with a rule that names its clients, such as 'allow anyone from 192.168.1.0/24 to public', or listen "
      "on 127.0.0.1:1080 only)");
}

TEST(Cautions, TheLoopbackPresetIsWorthALook) {
  const auto list = cautions(zero_configuration());
  ASSERT_EQ(list.size(), 2U);
  EXPECT_NE(list[0].message.find("ssh -R"), std::string::npos);
}

TEST(Cautions, RulesThatReachAbusedPortsAreNamed) {
  const auto places = [](std::string_view rule) {
    std::string list;
    for (const ConfigError& caution : cautions(accepted("[policy]\nrules = '''\n" + std::string(rule) + "\n'''"))) {
      list += std::to_string(caution.line) + " ";
    }
    return list;
  };
  EXPECT_EQ(places("allow anyone from 10.0.0.0/8 to public:80,443"), "");
  EXPECT_EQ(places("allow anyone from 10.0.0.0/8 to public:445"), "3 ");
  EXPECT_EQ(places("allow anyone from 10.0.0.0/8 to public:1-1024"), "3 ");
  EXPECT_EQ(places("allow anyone from 10.0.0.0/8 to public"), "3 ");
  EXPECT_EQ(places("allow authenticated to public:445"), "");
  EXPECT_EQ(places("deny anyone to any:445"), "");
  EXPECT_EQ(places("allow anyone from 10.0.0.0/8 to udp public"), "");
}

TEST(Override, LaterSourcesWin) {
  Config config = accepted("log = \"json\"\nworkers = 2\n[limits]\nidle = \"1h\"\n");
  ASSERT_TRUE(set(config, "log", {"text"}, {Origin::Source::environment, 0, "STILE_LOG"}));
  ASSERT_TRUE(set(config, "listen", {"127.0.0.1:1", "127.0.0.1:2"}, {Origin::Source::flag, 0, "--listen"}));
  std::string text;
  for (const EffectiveValue& value : effective(config))
    text += value.key + "=" + value.value + " <" + value.origin + ">\n";
  EXPECT_EQ(text,
            "workers=2 <stile.toml:2>\n"
            "log=text <environment STILE_LOG>\n"
            "listen[0].address=127.0.0.1:1 <flag --listen>\n"
            "listen[1].address=127.0.0.1:2 <flag --listen>\n"
            "limits.handshake=10s <default>\n"
            "limits.idle=1h <stile.toml:4>\n"
            "limits.half_closed=5m <default>\n"
            "limits.connect=10s <default>\n"
            "limits.connect_total=30s <default>\n"
            "limits.drain=1m <default>\n"
            "limits.sessions=50000 <default>\n");
}

TEST(Override, ListenersOfAFileGiveWayWithTheirOrigins) {
  Config config = accepted("[[listen]]\naddress = \"127.0.0.1:7\"\n");
  EXPECT_EQ(effective(config)[2].origin, "stile.toml:2");
  ASSERT_TRUE(set(config, "listen", {"127.0.0.1:8"}, {Origin::Source::flag, 0, "--listen"}));
  EXPECT_EQ(effective(config)[2].origin, "flag --listen");
}

TEST(Override, BadValuesChangeNothing) {
  Config config = zero_configuration();
  EXPECT_EQ(set(config, "workers", {"many"}, {}).error(), "'many': expected a whole number from 0 to 1024");
  EXPECT_EQ(set(config, "workers", {"-1"}, {}).error(), "'-1': expected a whole number from 0 to 1024");
  EXPECT_EQ(set(config, "log", {"xml"}, {}).error(), "'xml': expected one of json, text, none, auto");
  EXPECT_FALSE(set(config, "listen", {"127.0.0.1:1", "localhost:1"}, {}));
  EXPECT_EQ(config.listeners.size(), 2U);
  EXPECT_TRUE(config.origins.empty());
}

}  // namespace
}  // namespace stile::config
