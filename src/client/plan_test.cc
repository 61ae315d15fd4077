// What a client goes by, from its settings and from the environment. What is wrong with settings: libstile_test.py.
#include "client/plan.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <map>

namespace stile::client {
namespace {

using namespace std::chrono_literals;

std::expected<std::shared_ptr<const Plan>, Failure> planned(stile_settings settings,
                                                            std::map<std::string, std::string> variables = {}) {
  settings.size = sizeof settings;
  return Plan::create(settings, [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

std::string first_of(const std::expected<std::shared_ptr<const Plan>, Failure>& plan) {
  return plan ? (*plan)->hops().front()->url.to_string() : plan.error().text;
}

TEST(Plan, TheFirstVariableThatIsSetAndNotEmptyCounts) {
  EXPECT_EQ(planned({}).error().code, STILE_ERROR_NO_PROXY);
  std::map<std::string, std::string> variables{{"SOCKS_PROXY", "socks5h://d"}};
  EXPECT_EQ(first_of(planned({}, variables)), "socks5h://d:1080");
  variables["ALL_PROXY"] = "socks5h://c";
  EXPECT_EQ(first_of(planned({}, variables)), "socks5h://c:1080");
  variables["all_proxy"] = "";
  EXPECT_EQ(first_of(planned({}, variables)), "socks5h://c:1080");
  variables["all_proxy"] = "socks5h://b";
  EXPECT_EQ(first_of(planned({}, variables)), "socks5h://b:1080");
  variables["STILE_VIA"] = "socks5h://a";
  EXPECT_EQ(first_of(planned({}, variables)), "socks5h://a:1080");
  stile_settings given{};
  given.urls = "socks5h://x";
  EXPECT_EQ(first_of(planned(given, variables)), "socks5h://x:1080");
}

TEST(Plan, NoProxyIsTheEnvironmentsWhereTheProxiesAre) {
  const Target local{.host = Address::v4(10, 0, 0, 1), .port = 80};
  const std::map<std::string, std::string> variables{{"ALL_PROXY", "socks5h://p"}, {"NO_PROXY", "10.0.0.0/8"}};
  EXPECT_TRUE((*planned({}, variables))->no_proxy().covers(local));
  stile_settings given{};
  given.urls = "socks5h://p";
  EXPECT_FALSE((*planned(given, variables))->no_proxy().covers(local));
  given.no_proxy = "10.0.0.1";
  EXPECT_TRUE((*planned(given))->no_proxy().covers(local));
  given.urls = nullptr;
  given.no_proxy = "";
  EXPECT_FALSE((*planned(given, variables))->no_proxy().covers(local)) << "what the settings say beats it";
}

TEST(Plan, AChainAndItsNames) {
  stile_settings given{};
  given.urls = " socks5h://127.0.0.1\tsocks4a://second.example:9 ";
  const auto plan = planned(given);
  ASSERT_EQ((*plan)->hops().size(), 2U);
  EXPECT_EQ((*plan)->hops()[1]->url.to_string(), "socks4a://second.example:9");
  EXPECT_FALSE((*plan)->needs_names()) << "the first one is asked for the second";
  for (const char* const urls :
       {"socks5://127.0.0.1", "socks5h://proxy.example", "socks5h://127.0.0.1 socks4://127.0.0.2"}) {
    given.urls = urls;
    EXPECT_TRUE((*planned(given))->needs_names()) << urls;
  }
}

TEST(Plan, TimesAndFlags) {
  stile_settings given{};
  given.urls = "socks5h://alice:secret@p";
  EXPECT_EQ((*planned(given))->timeout(), 60s);
  EXPECT_FALSE((*planned(given))->any_relay());
  EXPECT_FALSE((*planned(given))->hops()[0]->clear_password_allowed);
  given.timeout = 250;
  given.flags = STILE_CLEAR_PASSWORD | STILE_ANY_RELAY;
  EXPECT_EQ((*planned(given))->timeout(), 250ms);
  EXPECT_TRUE((*planned(given))->any_relay());
  EXPECT_TRUE((*planned(given))->hops()[0]->clear_password_allowed);
  given.timeout = -1;
  EXPECT_FALSE((*planned(given))->timeout());
}

TEST(Plan, StructsOfALibraryBeforeThisOneAreTaken) {
  stile_settings given{};
  given.urls = "socks5h://p";
  given.size = offsetof(stile_settings, no_proxy);
  const auto nothing = [](const char*) { return std::optional<std::string>(); };
  EXPECT_TRUE(Plan::create(given, nothing));
  given.size = sizeof given + 8;
  EXPECT_EQ(Plan::create(given, nothing).error().code, STILE_ERROR_SETTINGS);
  given.size = 0;
  EXPECT_EQ(Plan::create(given, nothing).error().code, STILE_ERROR_SETTINGS);
}

}  // namespace
}  // namespace stile::client
