#include "resolve/split_backend.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;
using engine::SimEngine;
using engine::Status;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

Address address(const std::string& text) {
  return Address::parse(text).value();
}

struct Client {
  explicit Client(SimEngine& loop) : engine(loop) { lookup.bind<&Client::on_resolved>(this); }
  void on_resolved(Status) {
    ++completions;
    when = engine.now();
  }
  [[nodiscard]] std::string first() const {
    const auto& addresses = lookup.answer().addresses;
    return addresses.empty() ? "" : addresses.front().to_string();
  }
  [[nodiscard]] Reason reason() const { return lookup.answer().reason; }

  SimEngine& engine;
  Lookup lookup;
  int completions = 0;
  Instant when{};
};

class SplitBackendTest : public testing::Test {
 protected:
  using Table = std::shared_ptr<TableResolver>;

  SplitBackendTest() { closed_.bind<&SplitBackendTest::on_closed>(this); }

  void make(std::vector<SplitBackend::Part> parts) {
    split_ = std::make_unique<SplitBackend>(engine_, std::move(parts));
    caching_ = std::make_unique<CachingResolver>(engine_, *split_,
                                                 CachingResolver::Options{.in_flight_max = 3,
                                                                          .counters = {.hits = &hits_,
                                                                                       .negative_hits = &negative_hits_,
                                                                                       .misses = &misses_,
                                                                                       .entries = &entries_,
                                                                                       .evicted = &evicted_,
                                                                                       .joined = &joined_,
                                                                                       .busy = &busy_}});
  }

  void TearDown() override {
    caching_->close(closed_);
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_TRUE(is_closed_);
    EXPECT_EQ(engine_.pending_timers(), 0U);
  }
  void on_closed(Status) { is_closed_ = true; }

  Table table() { return std::make_shared<TableResolver>(engine_); }

  static void add(const Table& table, const std::string& name, const std::string& text, Duration delay = {}) {
    table->add(host(name),
               {.ipv4 = TableResolver::half({address(text)}, 60s, delay), .ipv6 = TableResolver::half({}, 60s, delay)});
  }
  static void add_silent(const Table& table, const std::string& name) {
    TableResolver::Half silent = TableResolver::half({}, 60s);
    silent.delay.reset();
    table->add(host(name), {.ipv4 = silent, .ipv6 = silent});
  }

  std::string ask(const std::string& name) {
    Client client(engine_);
    caching_->resolve(client.lookup, host(name));
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(client.completions, 1);
    return client.first();
  }

  void change(std::vector<SplitBackend::Part> parts) {
    const SplitBackend::Routes before = split_->routes();
    split_->set(std::move(parts));
    caching_->forget([&](const Host& subject) { return &before.find(subject) != &split_->routes().find(subject); });
  }

  SimEngine engine_{1};
  std::unique_ptr<SplitBackend> split_;
  std::unique_ptr<CachingResolver> caching_;
  engine::Operation closed_;
  bool is_closed_ = false;
  Counter hits_, negative_hits_, misses_, entries_, evicted_, joined_, busy_;
};

TEST_F(SplitBackendTest, ANameGoesToTheLongestSuffix) {
  const Table outside = table();
  const Table corp = table();
  const Table lab = table();
  for (const auto& [one, text] : {std::pair{outside, "192.0.2.1"}, {corp, "10.0.0.1"}, {lab, "10.9.0.1"}}) {
    for (const char* name :
         {"www.example", "corp.example", "www.corp.example", "notcorp.example", "x.lab.corp.example"}) {
      add(one, name, text);
    }
  }
  make({{{host("corp.example")}, corp}, {{}, outside}, {{host("lab.corp.example"), host("lab.example")}, lab}});
  EXPECT_EQ(ask("www.example"), "192.0.2.1");
  EXPECT_EQ(ask("notcorp.example"), "192.0.2.1");
  EXPECT_EQ(ask("corp.example"), "10.0.0.1");
  EXPECT_EQ(ask("www.corp.example"), "10.0.0.1");
  EXPECT_EQ(ask("x.lab.corp.example"), "10.9.0.1");
  EXPECT_EQ(outside->questions() + corp->questions() + lab->questions(), 5U) << "each name was asked of one";
}

