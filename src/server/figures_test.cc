#include "server/figures.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using route::MemberState;
using route::ServerFigures;

ServerFigures one(const std::string& upstream, const std::string& server, MemberState state = MemberState::up,
                  std::uint64_t successes = 0, std::uint64_t failures = 0) {
  ServerFigures figures{.upstream = upstream, .server = server, .figures = {}, .down = {}, .last_failure = {}};
  figures.figures.state = state;
  figures.figures.successes = successes;
  figures.figures.failures = failures;
  figures.figures.attempts = successes + failures;
  return figures;
}

std::uint64_t workers(const UpstreamServer& server, ServerState state) {
  return server.states[static_cast<std::size_t>(state)];
}

TEST(Figures, OfAServerAreSumsAndEachWorkersView) {
  ServerFigures first = one("exit", "a", MemberState::up, 10, 1);
  first.figures.sessions = 3;
  first.figures.latency = 5ms;
  first.last_failure = ServerFigures::Failure{.reason = Reason::dial_timeout, .why = "slow", .ago = 60s};
  ServerFigures second = one("exit", "a", MemberState::down, 2, 4);
  second.figures.sessions = 4;
  second.figures.falls = 2;
  second.figures.latency = 9ms;
  second.down = 7s;
  second.last_failure = ServerFigures::Failure{.reason = Reason::dial_refused, .why = "gone", .ago = 2s};
  const UpstreamReport report = report_upstreams(3, {{first}, {second}});
  EXPECT_EQ(report.workers, 3U);
  EXPECT_EQ(report.answered, 2U);
  ASSERT_EQ(report.servers.size(), 1U);
  const UpstreamServer& sum = report.servers[0];
  EXPECT_EQ(workers(sum, ServerState::up), 1U);
  EXPECT_EQ(workers(sum, ServerState::down), 1U);
  EXPECT_EQ(sum.sessions, 7U);
  EXPECT_EQ(sum.attempts, 17U);
  EXPECT_EQ(sum.opened, 12U);
  EXPECT_EQ(sum.failed, 5U);
  EXPECT_EQ(sum.falls, 2U);
  EXPECT_EQ(sum.latency_least, Duration(5ms));
  EXPECT_EQ(sum.latency_most, Duration(9ms));
  EXPECT_EQ(sum.down, Duration(7s));
  ASSERT_TRUE(sum.last_failure.has_value());
  EXPECT_EQ(sum.last_failure->reason, "dial.refused") << "the newest one";
  EXPECT_EQ(sum.last_failure->why, "gone");
  EXPECT_EQ(sum.last_failure->ago, Duration(2s));
}

TEST(Figures, WhoseServerWasNeverHeardOfSaysSo) {
  const UpstreamServer server = report_upstreams(4, {{one("exit", "a")},
                                                     {one("exit", "a", MemberState::up, 0, 1)},
                                                     {one("exit", "a", MemberState::slow_start, 1)},
                                                     {one("exit", "a", MemberState::half_open, 0, 3)}})
                                    .servers.at(0);
  for (const ServerState state :
       {ServerState::untried, ServerState::up, ServerState::slow_start, ServerState::half_open}) {
    EXPECT_EQ(workers(server, state), 1U) << server_state_words[static_cast<std::size_t>(state)];
  }
}

TEST(Figures, InTheMiddleOfAReloadEachServerIsListedOnce) {
  const UpstreamReport report = report_upstreams(3, {{one("a", "1"), one("a", "2"), one("b", "1")},
                                                     {one("a", "2"), one("b", "1"), one("c", "1")},
                                                     {one("b", "1"), one("a", "1")}});
  std::string text;
  for (const UpstreamServer& server : report.servers) {
    text += server.upstream + server.server + ":" + std::to_string(workers(server, ServerState::untried)) + " ";
  }
  EXPECT_EQ(text, "a1:2 a2:2 b1:3 c1:1 ");
  EXPECT_TRUE(report_upstreams(2, {}).servers.empty());
}

TEST(Figures, CountersAreNamedAndReasonsListedThatThereWere) {
  observe::Totals totals;
  totals.values[0] = 5;
  totals.ended[static_cast<std::size_t>(Reason::dial_refused)] = 2;
  totals.udp_drops[0] = 1;
  const CounterReport report = report_counters(2, totals, {});
  EXPECT_EQ(report.answered, 0U);
  ASSERT_EQ(report.counters.size(), observe::counter_table.size());
  EXPECT_EQ(report.counters[0], (NamedCount{"accepted", 5}));
  EXPECT_EQ(report.counters[1].count, 0U);
  EXPECT_EQ(report.ended, (std::vector<NamedCount>{{"dial.refused", 2}}));
  EXPECT_EQ(report.udp_drops, (std::vector<NamedCount>{{std::string(token(UdpDrop{})), 1}}));
}

TEST(Figures, OfAResolverAddUpOverWorkers) {
  const resolve::NameService::Figures inside{.suffixes = {std::get<HostName>(canonical_host("corp.example").value())},
                                             .servers = {Endpoint::parse("192.0.2.53:53").value()},
                                             .counted = {.questions = 4, .failures = 2, .silences = 1}};
  const resolve::NameService::Figures rest{.suffixes = {}, .servers = {}, .counted = {.questions = 10}};
  const CounterReport report = report_counters(2, {}, {{inside, rest}, {rest, inside}});
  EXPECT_EQ(
      report.resolvers,
      (std::vector<ResolverCounts>{
          {.suffixes = {"corp.example"}, .servers = {"192.0.2.53:53"}, .questions = 8, .failures = 4, .silences = 2},
          {.suffixes = {}, .servers = {}, .questions = 20, .failures = 0, .silences = 0}}));
}

}  // namespace
}  // namespace stile::server
