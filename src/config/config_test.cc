#include "config/config.h"

#include <gtest/gtest.h>

#include "config/keys.h"

namespace stile::config {
namespace {

using namespace std::chrono_literals;

using Names = std::vector<std::string>;

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

constexpr std::string_view every_key = R"(workers = 4
log = "json"
user = "proxy"
sandbox = "required"
[[listen]]
address = "192.0.2.1:1080"
protocols = ["socks5", "http"]
auth = ["password", "none"]
proxy_protocol_from = ["192.0.2.5", "2001:db8::/32"]
[[listen]]
address = "[2001:db8::1]:0"
auth = ["none"]
fast_open = "on"
pac = ["http", "socks5"]
[[listen]]
address = "unix:/run/stile.sock"
mode = "0600"
owner = "nobody"
group = "0"
[udp]
ports = "40000-40999"
advertise = ["203.0.113.7", "2001:db8::7"]
filter = "any"
frag = "drop"
claimed_source = "require"
repin = "0s"
mapping_idle = "2m"
[bind]
ports = "41000"
advertise = "203.0.113.8"
wait = "30s"
mismatch = "fail"
[[proxy_protocol_to]]
targets = ["192.0.2.80:443", "10.0.0.0/8:8000-8099", "[2001:db8::/64]:*"]
version = 1
[[proxy_protocol_to]]
targets = "[2001:db8::1]:25"
[users]
file = "users"
cache = "30s"
[pam]
service = "proxy"
cache = "0s"
[command]
program = ["/usr/lib/ask", "-v"]
[gssapi]
keytab = "keys"
service = "socks"
realms = ["EXAMPLE.ORG", "EXAMPLE.COM"]
min_level = "confidentiality"
clear = "allow"
nec = "allow"
[pac]
host = "Proxy.Example."
direct = ["Corp.Example", "192.0.2.7", "10.0.0.0/8"]
[limits]
penalty_exempt = ["10.0.0.0/8", "2001:db8::/32"]
timeout_reply = "06"
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
)";

TEST(Config, EveryKeyIsRead) {
  const Config config = accepted(every_key);
  EXPECT_EQ(config.workers, 4U);
  EXPECT_EQ(config.log, LogFormat::json);
  EXPECT_EQ(config.user, "proxy");
  EXPECT_EQ(config.sandbox, Sandbox::required);
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
  EXPECT_EQ(config.policy_rules_line, 68);
  EXPECT_EQ(config.users.file, "users");
  EXPECT_EQ(config.users.cache, 30s);
  EXPECT_EQ(config.pam.service, "proxy");
  EXPECT_EQ(config.pam.cache, 0s);
  EXPECT_EQ(config.command.program, (std::vector<std::string>{"/usr/lib/ask", "-v"}));
  EXPECT_EQ(config.gssapi.keytab, "keys");
  EXPECT_EQ(config.gssapi.service, "socks");
  EXPECT_EQ(config.gssapi.realms, (std::vector<std::string>{"EXAMPLE.ORG", "EXAMPLE.COM"}));
  EXPECT_TRUE(config.gssapi.confidentiality && config.gssapi.clear && config.gssapi.nec);
  EXPECT_EQ(config.limits.penalty_exempt, (std::vector{*Cidr::parse("10.0.0.0/8"), *Cidr::parse("2001:db8::/32")}));
}

TEST(Config, EveryKeyOfListenersIsRead) {
  const Config config = accepted(every_key);
  ASSERT_EQ(config.listeners.size(), 3U);
  EXPECT_EQ(config.listeners[0].where(), "192.0.2.1:1080");
  EXPECT_EQ(config.listeners[0].protocols, (Protocols{.socks5 = true, .socks4 = false, .http = true}));
  EXPECT_EQ(config.listeners[0].proxy_protocol_from,
            (std::vector{*Cidr::parse("192.0.2.5"), *Cidr::parse("2001:db8::/32")}));
  EXPECT_EQ(config.listeners[1].where(), "[2001:db8::1]:0");
  EXPECT_EQ(config.listeners[1].protocols, Protocols{});
  EXPECT_EQ(config.listeners[0].auth, (AuthMethods{AuthMethod::password, AuthMethod::none}));
  EXPECT_TRUE(config.listeners[2].auth.empty());
  EXPECT_TRUE(config.listeners[1].proxy_protocol_from.empty());
  EXPECT_TRUE(config.listeners[1].fast_open && !config.listeners[0].fast_open);
  EXPECT_FALSE(config.listeners[0].optional);
  EXPECT_EQ(config.listeners[2].where(), "unix:/run/stile.sock");
  EXPECT_EQ(config.listeners[2].file,
            (SocketFile{.path = "/run/stile.sock", .mode = 0600, .owner = "nobody", .group = "0"}));
}

TEST(Config, EveryKeyOfTheOutsideIsRead) {
  const Config config = accepted(every_key);
  EXPECT_EQ(config.udp.outside.ports, (PortRange{40000, 40999}));
  EXPECT_EQ(config.udp.outside.advertise,
            (std::vector{*Address::parse("203.0.113.7"), *Address::parse("2001:db8::7")}));
  EXPECT_TRUE(config.udp.full_cone);
  EXPECT_FALSE(config.udp.reassemble);
  EXPECT_TRUE(config.udp.require_claim);
  EXPECT_EQ(config.udp.repin, 0s);
  EXPECT_EQ(config.udp.mapping_idle, 2min);
  EXPECT_EQ(config.bind.outside.ports, (PortRange{41000, 41000}));
  EXPECT_EQ(config.bind.outside.advertise, std::vector{*Address::parse("203.0.113.8")});
  EXPECT_EQ(config.bind.wait, 30s);
  EXPECT_TRUE(config.bind.mismatch_ends);
  ASSERT_EQ(config.proxy_protocol_to.size(), 2U);
  EXPECT_EQ(config.proxy_protocol_to[0].version, 1U);
  EXPECT_EQ(config.proxy_protocol_to[0].targets.size(), 3U);
  EXPECT_EQ(config.proxy_protocol_to[1].version, 2U);
  EXPECT_TRUE(config.proxy_protocol_to[1].targets[0].contains(*Endpoint::parse("[2001:db8::1]:25")));
  EXPECT_TRUE(config.limits.timeout_is_ttl_expired);
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
  for (const std::string_view text : {"[[redis]]\nname = \"x\"", "protocols = [\"socks5\"]"}) {
    EXPECT_NE(faults(text).find("unknown key"), std::string::npos) << text;
  }
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\ncolour = \"x\""),
            "3:1: unknown key 'colour' in [[listen]]\n");
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
            "1:1: write [[listen]], in two brackets, for each of them\n");
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
                                         "[::1%lo]:1080", "*:1080", "unixx:/run/x", ""}) {
    EXPECT_EQ(faults("[[listen]]\naddress = \"" + std::string(address) + "\""),
              "2:11: listen.address: expected an IP address and a port, such as \"127.0.0.1:1080\" or \"[::1]:1080\", "
              "or \"unix:/PATH\"; host names are not looked up here\n");
  }
}

