#include "resolve/caching_resolver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "resolve/table_resolver.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;
using engine::SimEngine;
using engine::Status;
using Texts = std::vector<std::string>;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

Address address(const std::string& text) {
  return Address::parse(text).value();
}

/// A lookup and what became of it.
class Client {
 public:
  explicit Client(SimEngine& engine) : engine_(engine) { lookup_.bind<&Client::on_resolved>(this); }

  void resolve(Resolver& resolver, const std::string& name) {
    completions = 0;
    resolver.resolve(lookup_, host(name));
    EXPECT_EQ(completions, 0) << "completed inline";
    EXPECT_TRUE(lookup_.pending());
  }
  void reverse(Resolver& resolver, const std::string& text) {
    completions = 0;
    resolver.reverse(lookup_, address(text));
    EXPECT_EQ(completions, 0) << "completed inline";
    EXPECT_TRUE(lookup_.pending());
  }
  [[nodiscard]] Lookup& lookup() { return lookup_; }
  [[nodiscard]] Texts addresses() const {
    Texts texts;
    for (const Address& one : lookup_.answer().addresses) texts.push_back(one.to_string());
    return texts;
  }
  /// The name found; empty for none.
  [[nodiscard]] std::string name() const {
    const auto& name = lookup_.answer().name;
    return name ? name->text() : "";
  }
  [[nodiscard]] Reason reason() const { return lookup_.answer().reason; }

  int completions = 0;
  Instant when{};

 private:
  void on_resolved(Status) {
    ++completions;
    when = engine_.now();
    EXPECT_FALSE(lookup_.pending());
  }

  SimEngine& engine_;
  Lookup lookup_;
};

class CachingResolverTest : public testing::Test {
 protected:
  CachingResolverTest() { make({}); }
  ~CachingResolverTest() override {
    resolver_.reset();
    EXPECT_EQ(engine_.pending_timers(), 0U);
  }

  void make(CachingResolver::Options options) {
    resolver_ = std::make_unique<CachingResolver>(engine_, table_, std::move(options));
  }

  void add(const std::string& name, const Texts& v4, const Texts& v6, std::chrono::seconds ttl, Duration v4_delay = {},
           Duration v6_delay = {}) {
    std::vector<Address> fours;
    std::vector<Address> sixes;
    for (const auto& text : v4) fours.push_back(address(text));
    for (const auto& text : v6) sixes.push_back(address(text));
    table_.add(host(name), {.ipv4 = TableResolver::half(std::move(fours), ttl, v4_delay),
                            .ipv6 = TableResolver::half(std::move(sixes), ttl, v6_delay)});
  }

  /// Asks and runs until nothing is under way.
  Texts ask(const std::string& name) {
    client_.resolve(*resolver_, name);
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(client_.completions, 1);
    return client_.addresses();
  }

  /// The same for the name of an address.
  std::string ask_name(const std::string& text) {
    client_.reverse(*resolver_, text);
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(client_.completions, 1);
    return client_.name();
  }

  void add_name(const std::string& text, const std::string& name, std::chrono::seconds ttl, Duration delay = {}) {
    table_.set(address(text), {.answer = {.reason = Reason::none, .name = host(name), .ttl = ttl}, .delay = delay});
  }

  SimEngine engine_{1};
  TableResolver table_{engine_};
  std::unique_ptr<CachingResolver> resolver_;
  Client client_{engine_};
};

TEST_F(CachingResolverTest, SpecialNamesAreNotAsked) {  // security reference, section 4.3
  EXPECT_EQ(ask("localhost"), (Texts{"127.0.0.1", "::1"}));
  EXPECT_EQ(ask("a.b.localhost"), (Texts{"127.0.0.1", "::1"}));
  for (const char* name : {"invalid", "x.invalid", "facebookcorewwwi.onion", "printer.local", "x.alt", "onion"}) {
    EXPECT_EQ(ask(name), Texts{}) << name;
    EXPECT_EQ(client_.reason(), Reason::dns_reserved) << name;
  }
  EXPECT_EQ(table_.questions(), 0U);
  (void)ask("notlocalhost");
  (void)ask("localhost.example");
  (void)ask("x.notlocal");
  EXPECT_EQ(table_.questions(), 3U);
}