TEST_F(SplitBackendTest, AddressesGoByTheirNames) {
  const Table outside = table();
  const Table corp = table();
  const auto name = [](const std::string& text) {
    return TableResolver::NameRow{.answer = {.reason = Reason::none, .name = host(text), .ttl = 60s}};
  };
  corp->set(address("10.1.2.3"), name("a.corp.example"));
  corp->set(address("11.1.2.3"), name("wrong.example"));
  outside->set(address("10.1.2.3"), name("wrong.example"));
  outside->set(address("11.1.2.3"), name("b.example"));
  make({{{host("10.in-addr.arpa")}, corp}, {{}, outside}});
  for (const auto& [text, expected] : {std::pair{"10.1.2.3", "a.corp.example"}, {"11.1.2.3", "b.example"}}) {
    Client client(engine_);
    caching_->reverse(client.lookup, address(text));
    EXPECT_TRUE(engine_.run_until_idle());
    EXPECT_EQ(client.lookup.answer().name, host(expected));
  }
}

TEST_F(SplitBackendTest, LocalIsAskedOnlyWhereItIsNamed) {
  const Table outside = table();
  const Table office = table();
  for (const char* name : {"printer.local", "x.onion", "x.alt", "x.invalid"}) {
    add(outside, name, "192.0.2.1");
    add(office, name, "10.0.0.1");
  }
  make({{{}, outside}});
  EXPECT_EQ(ask("printer.local"), "");
  // A backend that claims more than the configuration lets it.
  change({{{}, outside}, {{host("local"), host("onion"), host("alt"), host("invalid"), host("localhost")}, office}});
  EXPECT_EQ(ask("printer.local"), "10.0.0.1");
  for (const char* name : {"x.onion", "x.alt", "x.invalid"}) EXPECT_EQ(ask(name), "") << name;
  EXPECT_EQ(ask("x.localhost"), "127.0.0.1");
  EXPECT_EQ(office->questions(), 1U);
  EXPECT_EQ(outside->questions(), 0U);
}

TEST_F(SplitBackendTest, OverridesWinOverEverythingButLocalhost) {
  const Table outside = table();
  add(outside, "intra.corp.example", "192.0.2.1");
  make({{{}, outside}});
  EXPECT_EQ(ask("intra.corp.example"), "192.0.2.1");
  const auto overrides = std::make_shared<HostsTable>();
  overrides->add(address("10.1.2.3"), host("intra.corp.example"));
  overrides->add(address("10.1.2.4"), host("printer.local"));
  overrides->add(address("10.1.2.5"), host("localhost"));
  caching_->set_overrides(overrides);
  EXPECT_EQ(ask("intra.corp.example"), "10.1.2.3") << "though the cache knows another";
  EXPECT_EQ(ask("printer.local"), "10.1.2.4");
  EXPECT_EQ(ask("localhost"), "127.0.0.1");
  Client client(engine_);
  caching_->reverse(client.lookup, address("10.1.2.3"));
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client.lookup.answer().name, host("intra.corp.example"));
  caching_->set_overrides(nullptr);
  EXPECT_EQ(ask("intra.corp.example"), "192.0.2.1");
  EXPECT_EQ(outside->questions(), 1U);
}

TEST_F(SplitBackendTest, ADeadPartHoldsUpNoOther) {  // threat TD3
  const Table outside = table();
  const Table dead = table();
  add(outside, "www.example", "192.0.2.1");
  std::vector<std::unique_ptr<Client>> waiting;
  make({{{host("corp.example")}, dead}, {{}, outside}});
  for (int i = 0; i < 5; ++i) {
    const std::string name = "n" + std::to_string(i) + ".corp.example";
    add_silent(dead, name);
    waiting.push_back(std::make_unique<Client>(engine_));
    caching_->resolve(waiting.back()->lookup, host(name));
  }
  Client client(engine_);
  const Instant asked = engine_.now();
  caching_->resolve(client.lookup, host("www.example"));
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(client.first(), "192.0.2.1");
  EXPECT_EQ(client.when, asked);
  for (const auto& one : waiting) EXPECT_EQ(one->reason(), Reason::dns_failed);
  EXPECT_EQ(waiting[2]->when, asked + limits::dns_total);
  EXPECT_EQ(waiting[4]->when, asked) << "beyond the bound: at once";
  EXPECT_EQ(busy_.value(), 2U);
}