TEST(Config, PathsOfSocketsAreAbsoluteAndShort) {
  for (const std::string& path : {std::string("x.sock"), std::string(), std::string("@abstract"), std::string("/run/"),
                                  "/" + std::string(107, 'x'), std::string("/run/\\u0001")}) {
    EXPECT_EQ(faults("[[listen]]\naddress = \"unix:" + path + "\""),
              "2:11: listen.address: expected the absolute path of a socket behind \"unix:\", of at most 107 octets\n")
        << path;
  }
  EXPECT_EQ(faults("[[listen]]\naddress = \"unix:/" + std::string(106, 'x') + "\""), "accepted");
}

TEST(Config, ItemsOfListsAreLocated) {
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nprotocols = [\"socks5\", \"socks6\"]\n"),
            "3:24: listen.protocols: expected socks5, socks4 or http\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nprotocols = []\n"),
            "3:13: listen.protocols: the list is empty\n");
  EXPECT_EQ(faults("[udp]\nadvertise = [\"203.0.113.7\", 5]\n"),
            "2:29: udp.advertise: expected strings in the list, not a whole number\n");
  EXPECT_EQ(faults("[udp]\nadvertise = 5\n"),
            "2:13: udp.advertise: expected a list such as \"203.0.113.7\", not a whole number\n");
  EXPECT_EQ(faults("[udp]\nadvertise = [\"203.0.113.7\", \"203.0.113.8\"]\n"),
            "2:29: udp.advertise: one address of each family is enough\n");
  EXPECT_EQ(faults("[bind]\nadvertise = \"127.0.0.1\"\n"),
            "2:13: bind.advertise: nobody outside could reach 127.0.0.1\n");
  EXPECT_EQ(faults("[[proxy_protocol_to]]\nversion = 3\n"),
            "1:1: [[proxy_protocol_to]] has no 'targets'\n"
            "2:11: proxy_protocol_to.version: expected a whole number from 1 to 2\n");
  EXPECT_EQ(faults("[udp]\nprots = \"1-2\"\n"), "2:1: unknown key 'prots' in [udp] (did you mean 'ports'?)\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nprotocol = \"http\"\n"),
            "3:1: unknown key 'protocol' in [[listen]] (did you mean 'protocols'?)\n");
}