TEST_F(CachingResolverTest, AsksOnceAndRemembers) {
  add("a.example", {"192.0.2.1", "192.0.2.2"}, {"2001:db8::1"}, 60s);
  const Texts expected{"2001:db8::1", "192.0.2.1", "192.0.2.2"};
  EXPECT_EQ(ask("a.example"), expected);
  EXPECT_EQ(ask("A.Example."), expected);
  EXPECT_EQ(client_.reason(), Reason::none);
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(59s));
  (void)ask("a.example");
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(2s));
  (void)ask("a.example");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, OrderFollowsTheHostsRoutes) {
  table_.set_prefers_ipv6(false);
  add("a.example", {"192.0.2.1", "192.0.2.2"}, {"2001:db8::1"}, 60s);
  EXPECT_EQ(ask("a.example"), (Texts{"192.0.2.1", "2001:db8::1", "192.0.2.2"}));
}

TEST_F(CachingResolverTest, DenialsAreRememberedForTheirTime) {
  add("none.example", {}, {}, 30s);
  EXPECT_EQ(ask("none.example"), Texts{});
  EXPECT_EQ(client_.reason(), Reason::dns_not_found);
  EXPECT_TRUE(engine_.run_for(29s));
  (void)ask("none.example");
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(2s));
  (void)ask("none.example");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, FailuresAreRememberedForASecond) {  // RFC 9520 section 3.2
  TableResolver::Half failed;
  failed.answer = {.reason = Reason::dns_failed, .addresses = {}, .ttl = 0s};
  table_.add(host("a.example"), {.ipv4 = failed, .ipv6 = failed});
  (void)ask("a.example");
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
  (void)ask("a.example");
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(1001ms));
  (void)ask("a.example");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, ADenialAndAFailureAreAFailure) {
  TableResolver::Half failed;
  failed.answer = {.reason = Reason::dns_failed, .addresses = {}, .ttl = 0s};
  table_.add(host("a.example"), {.ipv4 = TableResolver::half({}, 60s), .ipv6 = failed});
  (void)ask("a.example");
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
}

TEST_F(CachingResolverTest, OneFamilyIsEnough) {
  TableResolver::Half failed;
  failed.answer = {.reason = Reason::dns_failed, .addresses = {}, .ttl = 0s};
  table_.add(host("a.example"), {.ipv4 = TableResolver::half({address("192.0.2.1")}, 60s), .ipv6 = failed});
  EXPECT_EQ(ask("a.example"), Texts{"192.0.2.1"});
  EXPECT_EQ(client_.reason(), Reason::none);
}

TEST_F(CachingResolverTest, ZeroTtlServesThoseWhoWait) {
  add("a.example", {"192.0.2.1"}, {}, 0s, 5ms, 5ms);
  Client other(engine_);
  client_.resolve(*resolver_, "a.example");
  other.resolve(*resolver_, "a.example");
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client_.addresses(), Texts{"192.0.2.1"});
  EXPECT_EQ(other.addresses(), Texts{"192.0.2.1"});
  EXPECT_TRUE(engine_.run_for(1001ms));
  (void)ask("a.example");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, AlternatingAnswersAreAskedAnew) {
  add("a.example", {"192.0.2.1"}, {}, 0s);
  add("a.example", {"127.0.0.1"}, {}, 0s);
  EXPECT_EQ(ask("a.example"), Texts{"192.0.2.1"});
  EXPECT_TRUE(engine_.run_for(2s));
  EXPECT_EQ(ask("a.example"), Texts{"127.0.0.1"});
}

TEST_F(CachingResolverTest, EqualQuestionsAreJoined) {
  add("a.example", {"192.0.2.1"}, {"2001:db8::1"}, 60s, 20ms, 20ms);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>(engine_));
    clients.back()->resolve(*resolver_, "a.example");
    EXPECT_TRUE(engine_.run_for(100us));
  }
  EXPECT_EQ(resolver_->questions_in_flight(), 1U);
  EXPECT_TRUE(engine_.run_until_idle());
  for (const auto& client : clients) {
    EXPECT_EQ(client->completions, 1);
    EXPECT_EQ(client->addresses(), (Texts{"2001:db8::1", "192.0.2.1"}));
  }
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_EQ(resolver_->questions_in_flight(), 0U);
}

