// [policy] lists and expect.
#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace stile::config {
namespace {

// One folder of files.
std::expected<NamedFile, std::string> read_file(const std::string& path) {
  if (path == "good.txt") return NamedFile{"/etc/stile/good.txt", "a.example\n10.0.0.0/8\n"};
  if (path == "bad.txt") return NamedFile{"/etc/stile/bad.txt", "a.example\n\n10.0.0.1/8\n"};
  return std::unexpected("no such file");
}

std::string faults(std::string_view text) {
  const auto config = parse(text, "stile.toml", read_file);
  if (config) return "accepted";
  std::string list;
  for (const ConfigError& e : config.error()) {
    list += e.file + ":" + std::to_string(e.line) + ":" + std::to_string(e.column) + ": " + e.message + "\n";
  }
  return list;
}

Config accepted(std::string_view text) {
  auto config = parse(text, "stile.toml", read_file);
  EXPECT_TRUE(config) << faults(text);
  return config ? std::move(*config) : Config{};
}

TEST(PolicyLists, RulesNameThem) {
  const Config config =
      accepted("[policy]\nrules = 'deny anyone to list:a, list:b'\nlists = { a = 'good.txt', b = 'good.txt' }");
  EXPECT_EQ(config.policy->rules().size(), 1U);
  EXPECT_EQ(config.policy_lists.at("a"), "good.txt");
  std::string lists;
  for (const EffectiveValue& value : effective(config)) {
    if (value.key.starts_with("policy.lists")) lists += value.key + "=" + value.value + " <" + value.origin + ">\n";
  }
  EXPECT_EQ(lists, "policy.lists.a=good.txt <stile.toml:3>\npolicy.lists.b=good.txt <stile.toml:3>\n");
  accepted("[policy]\nrules = 'deny anyone to list:a'\n[policy.lists]\na = 'good.txt'\n");
}

TEST(PolicyLists, FaultsAreLocatedInTheirFile) {
  EXPECT_EQ(
      faults("[policy]\nrules = 'deny anyone to list:a'\nlists = { a = 'bad.txt' }"),
      "/etc/stile/bad.txt:3:1: '10.0.0.1/8' has bits set beyond its prefix length (did you mean '10.0.0.0/8'?)\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to list:a'\nlists = { a = 'none.txt' }"),
            ":3:15: policy.lists: cannot read 'none.txt': no such file\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to list:other'\nlists = { a = 'good.txt' }"),
            ":2:25: no list is named 'other' ([policy] lists names them)\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to any'\nlists = { \"a:b\" = 'good.txt', c = 5 }"),
            ":3:11: policy.lists: the name 'a:b' may hold only letters, digits, '-', '_' and '.'\n"
            ":3:35: policy.lists: expected a file for 'c', not a whole number\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to any'\nlists = 'good.txt'"),
            ":3:9: policy.lists: expected names and files such as { blocked = \"blocked.txt\" }, not a string\n");
  EXPECT_FALSE(parse("[policy]\nrules = 'deny anyone to any'\nlists = { a = 'good.txt' }"));
}

TEST(PolicyExpect, FaultsAreLocated) {
  EXPECT_EQ(faults("[policy]\nexpect = '''\nalice may connect a.example:80\nalice my\n'''\nrules = '''\ndeny\n'''\n"),
            ":4:7: expected ',', 'from' or 'may', found 'my' (did you mean 'may'?)\n"
            ":7:5: expected a client\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to any'\nexpect = \"bob may\\nalice my\""),
            ":3:10: expect line 1, column 8: expected a command\n"
            ":3:10: expect line 2, column 7: expected ',', 'from' or 'may', found 'my' (did you mean 'may'?)\n");
  EXPECT_EQ(faults("[policy]\nrules = 'deny anyone to any'\nexpect = ['x']"),
            ":3:10: policy.expect: expected a string between ''', not an array\n");
}

TEST(PolicyExpect, FailuresNameTheirLineAndTheRules) {
  const auto no_groups = [](const std::string&) { return std::nullopt; };
  const Config config = accepted(
      "[[listen]]\naddress = '127.0.0.1:1080'\n[policy]\nrules = '''\n\nno: deny anyone to any:25\nallow anyone to "
      "loopback, public\n'''\nexpect = '''\nanyone may not connect a.example:25\nanyone may connect "
      "a.example:25\nanyone "
      "may not connect 127.0.0.1:1080\nanyone may connect 127.0.0.1:1081\n'''\n");
  EXPECT_EQ(config.expectations.size(), 4U);
  const auto failed = failed_expectations(config, no_groups);
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].line, 11);
  EXPECT_EQ(failed[0].message, "expected 'anyone may connect a.example:25', but 'no' (line 6) denies it");
  EXPECT_TRUE(failed_expectations(zero_configuration(), no_groups).empty());
}

}  // namespace
}  // namespace stile::config
