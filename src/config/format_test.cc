#include "config/format.h"

#include <gtest/gtest.h>

namespace stile::config {
namespace {

std::string formatted(std::string_view text) {
  const auto result = format(text);
  if (result) return *result;
  const ConfigError& e = result.error().front();
  return "fault " + std::to_string(e.line) + ":" + std::to_string(e.column) + " " + e.message;
}

TEST(ConfigFormat, TouchesThePolicyAlone) {
  constexpr std::string_view head = "# a  comment\nworkers   =  4\n[[listen]]\naddress=\"127.0.0.1:1\"\n";
  EXPECT_EQ(
      formatted(std::string(head) + "[policy]\n  rules = '''\na: deny x to any\nlong:  allow  y to any\n'''   # end\n"
                                    "expect   = '''\nx may   not connect b.example:80'''\n[udp]\n"),
      std::string(head) +
          "[policy]\n  rules = '''\na:    deny  x to any\nlong: allow y to any\n'''   # end\n"
          "expect   = '''\nx may not connect b.example:80\n'''\n[udp]\n");
}

TEST(ConfigFormat, StringsOfAnotherKindStay) {
  for (const std::string_view text :
       {"[policy]\nrules = 'deny   x to any'\n", "[policy]\nrules = \"\"\"\ndeny   x to any\"\"\"\n", "",
        "workers = 1\n", "policy = 5\n", "[policy]\nrules = ['''deny  x''']\n",
        "[policy.rules]\nexpect = '''deny  x'''\n"}) {
    EXPECT_EQ(formatted(text), text);
  }
}

TEST(ConfigFormat, EverySpellingOfTheKeyIsFound) {
  EXPECT_EQ(formatted("policy = { rules = '''deny  x to any''' }"), "policy = { rules = '''\ndeny x to any\n''' }");
  EXPECT_EQ(formatted("policy.\"rules\" = '''\ndeny  x to any'''\n"), "policy.\"rules\" = '''\ndeny x to any\n'''\n");
}

TEST(ConfigFormat, LineEndsAndQuotesStay) {
  EXPECT_EQ(formatted("[policy]\r\nrules = '''\r\ndeny  x to any\r\n'''\r\n"),
            "[policy]\r\nrules = '''\r\ndeny x to any\r\n'''\r\n");
  EXPECT_EQ(formatted("[policy]\nrules = '''deny  x to any # it's ''here'''''\n"),
            "[policy]\nrules = '''\ndeny x to any  # it's ''here''\n'''\n");
}

TEST(ConfigFormat, FaultsAreLocated) {
  EXPECT_EQ(formatted("a = \n").substr(0, 15), "fault 1:5 not T");
  EXPECT_EQ(formatted("[policy]\nrules = '''deny \"x to any'''\n"), "fault 2:17 a quote does not end");
  EXPECT_EQ(formatted("[policy]\nrules = '''\n\ndeny \"x to any'''\n"), "fault 4:6 a quote does not end");
}

}  // namespace
}  // namespace stile::config
