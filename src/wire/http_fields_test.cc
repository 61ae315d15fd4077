// RFC 9110 section 5: names, values and lists.
#include "wire/http_fields.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::wire {
namespace {

using Elements = std::vector<std::string_view>;

TEST(HttpFields, TokenOctetsAreThoseOfTheGrammar) {
  const std::string_view tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (int octet = 0; octet < 256; ++octet) {
    const char c = static_cast<char>(octet);
    EXPECT_EQ(is_token_octet(c), tchar.find(c) != std::string_view::npos) << octet;
  }
  EXPECT_TRUE(is_token("a"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("a b"));
}

TEST(HttpFields, ValuesHoldNoControls) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text = {'a', static_cast<char>(octet)};
    const bool control = (octet < 32 && octet != 9) || octet == 127;
    EXPECT_EQ(is_field_text(text), !control) << octet;
  }
}

TEST(HttpFields, NamesIgnoreAsciiCaseOnly) {
  EXPECT_TRUE(equals_ignoring_case("Content-Length", "cONTENT-lENGTH"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_FALSE(equals_ignoring_case("@", "`")) << "32 apart, but no letters";
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
}

TEST(HttpFields, TrimTakesBlanksOnly) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim("\na\v"), "\na\v");
}

TEST(HttpFields, ListsRunOverAllFieldsOfTheName) {
  const HttpFields fields = {{"X", "a, b"}, {"Y", "z"}, {"x", ""}, {"X", ",c ,"}};
  EXPECT_EQ(count_fields(fields, "x"), 3U);
  EXPECT_EQ(find_field(fields, "y"), &fields[1]);
  EXPECT_EQ(find_field(fields, "w"), nullptr);
  EXPECT_EQ(list_elements(fields, "X"), (Elements{"a", "b", "", "", "c", ""}));
  EXPECT_EQ(list_elements(fields, "w"), Elements{});
  EXPECT_TRUE(list_contains(fields, "x", "C"));
  EXPECT_FALSE(list_contains(fields, "x", "z"));
}

}  // namespace
}  // namespace stile::wire
