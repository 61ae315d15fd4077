#include "policy/target_list.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "policy/policy_test_support.h"

namespace stile::policy {
namespace {

HostName host_name(std::string_view text) {
  return std::get<HostName>(*canonical_host(text));
}

TargetList parsed(std::string_view text) {
  auto list = TargetList::parse(text);
  STILE_ASSERT(list.has_value());
  return std::move(*list);
}

std::string faults(std::string_view text) {
  const auto list = TargetList::parse(text);
  if (list) return "";
  std::string joined;
  for (const RuleError& error : list.error()) {
    joined += std::to_string(error.line) + ":" + std::to_string(error.column) + " " + error.message + "\n";
  }
  return joined;
}

TEST(TargetList, ReadsNamesWildcardsAddressesAndPrefixes) {
  const TargetList list = parsed(
      "# what this is\n"
      "\n"
      "Ads.Example.  # spelled as people spell\n"
      "  *.tracker.example\t\r\n"
      "192.0.2.1\n"
      "::ffff:192.0.2.2\n"
      "10.0.0.0/8\n"
      "[2001:db8::]\n"
      "2001:db8:1::/48\n"
      "\"public\"");
  EXPECT_EQ(list.entries(), 8U);
  for (const std::string_view name :
       {"ads.example", "ADS.example.", "a.tracker.example", "b.a.tracker.example", "public"}) {
    EXPECT_TRUE(list.names(host_name(name))) << name;
  }
  for (const std::string_view name : {"a.ads.example", "tracker.example", "xtracker.example", "example", "private"}) {
    EXPECT_FALSE(list.names(host_name(name))) << name;
  }
  for (const std::string_view inside : {"192.0.2.1", "192.0.2.2", "10.255.255.255", "2001:db8::", "2001:db8:1:2::3"}) {
    EXPECT_TRUE(list.contains(address(inside))) << inside;
  }
  for (const std::string_view outside : {"192.0.2.3", "11.0.0.0", "2001:db8::1", "2001:db8:2::"}) {
    EXPECT_FALSE(list.contains(address(outside))) << outside;
  }
}

TEST(TargetList, MayBeEmpty) {
  const TargetList list = parsed("# nothing yet\n");
  EXPECT_EQ(list.entries(), 0U);
  EXPECT_FALSE(list.has_names() || list.has_addresses());
  EXPECT_FALSE(list.names(host_name("a.example")));
  EXPECT_FALSE(list.contains(address("192.0.2.1")));
}

TEST(TargetList, TellsWhatItHolds) {
  EXPECT_TRUE(parsed("a.example").has_names());
  EXPECT_FALSE(parsed("a.example").has_addresses());
  EXPECT_TRUE(parsed("::/0").has_addresses());
  EXPECT_FALSE(parsed("::/0").has_names());
}

TEST(TargetList, HoldsANameAndWhatIsBelowItApart) {
  const TargetList both = parsed("a.example\n*.a.example\na.example");
  EXPECT_EQ(both.entries(), 3U);
  EXPECT_TRUE(both.names(host_name("a.example")) && both.names(host_name("b.a.example")));
}

TEST(TargetList, ReportsEveryFaultWithItsPlace) {
  EXPECT_EQ(
      faults("a.example\n"
             "b..example\n"
             "0.0.0.0 ads.example\n"
             "  c.example d.example # two\n"
             ".e.example\n"
             "10.0.0.1/8\n"
             "f.*.example\n"
             "private\n"
             "any\n"
             "lopback\n"
             "g.example:443\n"
             "127.1\n"
             "||h.example^\n"),
      "2:1 'b..example' is not a host name: empty-label\n"
      "3:9 expected one entry a line, found 'ads.example' behind '0.0.0.0' (of a hosts file, keep the names alone)\n"
      "4:13 expected one entry a line, found 'd.example' behind 'c.example'\n"
      "5:1 '.e.example' is not a host name (did you mean '*.e.example'?)\n"
      "6:1 '10.0.0.1/8' has bits set beyond its prefix length (did you mean '10.0.0.0/8'?)\n"
      "7:1 'f.*.example': '*' may only stand as the whole left-most label, as in '*.example.com'\n"
      "8:1 'private' has no place in a list: a rule names it itself (a host of that name must be quoted)\n"
      "9:1 'any' has no place in a list: a rule names it itself (a host of that name must be quoted)\n"
      "10:1 unknown class 'lopback' (did you mean 'loopback'? a host of that name must be quoted)\n"
      "11:1 'g.example:443' is not a host name: bad-colon\n"
      "12:1 '127.1' is not a host name: numeric\n"
      "13:1 '||h.example^' is not a host name: bad-byte 0x7c\n");
}

TEST(TargetList, StopsReportingAtALimit) {
  std::string text;
  for (std::size_t i = 0; i < 2 * limits::list_faults_shown_max; ++i) text += "a..b\n";
  const auto list = TargetList::parse(text);
  ASSERT_FALSE(list.has_value());
  EXPECT_EQ(list.error().size(), limits::list_faults_shown_max);
}

TEST(TargetList, TakesAMillionEntriesAndNotOneMore) {
  std::string text;
  for (std::size_t i = 0; i < limits::list_entries_max; ++i) {
    text += i % 4 == 0 ? "*.d" + std::to_string(i) + ".example\n" : "host-" + std::to_string(i) + ".example\n";
  }
  {
    const TargetList list = parsed(text);
    EXPECT_EQ(list.entries(), limits::list_entries_max);
    EXPECT_LE(list.octets(), limits::list_entries_max * 48);
    EXPECT_TRUE(list.names(host_name("www.d4.example")));
    EXPECT_FALSE(list.names(host_name("www.host-5.example")));
    RecordProperty("octets_per_name", static_cast<int>(list.octets() / limits::list_entries_max));
  }
  text += "one-more.example";
  EXPECT_EQ(faults(text), "1000001:1 more than 1000000 entries\n");
}

TEST(TargetList, RefusesAFileThatIsTooLong) {
  EXPECT_EQ(faults(std::string(limits::list_octets_max + 1, '#')), "1:1 a list may have 64 MiB\n");
}

}  // namespace
}  // namespace stile::policy