TEST_F(SplitBackendTest, AChangeDropsWhatOthersAreAskedFor) {
  const Table outside = table();
  const Table before = table();
  const Table after = table();
  add(outside, "www.example", "192.0.2.1");
  add(outside, "www.corp.example", "192.0.2.2");
  add(before, "www.corp.example", "10.0.0.1");
  add(after, "www.corp.example", "10.0.0.2");
  make({{{host("corp.example")}, before}, {{}, outside}});
  EXPECT_EQ(ask("www.corp.example"), "10.0.0.1");
  EXPECT_EQ(ask("www.example"), "192.0.2.1");
  EXPECT_EQ(entries_.value(), 2U);
  change({{{host("corp.example")}, after}, {{}, outside}});
  EXPECT_EQ(entries_.value(), 1U);
  EXPECT_EQ(ask("www.corp.example"), "10.0.0.2");
  EXPECT_EQ(ask("www.example"), "192.0.2.1");
  EXPECT_EQ(outside->questions(), 1U) << "its names are still known";
  change({{{host("other.example")}, after}, {{}, outside}});
  EXPECT_EQ(ask("www.corp.example"), "192.0.2.2");
}

TEST_F(SplitBackendTest, AnOpenQuestionIsAskedAnewAfterAChange) {
  const Table outside = table();
  const Table before = table();
  const Table after = table();
  // One family is in, and waits for the other, as the change comes.
  before->add(host("a.corp.example"),
              {.ipv4 = TableResolver::half({address("10.0.0.1")}, 60s, 1s), .ipv6 = TableResolver::half({}, 60s, 9s)});
  add_silent(before, "b.corp.example");
  add(outside, "c.example", "192.0.2.1", 2s);
  add(after, "a.corp.example", "10.0.0.2", 3s);
  add(after, "b.corp.example", "10.0.0.3", 3s);
  make({{{host("corp.example")}, before}, {{}, outside}});
  Client a(engine_), b(engine_), c(engine_), cancelled(engine_);
  caching_->resolve(a.lookup, host("a.corp.example"));
  caching_->resolve(b.lookup, host("b.corp.example"));
  caching_->resolve(c.lookup, host("c.example"));
  caching_->resolve(cancelled.lookup, host("b.corp.example"));
  EXPECT_EQ(joined_.value(), 1U);
  const Instant start = engine_.now();
  engine_.run_for(1s + 10ms);
  EXPECT_EQ(a.completions, 0);
  change({{{host("corp.example")}, after}, {{}, outside}});
  caching_->cancel(cancelled.lookup);
  EXPECT_TRUE(engine_.run_until_idle());
  EXPECT_EQ(a.first(), "10.0.0.2");
  EXPECT_EQ(b.first(), "10.0.0.3");
  EXPECT_EQ(c.first(), "192.0.2.1");
  EXPECT_EQ(b.when, start + 4s + 10ms);
  EXPECT_EQ(c.when, start + 2s);
  EXPECT_TRUE(cancelled.lookup.canceled());
  EXPECT_EQ(outside->questions(), 1U);
  EXPECT_EQ(ask("a.corp.example"), "10.0.0.2");
}

TEST_F(SplitBackendTest, Figures) {
  const Table outside = table();
  add(outside, "a.example", "192.0.2.1");
  make({{{}, outside}});
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_EQ(ask("nobody.example"), "");
  EXPECT_EQ(ask("nobody.example"), "");
  EXPECT_EQ(ask("nobody.example"), "");
  EXPECT_EQ(ask("localhost"), "127.0.0.1");
  EXPECT_EQ(misses_.value(), 2U);
  EXPECT_EQ(hits_.value(), 1U);
  EXPECT_EQ(negative_hits_.value(), 2U);
  EXPECT_EQ(entries_.value(), 2U);
  EXPECT_EQ(evicted_.value(), 0U);
  engine_.run_for(10min);
  EXPECT_EQ(ask("a.example"), "192.0.2.1");
  EXPECT_EQ(misses_.value(), 3U) << "what is over is no hit";
}

TEST_F(SplitBackendTest, EvictionsAreCounted) {
  const Table outside = table();
  split_ = std::make_unique<SplitBackend>(engine_, std::vector<SplitBackend::Part>{{{}, outside}});
  caching_ = std::make_unique<CachingResolver>(
      engine_, *split_,
      CachingResolver::Options{.answers_max = 2, .counters = {.entries = &entries_, .evicted = &evicted_}});
  for (const char* name : {"a.example", "b.example", "c.example", "d.example"}) EXPECT_EQ(ask(name), "");
  EXPECT_EQ(entries_.value(), 2U);
  EXPECT_EQ(evicted_.value(), 2U);
}

}  // namespace
}  // namespace stile::resolve