TEST(Config, FilePermissionsBelongToSocketFiles) {
  EXPECT_EQ(faults("[[listen]]\naddress = \"127.0.0.1:1\"\nmode = \"0600\"\n"),
            "3:1: listen.mode: only a \"unix:\" address has one\n");
  EXPECT_EQ(faults("[[listen]]\naddress = \"unix:/a\"\n[[listen]]\naddress = \"unix:/a\"\n"),
            "4:1: listen.address: unix:/a is named twice\n");
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

// What a listener offers where the file does not say, and what it needs.
TEST(Auth, OmittedItIsAPasswordWhereThereAreUsers) {
  EXPECT_EQ(auth_of(accepted(""), Listener{}), AuthMethods{AuthMethod::none});
  const Config users = accepted("[users]\nfile = 'users'\n");
  EXPECT_EQ(auth_of(users, users.listeners[0]), AuthMethods{AuthMethod::password});
  const Config both = accepted("[users]\nfile = 'u'\n[[listen]]\naddress = '127.0.0.1:1'\nauth = ['none', 'password']");
  EXPECT_EQ(auth_of(both, both.listeners[0]), (AuthMethods{AuthMethod::none, AuthMethod::password}));
}

TEST(Tls, AClientsCertificateIsHowItShowsWhoItIs) {
  const std::string listener =
      "[[listen]]\naddress = '127.0.0.1:1'\ntls = { certificate = 'c', key = 'k', client_ca = 'a' }\n";
  const Config config = accepted(listener + "[users]\nfile = 'u'\n");
  EXPECT_EQ(auth_of(config, config.listeners[0]), AuthMethods{AuthMethod::certificate});
  EXPECT_FALSE(sends_passwords_in_clear(config, config.listeners[0]));
}

TEST(Tls, FaultsAreLocated) {
  const auto fault = [](const std::string& tls, const std::string& more = "") {
    return faults("[[listen]]\naddress = '127.0.0.1:1'\ntls = " + tls + "\n" + more);
  };
  EXPECT_EQ(fault("{ certificate = 'c' }"), "3:7: listen.tls: it takes a certificate and its key\n");
  EXPECT_EQ(fault("{ certificate = 'c', key = 'k', crl = 'l' }"),
            "3:7: listen.tls: crl lists certificates of clients, which only client_ca asks for\n");
  EXPECT_EQ(fault("{ certificate = 'c', key = 'k', client_ca = 'a', optional = true }"),
            "3:7: listen.tls: where every client is to show a certificate (client_ca), TLS is not optional\n");
  EXPECT_EQ(fault("{ certificate = 'c', key = 'k' }", "auth = 'certificate'\n"),
            "4:1: listen.auth: nobody is asked for a certificate (add client_ca to the listener's `tls`)\n");
  EXPECT_EQ(
      fault("{ certificate = 'c', key = 1 }"),
      "3:7: listen.tls: it takes a certificate and its key\n3:34: listen.tls: expected a file for key, not a whole "
      "number\n");
}

TEST(Auth, FaultsAreLocated) {
  EXPECT_EQ(faults("[[listen]]\naddress = '127.0.0.1:1'\nauth = ['pasword']\n"),
            "3:9: listen.auth: expected one of none, password, pam, command, certificate, gssapi\n");
  EXPECT_EQ(faults("[[listen]]\naddress = '127.0.0.1:1'\nauth = ['none', 'none']\n"),
            "3:17: listen.auth: none stands twice\n");
  EXPECT_EQ(faults("[[listen]]\naddress = '127.0.0.1:1'\nauth = []\n"), "3:8: listen.auth: the list is empty\n");
  EXPECT_EQ(faults("[[listen]]\naddress = '127.0.0.1:1'\nauth = 'password'\n"),
            "3:1: listen.auth: nobody has a password (add [users] with a file, which 'stile user add' makes)\n");
  EXPECT_EQ(faults("[users]\ncache = '1s'\n"), "1:2: [users] has no 'file': nobody could log in\n");
  EXPECT_EQ(faults("[users]\nfile = ''\n"), "2:8: users.file: expected a path, such as \"users\"\n");
}

// A client sees one method, so that one of them judges (threat TA2).
TEST(Auth, TwoWhoJudgePasswordsAreRefusedWithBothCures) {
  const std::string listen = "[[listen]]\naddress = '127.0.0.1:1'\n";
  const std::string command = "[command]\nprogram = '/bin/ask'\n";
  EXPECT_EQ(faults(command + listen + "auth = ['pam', 'none', 'command']\n"),
            "5:1: listen.auth: pam and command both judge a name and a password, which is one method to a client (name "
            "one of them, or give command a listener of its own)\n");
  EXPECT_EQ(faults(listen + "auth = 'command'\n"),
            "3:1: listen.auth: no program judges passwords (add [command] with `program`)\n");
  EXPECT_EQ(faults("[command]\ncache = '1s'\n"), "1:2: [command] has no 'program': nobody could log in by it\n");
  EXPECT_EQ(faults("[command]\nprogram = ['ask']\n"),
            "2:12: command.program: expected the absolute path of a program\n");
  EXPECT_EQ(faults("[pam]\nservice = '../x'\n"),
            "2:11: pam.service: expected the name of a file in /etc/pam.d: letters, digits, '-', '_' and '.'\n");
  EXPECT_EQ(faults(listen + "auth = 'gssapi'\ntls = {certificate = 'c', key = 'k'}\n"),
            "3:1: listen.auth: gssapi protects the stream itself, not inside TLS (give it a listener without `tls`)\n");
  EXPECT_EQ(faults("[gssapi]\nservice = 'rcmd@host'\n"),
            "2:11: gssapi.service: expected the first part of a principal, such as \"rcmd\", without a host\n");
  EXPECT_EQ(faults("[gssapi]\nrealms = ['a@B']\n"), "2:11: gssapi.realms: expected a realm, such as \"EXAMPLE.ORG\"\n");
  EXPECT_TRUE(needs_helper(accepted(listen + "auth = 'gssapi'\n")));
  EXPECT_FALSE(needs_helper(accepted(command + listen)));
  EXPECT_TRUE(needs_helper(accepted(command + listen + "auth = 'command'\n")));
  EXPECT_TRUE(needs_helper(accepted(listen + "auth = ['none', 'pam']\n")));
}

TEST(Auth, AHelperOfItsOwnHasItsOwnProgram) {
  const std::string helper = "[helper]\nsocket = 'unix:/run/stile-helper.sock'\n";
  const Config config = accepted(helper + "[[listen]]\naddress = '127.0.0.1:1'\nauth = 'command'\n");
  EXPECT_EQ(config.helper.socket, "unix:/run/stile-helper.sock");
  EXPECT_TRUE(needs_helper(config));
  EXPECT_EQ(accepted("[command]\ncache = '1s'\n" + helper).command.cache, 1s);
  EXPECT_TRUE(faults("[helper]\nsocket = '127.0.0.1:1'\n").starts_with("2:10: helper.socket: expected"));
}

TEST(Auth, WhatAClientCouldNotTellApartOrNeverReachIsRefused) {
  const std::string listen = "[[listen]]\naddress = '127.0.0.1:1'\n";
  const std::string tls = "tls = { certificate = 'c', key = 'k', client_ca = 'a' }\n";
  for (const char* const both : {"'none', 'certificate'", "'certificate', 'none'"}) {
    EXPECT_EQ(faults(listen + tls + "auth = [" + both + "]\n"),
              "4:1: listen.auth: none and certificate are one method to a client, and every client has shown a "
              "certificate there (take none out, or certificate, which leaves all of them anonymous)\n");
  }
  const std::string alone = "protocols = ['socks4']\n";
  EXPECT_EQ(faults(listen + alone + "auth = 'pam'\n"),
            "3:1: listen.protocols: a user id of SOCKS4 proves nothing, so that nobody could log in (add \"socks5\" or "
            "\"http\", or name \"none\" in `auth`)\n");
  EXPECT_NE(faults("[users]\nfile = 'u'\n" + listen + alone), "") << "auth is password there, unless it says otherwise";
  (void)accepted(listen + alone + "auth = ['none', 'pam']\n");
  (void)accepted(listen + alone + tls + "auth = ['certificate']\n");
}

// ── the file for browsers ───────────────────────────────────────────────────────────────────────────────────────────

TEST(Pac, ItsKeysAreRead) {
  const Config config = accepted(every_key);
  EXPECT_EQ(config.listeners[1].pac, (std::vector{wire::PacWay::http, wire::PacWay::socks5}));
  EXPECT_TRUE(config.listeners[0].pac.empty());
  EXPECT_EQ(config.pac.host, "proxy.example");
  EXPECT_EQ(value_list(*find_key("pac", "direct"), config), (Names{"corp.example", "192.0.2.7/32", "10.0.0.0/8"}));
  EXPECT_EQ(value_list(*find_key("listen", "pac"), config, 1), (Names{"http", "socks5"}));
  EXPECT_EQ(pac_of(config, config.listeners[0]), nullptr);
}

TEST(Pac, FaultsAreLocated) {
  const std::string listen = "[[listen]]\naddress = '127.0.0.1:1'\n";
  EXPECT_EQ(faults(listen + "pac = ['http', 'https']\n"), "3:16: listen.pac: expected http or socks5\n");
  EXPECT_EQ(faults(listen + "pac = ['http', 'http']\n"), "3:16: listen.pac: http stands twice\n");
  EXPECT_EQ(faults(listen + "pac = []\n"), "3:7: listen.pac: the list is empty\n");
  EXPECT_EQ(faults("[pac]\nhost = 'a:1'\n"), "2:8: pac.host: expected a host's name or address, without a port\n");
  for (const char* const bad : {"*.a", "10.0.0.1/8", "", "0x7f.1", "a b"}) {
    EXPECT_NE(faults("[pac]\ndirect = '" + std::string(bad) + "'\n"), "") << bad;
  }
  std::string many;
  for (std::size_t i = 0; i < limits::pac_direct_max; ++i) many += "'a', ";
  (void)accepted("[pac]\ndirect = [" + many + "]\n");
  EXPECT_TRUE(faults("[pac]\ndirect = [" + many + "'a']\n").ends_with("pac.direct: more than 256 of them\n"));
}

TEST(Pac, WhatNoBrowserCouldUseIsRefused) {
  const std::string listen = "[[listen]]\naddress = '127.0.0.1:1'\n";
  EXPECT_EQ(faults("[[listen]]\naddress = 'unix:/a'\nfast_open = 'on'\n"),
            "3:1: listen.fast_open: a Unix-domain socket has no SYN\n");
  EXPECT_EQ(faults("[[listen]]\naddress = 'unix:/a'\npac = 'http'\n"),
            "3:1: listen.pac: no browser reaches a Unix-domain socket (give it a listener with an IP address)\n");
  EXPECT_EQ(faults(listen + "protocols = 'socks5'\npac = 'socks5'\n"),
            "4:1: listen.pac: browsers fetch the file over HTTP (add \"http\" to `protocols`)\n");
  EXPECT_EQ(faults(listen + "protocols = 'http'\npac = ['http', 'socks5']\n"),
            "4:1: listen.pac: there is no socks5 here (add \"socks5\" to `protocols`)\n");
  EXPECT_EQ(faults(listen + "tls = { certificate = 'c', key = 'k' }\npac = 'socks5'\n"),
            "4:1: listen.pac: no browser speaks SOCKS inside TLS (take \"socks5\" out)\n");
  EXPECT_EQ(faults("[users]\nfile = 'u'\n" + listen + "pac = 'socks5'\n"),
            "5:1: listen.pac: no browser logs in over SOCKS (take \"socks5\" out, or add \"none\" to `auth`)\n");
  (void)accepted("[users]\nfile = 'u'\n" + listen + "pac = 'http'\ntls = { certificate = 'c', key = 'k' }\n");
}

// Names and networks of the file, as its first lines have them.
std::string directs(std::string_view text) {
  const Config config = accepted("[[listen]]\naddress = '127.0.0.1:1'\npac = 'http'\n" + std::string(text));
  const std::string script = pac_of(config, config.listeners[0])->text({.reached = *Endpoint::parse("127.0.0.1:1")});
  const std::size_t begin = script.find("var names");
  return script.substr(begin, script.find("\n\n") - begin);
}

TEST(Pac, TheFileFollowsThePolicyAndNamesNoRule) {
  const std::string always = "[\"127.0.0.0\", 8], [\"::1\", 128], [\"169.254.0.0\", 16], [\"fe80::\", 10]";
  const std::string names = "var names = [\"localhost\"];\nvar networks = [";
  EXPECT_EQ(directs(""), names + always + "];");
  EXPECT_EQ(directs("[policy]\nrules = 'secret-name: allow alice to private, inside.example'\n"),
            names + always + ", [\"100.64.0.0\", 10]];");
  EXPECT_EQ(directs("[pac]\ndirect = ['a.example', '192.0.2.0/24']\n[policy]\nrules = 'allow alice to 10.1.0.0/16'\n"),
            "var names = [\"localhost\", \"a.example\"];\nvar networks = [" + always +
                ", [\"100.64.0.0\", 10], [\"172.16.0.0\", 12], [\"192.168.0.0\", 16], [\"fc00::\", 7], "
                "[\"fec0::\", 10], [\"192.0.2.0\", 24]];");
}

TEST(Auth, NoneBeforeAPasswordIsWarnedOf) {
  const auto list = [](const std::string& auth) {
    const std::string users = "[users]\nfile = 'u'\n[policy]\nrules = 'allow anyone from loopback to public:443'\n";
    std::string text;
    for (const ConfigError& one :
         cautions(accepted("[[listen]]\naddress = '127.0.0.1:1'\nauth = " + auth + "\n" + users))) {
      text += std::to_string(one.line) + ": " + one.message + "\n";
    }
    return text;
  };
  EXPECT_EQ(list("['none', 'password']"),
            "3: listener 127.0.0.1:1: none stands before password, so that SOCKS5 clients which offer both come in as "
            "nobody in particular (name none last)\n");
  EXPECT_EQ(list("['password', 'none']"), "");
}

// A listener that admits nobody without a password is no open proxy, whatever its rules say (threat TS3).
TEST(Exposures, AListenerThatAsksForAPasswordIsNone) {
  const auto exposed = [](std::string_view auth, std::string_view policy) {
    return exposures(accepted("[users]\nfile = 'u'\n[[listen]]\naddress = '0.0.0.0:1080'\n" + std::string(auth) + "\n" +
                              std::string(policy)))
        .size();
  };
  constexpr std::string_view open = "[policy]\nrules = 'allow anyone to public'";
  for (const std::string_view policy : {std::string_view(), open}) {
    EXPECT_EQ(exposed("", policy), 0U);
    EXPECT_EQ(exposed("auth = 'password'", policy), 0U);
    EXPECT_EQ(exposed("auth = ['password', 'none']", policy), 1U);
    EXPECT_EQ(exposed("auth = 'none'", policy), 1U);
  }
  EXPECT_EQ(exposed("auth = 'none'", "[policy]\nrules = 'allow anyone from 10.0.0.0/8 to public'"), 0U);
}

TEST(Cautions, PasswordsInClearAndLoginsThatLeadNowhereAreNamed) {
  const auto list = [](std::string_view listen) {
    std::string text;
    for (const ConfigError& caution : cautions(accepted("[users]\nfile = 'u'\n" + std::string(listen)))) {
      text += caution.message.substr(0, caution.message.find(" (")) + "\n";
    }
    return text;
  };
  EXPECT_EQ(list("[[listen]]\naddress = '10.0.0.1:1'"),
            "listener 10.0.0.1:1: passwords cross the network in clear\n"
            "listener 10.0.0.1:1: whoever logs in may go nowhere\n");
  EXPECT_EQ(list("[[listen]]\naddress = '10.0.0.1:1'\n[policy]\nrules = 'allow authenticated to public'"),
            "listener 10.0.0.1:1: passwords cross the network in clear\n");
  EXPECT_EQ(list("[[listen]]\naddress = '127.0.0.1:1'\n[[listen]]\naddress = 'unix:/a'"), "");
}

TEST(Exposures, BehindALoadBalancerClientsComeFromAnywhere) {
  const auto exposed = [](std::string_view listen, std::string_view policy) {
    return exposures(accepted("[[listen]]\n" + std::string(listen) + "\n" + std::string(policy))).size();
  };
  constexpr std::string_view balanced = "address = '127.0.0.1:1080'\nproxy_protocol_from = '127.0.0.1'";
  EXPECT_EQ(exposed(balanced, ""), 1U);
  EXPECT_EQ(exposed(balanced, "[policy]\nrules = 'allow anyone to public'"), 1U);
  EXPECT_EQ(exposed(balanced, "[policy]\nrules = 'allow anyone from 192.0.2.0/24 to public'"), 0U);
  EXPECT_EQ(exposed("address = 'unix:/run/stile.sock'", ""), 0U) << "its mode says who may connect";
  EXPECT_EQ(exposed("address = 'unix:/run/stile.sock'\nproxy_protocol_from = '127.0.0.1'", ""), 1U);
}

TEST(Cautions, ASocketFileForEverybodyIsNamed) {
  const auto list = cautions(accepted("[[listen]]\naddress = \"unix:/a\"\nmode = \"0666\"\n"));
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].line, 3);
  EXPECT_TRUE(cautions(accepted("[[listen]]\naddress = \"unix:/a\"\n")).empty());
}

