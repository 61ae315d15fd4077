// No encoding of an address and no spelling of a name turns a deny into an allow (security reference, TN1, TN4 and
// section 4): every row of the class tables and of the IANA special-purpose registries × every form that carries an
// IPv4 address × literal in octets, literal in text, answer of DNS × every command × policies that deny in their ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "policy/classes.h"
#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

using Decision = Verdict::Decision;

constexpr std::array commands = {Command::tcp, Command::udp, Command::bind, Command::ping, Command::resolve};

// https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry, all rows, with the
// multicast and site-local blocks, which stand in registries of their own.
constexpr auto registry = std::to_array<std::string_view>({
    "0.0.0.0/8",      "0.0.0.0/32",         "10.0.0.0/8",      "100.64.0.0/10",     "127.0.0.0/8",     "169.254.0.0/16",
    "172.16.0.0/12",  "192.0.0.0/24",       "192.0.0.0/29",    "192.0.0.8/32",      "192.0.0.9/32",    "192.0.0.10/32",
    "192.0.0.170/32", "192.0.0.171/32",     "192.0.2.0/24",    "192.31.196.0/24",   "192.52.193.0/24", "192.88.99.0/24",
    "192.88.99.2/32", "192.168.0.0/16",     "192.175.48.0/24", "198.18.0.0/15",     "198.51.100.0/24", "203.0.113.0/24",
    "240.0.0.0/4",    "255.255.255.255/32", "224.0.0.0/4",     "::1/128",           "::/128",          "64:ff9b:1::/48",
    "100::/64",       "100:0:0:1::/64",     "2001::/23",       "2001::/32",         "2001:1::1/128",   "2001:1::2/128",
    "2001:1::3/128",  "2001:2::/48",        "2001:3::/32",     "2001:4:112::/48",   "2001:10::/28",    "2001:20::/28",
    "2001:30::/28",   "2001:db8::/32",      "2002::/16",       "2620:4f:8000::/48", "3fff::/20",       "5f00::/16",
    "fc00::/7",       "fe80::/10",          "ff00::/8",        "fec0::/10",
});

Address from_octets(const std::array<std::uint8_t, 16>& octets, bool v4) {
  return v4 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
}

// The first, the last and a few more of a prefix.
std::vector<Address> samples_of(const Cidr& prefix, std::mt19937& random) {
  std::vector<Address> samples;
  const std::size_t size = prefix.base.octets().size();
  for (int sample = 0; sample < 4; ++sample) {
    std::array<std::uint8_t, 16> octets{};
    std::ranges::copy(prefix.base.octets(), octets.begin());
    for (std::size_t bit = prefix.length; bit < size * 8; ++bit) {
      const bool one = sample == 1 || (sample > 1 && random() % 2 == 0);
      if (one) octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] | 0x80U >> bit % 8);
    }
    samples.push_back(from_octets(octets, prefix.base.is_v4()));
  }
  return samples;
}

struct Row {
  Cidr prefix;
  std::vector<Address> samples;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> made = [] {
    std::mt19937 random(1928);
    std::vector<Row> all;
    const auto add = [&](const Cidr& prefix) { all.push_back({prefix, samples_of(prefix, random)}); };
    for (const std::string_view text : registry) add(cidr(text));
    for (const auto table : {class_prefixes(), metadata_prefixes()}) {
      for (const ClassPrefix& row : table) {
        if (row.length > 0) add({from_octets(row.octets, row.family == Family::ipv4), row.length});
      }
    }
    return all;
  }();
  return made;
}

// Every spelling of section 4 that is one address: it goes through the one canonicaliser.
std::vector<std::string> spellings_of(const Address& address) {
  const std::string text = address.to_string();
  if (address.is_v4()) return {text, "::ffff:" + text, "[::ffff:" + text + "]", "0:0:0:0:0:FFFF:" + text};
  std::string groups;
  for (std::size_t i = 0; i < 16; i += 2) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    if (i > 0) groups += ':';
    for (const std::uint8_t octet : {address.octets()[i], address.octets()[i + 1]}) {
      groups += hex[octet >> 4];
      groups += hex[octet & 15];
    }
  }
  const ConstBytes tail = address.octets().subspan(12);
  const std::string quad = std::to_string(tail[0]) + "." + std::to_string(tail[1]) + "." + std::to_string(tail[2]) +
                           "." + std::to_string(tail[3]);
  return {text, "[" + text + "]", groups, "[" + groups + "]", groups.substr(0, 30) + quad};
}

