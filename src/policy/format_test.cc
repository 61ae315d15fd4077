#include "policy/format.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "policy/tokens.h"

namespace stile::policy {
namespace {

std::string rules(std::string_view text) {
  const auto formatted = format_rules(text);
  return formatted ? *formatted : "fault: " + formatted.error().front().message;
}

std::string expectations(std::string_view text) {
  const auto formatted = format_expectations(text);
  return formatted ? *formatted : "fault: " + formatted.error().front().message;
}

TEST(Format, RulesLineUp) {
  EXPECT_EQ(rules("no-mail: deny anyone to tcp any:25\n"
                  "web:   allow   group:staff to public:80 , 443\n"
                  " db: allow alice,bob from 192.168.1.0/24 to db.corp.example:5432   rate 10MB/s sessions 20\n"
                  "allow group:ops to 10.20.0.0/16,b.example:1-2, https when mon,tue-fri 08:00-18:00"),
            "no-mail: deny  anyone to tcp any:25\n"
            "web:     allow group:staff to public:80,443\n"
            "db:      allow alice, bob from 192.168.1.0/24 to db.corp.example:5432 rate 10MB/s sessions 20\n"
            "         allow group:ops to 10.20.0.0/16, b.example:1-2,https when mon,tue-fri 08:00-18:00\n");
  EXPECT_EQ(rules("deny a to any\nallow b to any"), "deny  a to any\nallow b to any\n");
}

TEST(Format, APortIsOneBehindATargetThatHasSome) {
  EXPECT_EQ(rules("allow a to b.example, https"), "allow a to b.example, https\n");
  EXPECT_EQ(rules("allow a to b.example:80, https, c.example, https"),
            "allow a to b.example:80,https, c.example, https\n");
  EXPECT_EQ(rules("allow a to list:x:80, 443, list:y , ssh"), "allow a to list:x:80,443, list:y, ssh\n");
}

TEST(Format, CommentsAndParagraphsStay) {
  EXPECT_EQ(
      rules(
          "\n\n  # first   \na: deny x to any# why\n\n\n\t# second\nlong-name: allow \"a # b\" to any   #  c  \r\n\n"),
      "# first\n"
      "a: deny x to any  # why\n"
      "\n"
      "# second\n"
      "long-name: allow \"a # b\" to any  #  c\n");
  EXPECT_EQ(rules(" \n\t\n"), "");
}

TEST(Format, FaultyRulesKeepTheirWords) {
  EXPECT_EQ(rules("x: frobnicate  a ,b\nallow\nallow a to any:80,"), "x: frobnicate a, b\nallow\nallow a to any:80,\n");
  EXPECT_EQ(rules("allow a to any\nallow \"a to any\n"), "fault: a quote does not end");
}

TEST(Format, ExpectationsLineUp) {
  EXPECT_EQ(expectations("alice may   connect www.example.com:443 ,80\n"
                         "alice from 192.168.1.9  may connect db.corp.example:5432 resolving to 10.1.2.3\n"
                         "anyone,bob may not  udp  169.254.169.254:80 at mon 08:00 # never"),
            "alice       may     connect www.example.com:443,80\n"
            "alice from 192.168.1.9 may connect db.corp.example:5432 resolving to 10.1.2.3\n"
            "anyone, bob may not udp     169.254.169.254:80 at mon 08:00  # never\n");
  EXPECT_EQ(expectations("alice\nmay connect\nbob may not"), "alice\nmay connect\nbob may not\n");
}

// ── property ────────────────────────────────────────────────────────────────────────────────────────────────────────

// All words and comments, line by line, blank lines left out.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size()));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto tokenized = tokenize(line, 1);
    if (!tokenized) return {"fault"};
    for (const Token& token : tokenized->tokens) words.emplace_back(token.text);
    if (line.find('#') != std::string_view::npos) words.push_back("#");
    if (!tokenized->tokens.empty()) words.push_back("\n");
  }
  return words;
}

std::string random_text(std::mt19937& random) {
  constexpr const char* pieces[] = {
      "allow",    "deny", "anyone", "a",   "b:",  "to",      "from",        "tcp",      "any",  "any:80", "443",
      "https",    ",",    ",",      " ",   "  ",  " ",       " ",           "\t",       "\n",   "\n\n",   "# c",
      "\"q, #\"", "when", "mon",    "may", "not", "connect", "x.example:1", "list:x:2", "\r\n", "rate",   "10MB/s"};
  std::string text;
  for (auto count = random() % 60; count > 0; --count) {
    text += pieces[random() % std::size(pieces)];
    if (random() % 2 == 0) text += ' ';
  }
  return text;
}

TEST(FormatProperty, WordsStayAndASecondTimeChangesNothing) {
  std::mt19937 random(11);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(random);
    for (const auto format : {format_rules, format_expectations}) {
      const auto once = format(text);
      if (!once) {
        EXPECT_EQ(words_of(text), (std::vector<std::string>{"fault"}));
        continue;
      }
      EXPECT_EQ(words_of(*once), words_of(text)) << text;
      EXPECT_EQ(format(*once).value(), *once) << text;
    }
  }
}

}  // namespace
}  // namespace stile::policy