TEST(Cautions, BelievingEverybodyIsNamed) {
  const auto places = [](std::string_view networks) {
    const auto list =
        cautions(accepted("[[listen]]\naddress = \"10.0.0.1:1\"\nproxy_protocol_from = " + std::string(networks) +
                          "\n[policy]\nrules = 'deny anyone to any'\n"));
    return list.empty() ? 0 : list[0].line;
  };
  EXPECT_EQ(places("['10.0.0.5', '0.0.0.0/0']"), 3);
  EXPECT_EQ(places("'::/0'"), 3);
  EXPECT_EQ(places("['10.0.0.5', '10.0.0.0/8']"), 0);
}

TEST(Exposures, TheMessageNamesTheListenerAndBothCures) {
  const auto messages = exposures(accepted("[[listen]]\naddress = \"0.0.0.0:1080\""));
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(
      messages[0],
      "cannot listen on 0.0.0.0:1080: no [policy] says who may use it, and it asks for no password (add a "
      "[policy] with a rule that names its clients, such as 'allow anyone from 192.168.1.0/24 to public', or [users] "
      "with a file that 'stile user add' makes, or listen on 127.0.0.1:1080 only)");
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

TEST(Cautions, AQuotaWithoutAccountsIsNamed) {
  const std::string rules = "[policy]\nrules = '''\nweb: allow authenticated to public quota 1GB/day\n'''\n";
  const auto list = cautions(accepted(rules));
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].line, 3);
  EXPECT_NE(list[0].message.find("'web': its quota begins anew"), std::string::npos);
  EXPECT_TRUE(cautions(accepted(rules + "[accounting]\nfile = 'accounts.db'\n")).empty());
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
            "log_query=omit <default>\n"
            "user=stile <default>\n"
            "sandbox=best-effort <default>\n"
            "listen[0].address=127.0.0.1:1 <flag --listen>\n"
            "listen[0].protocols=[\"socks5\", \"socks4\", \"http\"] <default>\n"
            "listen[0].auth=[\"none\"] <default>\n"
            "listen[0].proxy_protocol_from=[] <default>\n"
            "listen[0].pac=[] <default>\n"
            "listen[0].fast_open=off <default>\n"
            "listen[1].address=127.0.0.1:2 <flag --listen>\n"
            "listen[1].protocols=[\"socks5\", \"socks4\", \"http\"] <default>\n"
            "listen[1].auth=[\"none\"] <default>\n"
            "listen[1].proxy_protocol_from=[] <default>\n"
            "listen[1].pac=[] <default>\n"
            "listen[1].fast_open=off <default>\n"
            "udp.ports=any <default>\n"
            "udp.advertise=[] <default>\n"
            "udp.filter=address <default>\n"
            "udp.frag=reassemble <default>\n"
            "udp.claimed_source=ignore <default>\n"
            "udp.repin=30s <default>\n"
            "udp.mapping_idle=5m <default>\n"
            "bind.ports=any <default>\n"
            "bind.advertise=[] <default>\n"
            "bind.wait=2m <default>\n"
            "bind.mismatch=wait <default>\n"
            "users.cache=1m <default>\n"
            "pam.service=stile <default>\n"
            "pam.cache=1m <default>\n"
            "command.cache=1m <default>\n"
            "gssapi.keytab=/etc/krb5.keytab <default>\n"
            "gssapi.realms=[] <default>\n"
            "gssapi.min_level=integrity <default>\n"
            "gssapi.clear=refuse <default>\n"
            "gssapi.nec=refuse <default>\n"
            "pac.direct=[] <default>\n"
            "limits.handshake=10s <default>\n"
            "limits.idle=1h <stile.toml:4>\n"
            "limits.half_closed=5m <default>\n"
            "limits.connect=10s <default>\n"
            "limits.connect_total=30s <default>\n"
            "limits.timeout_reply=04 <default>\n"
            "limits.drain=1m <default>\n"
            "limits.sessions=50000 <default>\n"
            "limits.sessions_per_listener=10000 <default>\n"
            "limits.sessions_per_source=1024 <default>\n"
            "limits.sessions_per_user=4096 <default>\n"
            "limits.udp_associations_per_user=64 <default>\n"
            "limits.penalty_exempt=[] <default>\n"
            "accounting.interim=1m <default>\n"
            "accounting.on_failure=drop <default>\n"
            "engine.spin=20us <default>\n");
}