// What carries `address`: itself, and where it is IPv4 every form with it inside.
std::vector<Address> forms_of(const Address& address) {
  if (!address.is_v4()) return {address};
  std::vector<Address> forms = encodings(quad_of(address));
  forms.push_back(address);
  return forms;
}

bool allowed(const Policy& policy, const Asker& asker, Command command, const Address& address) {
  return asker.verdict(policy, command, {.host = address, .port = 443}).decision == Decision::allow;
}

// Every way to ask for `form`.
void expect_never(const Policy& policy, const Asker& asker, Command command, const Address& form) {
  ASSERT_FALSE(allowed(policy, asker, command, form)) << form.to_string();
  const Target named = target("host.example", 443);
  ASSERT_NE(asker.verdict(policy, command, named, form).decision, Decision::allow) << form.to_string();
  for (const std::string& spelling : spellings_of(form)) {
    const auto host = canonical_host(spelling);
    ASSERT_TRUE(host.has_value()) << spelling;
    ASSERT_EQ(std::get<Address>(*host), form) << spelling;
    ASSERT_NE(asker.verdict(policy, command, {.host = *host, .port = 443}).decision, Decision::allow) << spelling;
  }
}

constexpr std::string_view every_class =
    "allow anyone to tcp udp bind ping resolve any:0-65535, private:0-65535, loopback:0-65535, link-local:0-65535, "
    "cgnat:0-65535, multicast:0-65535, metadata:0-65535, reserved:0-65535, self:0-65535";

