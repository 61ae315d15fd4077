#include "config/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "base/duration.h"

namespace stile::config {
namespace {

// With one element of every table that repeats.
Config with_tables() {
  Config config;
  config.listeners.resize(1);
  config.proxy_protocol_to.resize(1);
  config.resolvers.resize(1);
  config.dns.resize(1);
  config.upstreams.resize(1);
  return config;
}

TEST(Keys, AreUniqueAndOfAKnownTable) {
  std::set<std::string> paths;
  for (const Key& key : keys()) {
    EXPECT_TRUE(paths.insert(path(key)).second) << path(key);
    EXPECT_TRUE(std::ranges::any_of(tables(), [&](const Table& table) { return table.name == key.table; }));
    EXPECT_FALSE(key.help.empty());
    EXPECT_EQ(find_key(key.table, key.name), &key);
  }
}

TEST(Keys, DefaultsAreThoseOfTheValueItself) {
  const Config config;
  for (const Key& key : keys()) EXPECT_EQ(value_text(key, config), key.default_text) << path(key);
}

TEST(Keys, DefaultsAreTextThatIsRead) {
  for (const Key& key : keys()) {
    if (key.default_text.empty()) continue;
    Config config = with_tables();
    if (is_list(key.type)) {
      EXPECT_TRUE(store_list(key, value_list(key, config), config)) << path(key);
    } else {
      EXPECT_TRUE(store_text(key, key.default_text, config)) << path(key);
    }
    EXPECT_EQ(value_text(key, config), key.default_text);
  }
}

/// Its keys depend on each other.
std::string whole_upstream(const Key& key) {
  std::string text = "[[upstream]]\n";
  if (key.name == "keytab" || key.name == "principal") {
    text += "name = \"office\"\nservers = \"socks5h+gssapi://proxy.example\"\n";
    return text + std::string(key.name) + " = " + std::string(key.example) + "\n";
  }
  for (const std::string_view name : {"name", "servers", "password_file", "certificate", "key"}) {
    const Key* const other = find_key("upstream", name);
    text += std::string(name) + " = " + std::string(other->example) + "\n";
    if (other == &key) return whole_upstream(*find_key("upstream", "pick"));
  }
  return text + std::string(key.name) + " = " + std::string(key.example) + "\n";
}

/// Likewise.
std::string whole_gateway(const Key& key) {
  std::string text = "[gateway]\n" + std::string(key.name) + " = " + std::string(key.example) + "\n";
  if (key.name != "lan") text += "lan = 'eth1'\n";
  return text + "[policy]\nrules = 'allow anyone to any'\n";
}

TEST(Keys, ExamplesParse) {
  for (const Key& key : keys()) {
    std::string text;
    for (const Table& table : tables()) {
      if (table.name == key.table) text = std::string(table.header) + "\n";
    }
    const Table* const table = find_table(key.table);
    if (key.type == KeyType::mode || key.type == KeyType::account)
      text += "address = 'unix:/a'\n";
    else if (!table->required.empty() && key.name != table->required) {
      text += std::string(table->required) + " = " + std::string(find_key(key.table, table->required)->example) + "\n";
    }
    text += std::string(key.name) + " = " + std::string(key.example) + "\n";
    if (key.table == "upstream") text = whole_upstream(key);
    if (key.table == "gateway") text = whole_gateway(key);
    const auto config = parse(text, "", [](const std::string& file) { return NamedFile{file, "a.example"}; });
    EXPECT_TRUE(config) << text << (config ? "" : config.error().front().message);
  }
}

TEST(Keys, BoundsHoldAtBothEnds) {
  for (const Key& key : keys()) {
    Config config = with_tables();
    if (key.type == KeyType::number) {
      EXPECT_TRUE(store_number(key, key.least, config));
      EXPECT_TRUE(store_number(key, key.most, config));
      EXPECT_FALSE(store_number(key, std::int64_t{key.least} - 1, config));
      EXPECT_FALSE(store_number(key, std::int64_t{key.most} + 1, config));
    } else if (!std::holds_alternative<std::nullptr_t>(key.duration)) {
      EXPECT_TRUE(store_text(key, to_text(key.shortest), config)) << path(key);
      EXPECT_TRUE(store_text(key, to_text(key.longest), config)) << path(key);
      EXPECT_FALSE(store_text(key, to_text(key.longest + std::chrono::microseconds{1}), config)) << path(key);
      if (key.shortest > Duration::zero()) {
        EXPECT_FALSE(store_text(key, to_text(key.shortest - std::chrono::microseconds{1}), config)) << path(key);
      }
      EXPECT_EQ(store_text(key, "off", config).has_value(), key.type == KeyType::optional_duration);
    }
  }
}

TEST(Keys, ConfigurationReferenceIsCurrent) {
  std::ifstream file("docs/configuration.md");
  const std::string committed{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(committed == reference_markdown())
      << "docs/configuration.md is not what the key table says; make it again:\n"
         "  build/release/stile config-reference > docs/configuration.md";
}

}  // namespace
}  // namespace stile::config