TEST_F(CachingResolverTest, TheSecondFamilyIsWaitedForShortly) {  // RFC 8305 section 3
  for (const bool slow_is_v6 : {true, false}) {
    const std::string name = slow_is_v6 ? "six.example" : "four.example";
    add(name, {"192.0.2.1"}, {"2001:db8::1"}, 60s, slow_is_v6 ? 10ms : 500ms, slow_is_v6 ? 500ms : 10ms);
    const Instant start = engine_.now();
    client_.resolve(*resolver_, name);
    EXPECT_TRUE(engine_.run_for(400ms));
    ASSERT_EQ(client_.completions, 1);
    EXPECT_EQ(client_.when - start, 60ms);
    EXPECT_EQ(client_.addresses(), Texts{slow_is_v6 ? "192.0.2.1" : "2001:db8::1"});
    // Who asks meanwhile has the same at once.
    client_.resolve(*resolver_, name);
    EXPECT_TRUE(engine_.run_for(1ms));
    EXPECT_EQ(client_.completions, 1);
    EXPECT_TRUE(engine_.run_until_idle());
    // The late family went into the cache.
    EXPECT_EQ(ask(name), (Texts{"2001:db8::1", "192.0.2.1"}));
  }
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, ASecondFamilyInTimeIsUsed) {
  add("a.example", {"192.0.2.1"}, {"2001:db8::1"}, 60s, 10ms, 55ms);
  const Instant start = engine_.now();
  EXPECT_EQ(ask("a.example"), (Texts{"2001:db8::1", "192.0.2.1"}));
  EXPECT_EQ(client_.when - start, 55ms);
}

TEST_F(CachingResolverTest, ADenialOfOneFamilyWaitsForTheOther) {
  add("a.example", {"192.0.2.1"}, {}, 60s, 3s, 10ms);
  const Instant start = engine_.now();
  EXPECT_EQ(ask("a.example"), Texts{"192.0.2.1"});
  EXPECT_EQ(client_.when - start, 3s);
}

TEST_F(CachingResolverTest, SilenceEndsAtTheLimit) {
  const TableResolver::Half silent{.answer = {}, .delay = std::nullopt};
  table_.add(host("silent.example"), {.ipv4 = silent, .ipv6 = silent});
  table_.add(host("half.example"), {.ipv4 = TableResolver::half({address("192.0.2.1")}, 60s), .ipv6 = silent});
  table_.add(host("none.example"), {.ipv4 = TableResolver::half({}, 60s), .ipv6 = silent});
  const Instant start = engine_.now();
  EXPECT_EQ(ask("silent.example"), Texts{});
  EXPECT_EQ(client_.when - start, 10s);
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
  EXPECT_EQ(ask("none.example"), Texts{});
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
  const Instant second_start = engine_.now();
  EXPECT_EQ(ask("half.example"), Texts{"192.0.2.1"});
  EXPECT_EQ(client_.when - second_start, 50ms);
  EXPECT_EQ(engine_.now() - second_start, 10s);
  EXPECT_EQ(ask("half.example"), Texts{"192.0.2.1"});
  EXPECT_EQ(table_.questions(), 3U);
}

TEST_F(CachingResolverTest, CancelDisturbsNobodyElse) {
  add("a.example", {"192.0.2.1"}, {}, 60s, 20ms, 20ms);
  Client others[3] = {Client(engine_), Client(engine_), Client(engine_)};
  for (Client& other : others) other.resolve(*resolver_, "a.example");
  resolver_->cancel(others[1].lookup());
  resolver_->cancel(others[1].lookup());
  EXPECT_EQ(others[1].completions, 0) << "completed inline";
  EXPECT_TRUE(engine_.run_until_idle());
  for (Client& other : others) EXPECT_EQ(other.completions, 1);
  EXPECT_TRUE(others[1].lookup().canceled());
  EXPECT_EQ(others[1].addresses(), Texts{});
  EXPECT_FALSE(others[0].lookup().canceled());
  EXPECT_EQ(others[0].addresses(), Texts{"192.0.2.1"});
  EXPECT_EQ(others[2].addresses(), Texts{"192.0.2.1"});
}