TEST(Override, ListenersOfAFileGiveWayWithTheirOrigins) {
  Config config = accepted("[[listen]]\naddress = \"127.0.0.1:7\"\n");
  EXPECT_EQ(effective(config)[5].origin, "stile.toml:2");
  ASSERT_TRUE(set(config, "listen", {"127.0.0.1:8"}, {Origin::Source::flag, 0, "--listen"}));
  EXPECT_EQ(effective(config)[5].origin, "flag --listen");
}

TEST(Override, ValuesOfTablesThatRepeatAreShownOneByOne) {
  const Config config = accepted(
      "[[listen]]\naddress = \"unix:/a\"\ngroup = \"7\"\n[[proxy_protocol_to]]\ntargets = [\"192.0.2.1:1-2\"]\n");
  std::string text;
  for (const EffectiveValue& value : effective(config)) {
    if (value.key.find('[') != std::string::npos) text += value.key + "=" + value.value + " <" + value.origin + ">\n";
  }
  EXPECT_EQ(text,
            "listen[0].address=unix:/a <stile.toml:2>\n"
            "listen[0].protocols=[\"socks5\", \"socks4\", \"http\"] <default>\n"
            "listen[0].auth=[\"none\"] <default>\n"
            "listen[0].proxy_protocol_from=[] <default>\n"
            "listen[0].pac=[] <default>\n"
            "listen[0].fast_open=off <default>\n"
            "listen[0].mode=0660 <default>\n"
            "listen[0].owner= <default>\n"
            "listen[0].group=7 <stile.toml:3>\n"
            "proxy_protocol_to[0].targets=[\"192.0.2.1/32:1-2\"] <stile.toml:5>\n"
            "proxy_protocol_to[0].version=2 <default>\n");
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