TEST(Encodings, NoneOpensAPlaceThatIsClosed) {
  std::vector<Policy> policies;
  for (const std::string_view rules :
       {"allow anyone to tcp udp bind ping resolve any:0-65535",
        "allow anyone to tcp udp bind ping resolve 0.0.0.0/0, [::/0]",
        "allow anyone to tcp udp bind ping resolve any, reserved",
        "allow anyone to tcp udp bind ping resolve any, private",
        "allow anyone to tcp udp bind ping resolve any, 64:ff9b::/96, 2002::/16, 2001::/23, [::/96], 64:ff9b:1::/48",
        "allow anyone to tcp udp bind ping resolve *.example, any"}) {
    policies.push_back(compiled(rules));
  }
  const Asker asker;
  int closed = 0;
  for (const Policy& policy : policies) {
    for (const Row& row : rows()) {
      for (const Address& sample : row.samples) {
        for (const Command command : commands) {
          if (allowed(policy, asker, command, sample)) continue;
          ++closed;
          for (const Address& form : forms_of(sample)) expect_never(policy, asker, command, form);
        }
      }
    }
  }
  EXPECT_GT(closed, 5'000);
}

TEST(Encodings, NoneEscapesADenyOfItsPrefixOrClass) {
  const Asker asker;
  for (const Row& row : rows()) {
    const std::string prefix = row.prefix.to_string();
    const Policy by_prefix = compiled("deny anyone to " + prefix + "\n" + std::string(every_class));
    for (const Address& sample : row.samples) {
      const Policy by_class = compiled("deny anyone to " + std::string(name(classify(sample, asker.own))) + "\n" +
                                       std::string(every_class));
      for (const Command command : commands) {
        for (const Address& form : forms_of(sample)) {
          expect_never(by_prefix, asker, command, form);
          expect_never(by_class, asker, command, form);
        }
      }
    }
  }
}

// The registries' addresses are not public: `any` opens none of them.
TEST(Encodings, AnyOpensNoSpecialPurposeAddress) {
  const Policy any = compiled("allow anyone to tcp udp bind ping resolve any:0-65535");
  const Asker asker;
  for (std::size_t i = 0; i < registry.size(); ++i) {
    for (const Address& sample : rows()[i].samples) {
      for (const Command command : commands) {
        for (const Address& form : forms_of(sample)) expect_never(any, asker, command, form);
      }
    }
  }
}

struct Name {
  std::string_view canonical;
  std::vector<std::string_view> spellings;
};

// Table 4.2, the rows that are accepted as names.
const std::vector<Name>& accepted_names() {
  static const std::vector<Name> made = {
      {"example.com", {"EXAMPLE.Com", "example.com.", "eXaMpLe.CoM."}},                         // H1
      {"localhost", {"LOCALHOST.", "LocalHost"}},                                               // H8
      {"foo.localhost", {"FOO.localhost."}},                                                    // H8
      {"intranet", {"INTRANET", "intranet."}},                                                  // H9
      {"_dmarc.example.com", {"_DMARC.example.com"}},                                           // H10
      {"foo_bar.example.com", {"Foo_Bar.Example.Com."}},                                        // H10
      {"r3---sn-abc.example", {"R3---SN-ABC.example."}},                                        // H11
      {"xn--bcher-kva.example", {"XN--BCHER-KVA.example", "Xn--Bcher-Kva.EXAMPLE."}},           // H13
      {"xn--zz--.example", {"XN--zz--.example."}},                                              // H14
      {"1.example", {"1.EXAMPLE."}},                                                            // H23
      {"metadata.google.internal", {"Metadata.Google.Internal.", "METADATA.GOOGLE.INTERNAL"}},  // H39
      {"127.0.0.1.nip.io", {"127.0.0.1.NIP.IO."}},                                              // H39
      {"abc.onion", {"ABC.ONION."}},                                                            // H41
  };
  return made;
}

TEST(Encodings, SpellingsOfANameAreOneNameInRulesAndInQuestions) {
  const Asker asker;
  const Address somewhere = address("93.184.216.34");
  for (const Name& one : accepted_names()) {
    std::vector<std::string> all(one.spellings.begin(), one.spellings.end());
    all.emplace_back(one.canonical);
    for (const std::string& written : all) {
      const std::string quoted = '"' + written + '"';
      const Policy exact =
          compiled("deny anyone to " + quoted + "\nallow anyone to tcp udp bind ping resolve any:0-65535");
      const Policy below =
          compiled("deny anyone to *." + written + "\nallow anyone to tcp udp bind ping resolve any:0-65535");
      const Policy only = compiled("allow anyone to tcp udp bind ping resolve " + quoted + ":0-65535");
      for (const std::string& asked : all) {
        for (const Command command : commands) {
          const auto decision = [&](const Policy& policy, const std::string& host) {
            return asker.verdict(policy, command, target(host, 443), somewhere).decision;
          };
          EXPECT_EQ(decision(exact, asked), Decision::deny) << written << " " << asked;
          EXPECT_EQ(decision(below, "www." + asked), Decision::deny) << written << " " << asked;
          EXPECT_EQ(decision(below, asked), Decision::allow) << written << " " << asked;
          EXPECT_EQ(decision(only, asked), Decision::allow) << written << " " << asked;
          EXPECT_EQ(asker.verdict(exact, command, target(asked, 443)).decision, Decision::deny) << "before DNS";
        }
      }
    }
  }
}

// Table 4.2, the rows that are refused: such a target never comes before a policy.
TEST(Encodings, WhatIsNoHostIsNoTarget) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"example.com.."sv,
                                      ".example.com"sv,
                                      "a..b"sv,
                                      "."sv,
                                      ""sv,
                                      "-oProxyCommand.example"sv,
                                      "b\xc3\xbc"
                                      "cher.example"sv,
                                      "example\xe3\x80\x82"
                                      "com"sv,
                                      "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1"sv,
                                      "\xe2\x80\xae"
                                      "evil.example"sv,
                                      "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1"sv,
                                      "127.0.0.1."sv,
                                      "127.1"sv,
                                      "1.2.3"sv,
                                      "0"sv,
                                      "2130706433"sv,
                                      "0x7f.1"sv,
                                      "0X7F000001"sv,
                                      "0x"sv,
                                      "0177.0.0.1"sv,
                                      "0177.1"sv,
                                      "127.0.0.01"sv,
                                      "169.254.43518"sv,
                                      "256.1.1.1"sv,
                                      "1.2.3.4.5"sv,
                                      "example.1"sv,
                                      "a.0x1f"sv,
                                      "fe80::1%eth0"sv,
                                      "[127.0.0.1]"sv,
                                      "[::1]:80"sv,
                                      "[[::1]]"sv,
                                      "1::2::3"sv,
                                      ":::"sv,
                                      "12345::"sv,
                                      "example.com:80"sv,
                                      "127.0.0.1:80"sv,
                                      "user@example.com"sv,
                                      "*.example.com"sv,
                                      "http://example.com"sv,
                                      "10.0.0.0/8"sv,
                                      "exa mple.com"sv,
                                      " example.com"sv,
                                      "example.com\r\nHost"sv,
                                      "example.com\0.evil.example"sv,
                                      "ex%61mple.com"sv,
                                      "a%00b.com"sv,
                                      "a\x1b[31m.com"sv,
                                      "a\\b.example"sv}) {
    EXPECT_FALSE(canonical_host(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace stile::policy
