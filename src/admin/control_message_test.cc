#include "admin/control_message.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::admin {
namespace {

TEST(ControlMessage, ARequestIsReadBack) {
  for (const Request request : {Request::reload, Request::upstreams, Request::counters}) {
    EXPECT_EQ(parse_request(to_line(request)), request);
  }
}

TEST(ControlMessage, WhatIsNoRequestIsNone) {
  for (const std::string line :
       {"", "reload", "[]", "{}", R"({"request":1})", R"({"request":"stop"})", "{\"request\":"}) {
    EXPECT_FALSE(parse_request(line)) << line;
  }
}

TEST(ControlMessage, ASuccessIsReadBack) {
  const Answer<server::Reloaded> answer =
      server::Reloaded{.generation = 7, .ended = 3, .kept = 9000, .notes = {"'workers' …"}};
  const auto read = parse_answer<server::Reloaded>(to_line(answer));
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->generation, 7U);
  EXPECT_EQ((*read)->ended, 3U);
  EXPECT_EQ((*read)->kept, 9000U);
  EXPECT_EQ((*read)->notes, std::vector<std::string>{"'workers' …"});
}

TEST(ControlMessage, ARefusalIsReadBackAndStaysOneLine) {
  const Answer<server::Reloaded> answer = std::unexpected(
      server::Refusal{.bad_configuration = true, .messages = {"a.toml:1:2: \"x\"\nforged\xff", "second"}});
  const std::string line = to_line(answer);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto read = parse_answer<server::Reloaded>(line);
  ASSERT_TRUE(read && !*read);
  EXPECT_TRUE(read->error().bad_configuration);
  EXPECT_EQ(read->error().messages.size(), 2U);
}

TEST(ControlMessage, WhatIsNoAnswerIsNone) {
  for (const std::string line : {"", "{}", R"({"done":1})", "[true]", "nonsense"}) {
    EXPECT_FALSE(parse_answer<server::Reloaded>(line)) << line;
  }
  const auto bare = parse_answer<server::Reloaded>(R"({"done":false,"messages":[1,2]})");
  ASSERT_TRUE(bare && !*bare);
  EXPECT_EQ(bare->error().messages, std::vector<std::string>{"the server does not say why"});
}

// What is said is read back: of a whole report, said again, the same line comes out.
template <class Done>
void expect_same_again(const Done& done) {
  const std::string line = to_line(Answer<Done>(done));
  const auto read = parse_answer<Done>(line);
  ASSERT_TRUE(read && *read);
  EXPECT_EQ(to_line(*read), line);
}

TEST(ControlMessage, UpstreamsAreReadBack) {
  using namespace std::chrono_literals;
  server::UpstreamReport report{.workers = 4, .answered = 3, .servers = {}};
  report.servers.push_back({.upstream = "exit",
                            .server = "socks5h://192.0.2.1:1080",
                            .states = {1, 0, 0, 0, 2},
                            .sessions = 1,
                            .attempts = 22,
                            .opened = 12,
                            .failed = 9,
                            .falls = 2,
                            .latency_least = 1500us,
                            .latency_most = 2ms,
                            .down = 7s,
                            .last_failure = server::UpstreamServer::Failure{"dial.refused", "nobody\nlistens", 3s}});
  server::UpstreamServer& second = report.servers.emplace_back();
  second.upstream = "exit";
  second.server = "socks5h://192.0.2.2:1080";
  second.states = {0, 0, 3, 0, 0};
  EXPECT_EQ(to_line(Answer<server::UpstreamReport>(report)),
            R"({"done":true,"workers":4,"answered":3,"servers":[)"
            R"({"upstream":"exit","server":"socks5h://192.0.2.1:1080","states":{"up":1,"down":2},)"
            R"("sessions":1,"attempts":22,"opened":12,"failed":9,"falls":2,)"
            R"("latency_least_us":1500,"latency_most_us":2000,"down_seconds":7,)"
            R"("last_failure":{"reason":"dial.refused","why":"nobody\nlistens","seconds_ago":3}},)"
            R"({"upstream":"exit","server":"socks5h://192.0.2.2:1080","states":{"untried":3},)"
            R"("sessions":0,"attempts":0,"opened":0,"failed":0,"falls":0}]})");
  expect_same_again(report);
  const auto read = parse_answer<server::UpstreamReport>(to_line(Answer<server::UpstreamReport>(report)));
  const server::UpstreamServer& first = (*read)->servers.at(0);
  EXPECT_EQ(first.states, report.servers[0].states);
  EXPECT_EQ(first.latency_least, Duration(1500us));
  EXPECT_EQ(first.down, Duration(7s));
  EXPECT_EQ(first.last_failure->why, "nobody\nlistens");
}

TEST(ControlMessage, CountersAreReadBack) {
  const server::CounterReport report{.workers = 2,
                                     .answered = 2,
                                     .counters = {{"accepted", 7}, {"denied", 0}},
                                     .ended = {{"dial.refused", 2}},
                                     .udp_drops = {},
                                     .resolvers = {{{"corp.example"}, {"192.0.2.53:53"}, 4, 2, 1}, {{}, {}, 9, 0, 0}}};
  EXPECT_EQ(to_line(Answer<server::CounterReport>(report)),
            R"({"done":true,"workers":2,"answered":2,"counters":{"accepted":7,"denied":0},"ended":{"dial.refused":2},)"
            R"("udp_drops":{},"resolvers":[)"
            R"({"suffixes":["corp.example"],"servers":["192.0.2.53:53"],"questions":4,"failures":2,"silences":1},)"
            R"({"suffixes":[],"servers":[],"questions":9,"failures":0,"silences":0}]})");
  expect_same_again(report);
  const auto read = parse_answer<server::CounterReport>(to_line(Answer<server::CounterReport>(report)));
  EXPECT_EQ((*read)->counters, report.counters);
  EXPECT_EQ((*read)->resolvers, report.resolvers);
}

TEST(ControlMessage, WhatAReportMayNotHoldIsLeftOut) {
  const auto upstreams = parse_answer<server::UpstreamReport>(
      R"({"done":true,"workers":-1,"answered":"2","servers":[1,{"upstream":7,"states":[],"sessions":1.5,)"
      R"("down_seconds":18446744073709551615,"latency_least_us":null,"last_failure":"none"},null]})");
  ASSERT_TRUE(upstreams && *upstreams);
  EXPECT_EQ((*upstreams)->workers, 0U);
  ASSERT_EQ((*upstreams)->servers.size(), 1U);
  EXPECT_EQ((*upstreams)->servers[0].sessions, 0U);
  EXPECT_GT((*upstreams)->servers[0].down, Duration::zero()) << "bounded, and not gone over";
  EXPECT_FALSE((*upstreams)->servers[0].last_failure);
  const auto counters = parse_answer<server::CounterReport>(
      R"({"done":true,"counters":{"a":1,"b":-1,"c":"x"},"ended":[],"resolvers":[[],{"suffixes":[1,"s"]}]})");
  ASSERT_TRUE(counters && *counters);
  EXPECT_EQ((*counters)->counters, (std::vector<server::NamedCount>{{"a", 1}}));
  EXPECT_EQ((*counters)->resolvers.at(0).suffixes, std::vector<std::string>{"s"});
  const auto refused = parse_answer<server::CounterReport>(R"({"done":false,"messages":["no"]})");
  ASSERT_TRUE(refused && !*refused);
}

}  // namespace
}  // namespace stile::admin
