// The documents' rules compile, are laid out as `stile fmt` lays them out, and do what the expectations behind them
// say.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "policy/expect.h"
#include "policy/format.h"
#include "policy/policy_test_support.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

struct Block {
  std::string kind;  // the word behind the fence
  std::string text;
  int line = 0;
};

std::vector<Block> blocks_of(const std::string& path) {
  std::vector<Block> blocks;
  std::ifstream file(path);
  std::string line;
  bool inside = false;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({.kind = line.substr(3), .text = "", .line = number});
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

std::string first_fault(const std::vector<RuleError>& errors, const Block& block) {
  return std::to_string(block.line + errors.front().line) + ": " + errors.front().message;
}

// How many blocks of rules there were, each with expectations behind it.
int check_document(const std::string& path) {
  Lists lists;
  std::optional<Policy> policy;
  int checked = 0;
  for (const Block& block : blocks_of(path)) {
    if (block.kind.starts_with("list ")) {
      auto list = TargetList::parse(block.text);
      if (!list) ADD_FAILURE() << path << ":" << first_fault(list.error(), block);
      if (list) lists[block.kind.substr(5)] = std::make_shared<const TargetList>(std::move(*list));
    } else if (block.kind == "rules") {
      EXPECT_FALSE(policy) << path << ":" << block.line << ": the rules before are without expectations";
      auto compiled = Policy::compile(block.text, lists);
      if (!compiled) ADD_FAILURE() << path << ":" << first_fault(compiled.error(), block);
      if (compiled) policy.emplace(std::move(*compiled));
      EXPECT_EQ(format_rules(block.text).value(), block.text) << path << ":" << block.line;
    } else if (block.kind == "expect") {
      const auto expectations = parse_expectations(block.text);
      if (!expectations) ADD_FAILURE() << path << ":" << first_fault(expectations.error(), block);
      if (!expectations || !policy) continue;
      const auto none = [](const std::string&) { return std::nullopt; };
      const auto failed = failures(*policy, *expectations, {}, none, block.line);
      if (!failed.empty()) ADD_FAILURE() << path << ":" << first_fault(failed, block);
      EXPECT_EQ(format_expectations(block.text).value(), block.text) << path << ":" << block.line;
      policy.reset();
      ++checked;
    }
  }
  EXPECT_FALSE(policy) << path << ": the last rules are without expectations";
  return checked;
}

TEST(Documents, TheExamplesOfThePolicyPageHold) {
  EXPECT_EQ(check_document("docs/policy.md"), 10);
}

TEST(Documents, TheTranslationsFromDanteHold) {
  EXPECT_GE(check_document("docs/coming-from-dante.md"), 8);
}

}  // namespace
}  // namespace stile::policy