TEST_F(CachingResolverTest, CancelOfAnAnswerOnItsWayCompletesOnce) {
  client_.resolve(*resolver_, "localhost");
  resolver_->cancel(client_.lookup());
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client_.completions, 1);
  EXPECT_TRUE(client_.lookup().canceled());
  EXPECT_EQ(client_.addresses(), Texts{});
  resolver_->cancel(client_.lookup());
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client_.completions, 1);
  EXPECT_EQ(ask("localhost"), (Texts{"127.0.0.1", "::1"}));
  EXPECT_FALSE(client_.lookup().canceled());
}

TEST_F(CachingResolverTest, AnAbandonedQuestionStillFillsTheCache) {
  add("a.example", {"192.0.2.1"}, {}, 60s, 20ms, 20ms);
  client_.resolve(*resolver_, "a.example");
  resolver_->cancel(client_.lookup());
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(ask("a.example"), Texts{"192.0.2.1"});
  EXPECT_EQ(table_.questions(), 1U);
}

TEST_F(CachingResolverTest, QuestionsInFlightAreBounded) {
  const TableResolver::Half silent{.answer = {}, .delay = std::nullopt};
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < limits::dns_in_flight_max; ++i) {
    const std::string name = "n" + std::to_string(i) + ".example";
    table_.add(host(name), {.ipv4 = silent, .ipv6 = silent});
    clients.push_back(std::make_unique<Client>(engine_));
    clients.back()->resolve(*resolver_, name);
  }
  add("a.example", {"192.0.2.1"}, {}, 60s);
  client_.resolve(*resolver_, "a.example");
  EXPECT_TRUE(engine_.run_for(1ms));
  EXPECT_EQ(client_.completions, 1);
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
  Client joining(engine_);  // joins, which costs no question
  joining.resolve(*resolver_, "n5.example");
  EXPECT_TRUE(engine_.run_for(1ms));
  EXPECT_EQ(joining.completions, 0);
  EXPECT_TRUE(engine_.run_until_idle());
  for (const auto& client : clients) EXPECT_EQ(client->reason(), Reason::dns_failed);
  EXPECT_EQ(ask("a.example"), Texts{"192.0.2.1"});
}

TEST_F(CachingResolverTest, NamesCachedAreBounded) {
  for (std::size_t i = 0; i < limits::dns_cached_names_max + 5; ++i) {
    (void)ask("n" + std::to_string(i) + ".example");
  }
  EXPECT_EQ(resolver_->answers_cached(), limits::dns_cached_names_max);
}

TEST_F(CachingResolverTest, TheHostsFileComesFirst) {
  const std::string path = testing::TempDir() + "stile-caching-test-" + std::to_string(::getpid());
  std::ofstream(path) << "192.0.2.7 box.example\n2001:db8::7 box.example\n192.0.2.9 localhost printer.local\n";
  make({.hosts_path = path});
  add("box.example", {"198.51.100.1"}, {}, 60s);
  EXPECT_EQ(ask("box.example"), (Texts{"2001:db8::7", "192.0.2.7"}));
  EXPECT_EQ(ask("localhost"), (Texts{"127.0.0.1", "::1"}));
  (void)ask("printer.local");
  EXPECT_EQ(client_.reason(), Reason::dns_reserved);
  EXPECT_EQ(table_.questions(), 0U);
  std::remove(path.c_str());
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_EQ(ask("box.example"), Texts{"198.51.100.1"});
  EXPECT_EQ(resolver_->hosts_error(), std::nullopt);
}

TEST_F(CachingResolverTest, AddressesHaveNames) {
  add_name("192.0.2.1", "a.example", 60s);
  add_name("2001:db8::1", "six.example", 60s);
  EXPECT_EQ(ask_name("192.0.2.1"), "a.example");
  EXPECT_EQ(client_.reason(), Reason::none);
  EXPECT_EQ(client_.addresses(), Texts{});
  EXPECT_EQ(ask_name("::ffff:192.0.2.1"), "a.example");
  EXPECT_EQ(ask_name("2001:db8::1"), "six.example");
  EXPECT_EQ(table_.questions(), 2U);
  EXPECT_TRUE(engine_.run_for(61s));
  EXPECT_EQ(ask_name("192.0.2.1"), "a.example");
  EXPECT_EQ(table_.questions(), 3U);
  // A client that asks for the addresses of the reverse name asks something else.
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa"), Texts{});
  EXPECT_EQ(client_.reason(), Reason::dns_not_found);
}

TEST_F(CachingResolverTest, AddressesWithoutNamesAreRememberedToo) {
  EXPECT_EQ(ask_name("192.0.2.9"), "");
  EXPECT_EQ(client_.reason(), Reason::dns_not_found);
  (void)ask_name("192.0.2.9");
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(1001ms));  // without a time of its own, limits::dns_ttl_min
  (void)ask_name("192.0.2.9");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, NameTimesAreClamped) {
  add_name("192.0.2.1", "a.example", 86'400s);
  (void)ask_name("192.0.2.1");
  EXPECT_TRUE(engine_.run_for(299s));
  (void)ask_name("192.0.2.1");
  EXPECT_EQ(table_.questions(), 1U);
  EXPECT_TRUE(engine_.run_for(2s));
  (void)ask_name("192.0.2.1");
  EXPECT_EQ(table_.questions(), 2U);
}

TEST_F(CachingResolverTest, EqualReverseQuestionsAreJoinedAndBounded) {
  make({.in_flight_max = 1});
  add_name("192.0.2.1", "a.example", 60s, 20ms);
  Client others[3] = {Client(engine_), Client(engine_), Client(engine_)};
  for (Client& other : others) other.reverse(*resolver_, "192.0.2.1");
  client_.reverse(*resolver_, "192.0.2.2");
  resolver_->cancel(others[1].lookup());
  EXPECT_EQ(resolver_->questions_in_flight(), 1U);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
  EXPECT_EQ(others[0].name(), "a.example");
  EXPECT_TRUE(others[1].lookup().canceled());
  EXPECT_EQ(others[1].name(), "");
  EXPECT_EQ(others[2].name(), "a.example");
  EXPECT_EQ(table_.questions(), 1U);
}

TEST_F(CachingResolverTest, NamesAndAddressesShareTheCachesBound) {
  make({.answers_max = 3});
  add("a.example", {"192.0.2.1"}, {}, 60s);
  (void)ask("a.example");
  for (const char* text : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) (void)ask_name(text);
  EXPECT_EQ(resolver_->answers_cached(), 3U);
}

TEST_F(CachingResolverTest, ASilentReverseQuestionEndsAtTheLimit) {
  table_.set(address("192.0.2.1"), {.answer = {}, .delay = std::nullopt});
  const Instant start = engine_.now();
  EXPECT_EQ(ask_name("192.0.2.1"), "");
  EXPECT_EQ(client_.when - start, 10s);
  EXPECT_EQ(client_.reason(), Reason::dns_failed);
}

TEST_F(CachingResolverTest, TheHostsFileNamesAddresses) {
  const std::string path = testing::TempDir() + "stile-caching-test-" + std::to_string(::getpid());
  std::ofstream(path) << "127.0.0.1 localhost\n192.0.2.7 box.example box\n";
  make({.hosts_path = path});
  add_name("192.0.2.7", "elsewhere.example", 60s);
  EXPECT_EQ(ask_name("192.0.2.7"), "box.example");
  EXPECT_EQ(ask_name("127.0.0.1"), "localhost");
  EXPECT_EQ(table_.questions(), 0U);
  std::remove(path.c_str());
}

struct Closing {
  void on_closed(Status) { ++completions; }
  int completions = 0;
  engine::Operation closed;
};

TEST_F(CachingResolverTest, CloseEndsEverything) {
  const TableResolver::Half silent{.answer = {}, .delay = std::nullopt};
  table_.add(host("silent.example"), {.ipv4 = silent, .ipv6 = silent});
  add("slow.example", {"192.0.2.1"}, {"2001:db8::1"}, 60s, 5ms, 9s);
  Client others[3] = {Client(engine_), Client(engine_), Client(engine_)};
  others[0].resolve(*resolver_, "silent.example");
  others[1].resolve(*resolver_, "silent.example");
  others[2].resolve(*resolver_, "slow.example");
  table_.set(address("192.0.2.1"), {.answer = {}, .delay = std::nullopt});
  Client reversing(engine_);
  reversing.reverse(*resolver_, "192.0.2.1");
  EXPECT_TRUE(engine_.run_for(1s));
  EXPECT_EQ(others[2].completions, 1);
  Closing closing;
  closing.closed.bind<&Closing::on_closed>(&closing);
  const Instant start = engine_.now();
  resolver_->close(closing.closed);
  client_.resolve(*resolver_, "localhost");
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(engine_.now(), start);
  EXPECT_EQ(closing.completions, 1);
  EXPECT_EQ(client_.completions, 1);
  EXPECT_TRUE(client_.lookup().canceled());
  EXPECT_TRUE(others[0].lookup().canceled());
  EXPECT_EQ(others[1].completions, 1);
  EXPECT_TRUE(reversing.lookup().canceled());
  EXPECT_EQ(resolver_->questions_in_flight(), 0U);
}

TEST_F(CachingResolverTest, CloseOfAQuietResolver) {
  Closing closing;
  closing.closed.bind<&Closing::on_closed>(&closing);
  resolver_->close(closing.closed);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(closing.completions, 1);
}

// Random names, delays, silences and cancellations: each lookup completes once, within the limit, with a reason that
// fits.
TEST(CachingResolverSimulation, EveryLookupCompletesOnce) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SimEngine engine(seed);
    TableResolver table(engine);
    CachingResolver resolver(engine, table, {.hosts_path = "", .answers_max = 4, .in_flight_max = 5});
    const auto below = [&engine](std::uint64_t bound) { return engine.random() % bound; };
    const auto half = [&](const char* text) {
      TableResolver::Half made = TableResolver::half({}, std::chrono::seconds(below(5)));
      if (below(2) == 0) made = TableResolver::half({address(text)}, std::chrono::seconds(below(5)));
      made.delay = std::chrono::milliseconds(below(3) == 0 ? 0 : below(12'000));
      if (below(6) == 0) made.delay.reset();
      return made;
    };
    for (int i = 0; i < 8; ++i) {
      table.add(host("n" + std::to_string(i) + ".example"), {.ipv4 = half("192.0.2.1"), .ipv6 = half("2001:db8::1")});
    }
    std::vector<std::unique_ptr<Client>> clients;
    std::vector<Instant> starts;
    for (int step = 0; step < 60; ++step) {
      clients.push_back(std::make_unique<Client>(engine));
      starts.push_back(engine.now());
      clients.back()->resolve(resolver, "n" + std::to_string(below(8)) + ".example");
      if (below(4) == 0) resolver.cancel(clients[below(clients.size())]->lookup());
      ASSERT_LE(resolver.questions_in_flight(), 5U);
      ASSERT_TRUE(engine.run_for(std::chrono::milliseconds(below(800))));
    }
    Closing closing;
    closing.closed.bind<&Closing::on_closed>(&closing);
    if (below(2) == 0) resolver.close(closing.closed);
    ASSERT_TRUE(engine.run_until_idle());
    for (std::size_t i = 0; i < clients.size(); ++i) {
      ASSERT_EQ(clients[i]->completions, 1) << "seed " << seed << " client " << i;
      ASSERT_LE(clients[i]->when - starts[i], limits::dns_total) << "seed " << seed << " client " << i;
      const bool answered = !clients[i]->lookup().canceled() && clients[i]->reason() == Reason::none;
      ASSERT_EQ(answered, !clients[i]->addresses().empty()) << "seed " << seed << " client " << i;
    }
    ASSERT_EQ(engine.pending_timers(), 0U) << "seed " << seed;
    ASSERT_EQ(resolver.questions_in_flight(), 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace stile::resolve
