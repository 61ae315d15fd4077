#include "cli/server_report.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::cli {
namespace {

using namespace std::chrono_literals;

server::UpstreamServer server_of(const std::string& upstream, const std::string& url,
                                 const std::array<std::uint64_t, 5>& states) {
  server::UpstreamServer one;
  one.upstream = upstream;
  one.server = url;
  one.states = states;
  return one;
}

TEST(ServerReport, EveryServerIsALine) {
  server::UpstreamReport report{.workers = 2, .answered = 2, .servers = {}};
  server::UpstreamServer& first = report.servers.emplace_back(server_of("exit", "socks5h://a:1080", {2, 0, 0, 0, 0}));
  first.sessions = 12;
  first.opened = 40;
  first.latency_least = 1'210us;
  first.latency_most = 1'240us;
  server::UpstreamServer& second = report.servers.emplace_back(server_of("exit", "socks5h://b:1080", {1, 0, 0, 0, 1}));
  second.opened = 2;
  second.failed = 3;
  second.latency_least = 900us;
  second.latency_most = 15ms;
  second.down = 125s;
  second.last_failure = server::UpstreamServer::Failure{"dial.refused", "nobody listens there", 3s};
  report.servers.push_back(server_of("far", "http://c:3128", {0, 0, 2, 0, 0}));
  EXPECT_EQ(upstreams_table(report),
            "upstream  server            state                              sessions  opened  failed    latency  last "
            "failure\n"
            "exit      socks5h://a:1080  up                                       12      40       0     1.2 ms  -\n"
            "exit      socks5h://b:1080  down in 1 of 2 for 2m 5s, up in 1         0       2       3  0.9-15 ms  3s "
            "ago: nobody "
            "listens there\n"
            "far       http://c:3128     untried                                   0       0       0          -  -\n");
}

TEST(ServerReport, WhatIsMissingIsSaid) {
  EXPECT_EQ(upstreams_table({.workers = 2, .answered = 2, .servers = {}}), "the server has no upstreams\n");
  const std::string text = upstreams_table({.workers = 4, .answered = 3, .servers = {}});
  EXPECT_NE(text.find("1 of 4 workers did not answer in time"), std::string::npos) << text;
  server::CounterReport counters;
  counters.workers = 4;
  counters.answered = 2;
  EXPECT_NE(counters_table(counters).find("2 of 4 workers"), std::string::npos);
}

TEST(ServerReport, NothingThatTheServerSaysMovesTheCursor) {
  server::UpstreamReport report{.workers = 1, .answered = 1, .servers = {server_of("\x1b[2J", "a\nb", {})}};
  report.servers[0].last_failure = server::UpstreamServer::Failure{"", "\x07", 0s};
  server::CounterReport counters;
  counters.counters = {{"\x1b", 1}};
  counters.ended = {{"\r", 1}};
  counters.resolvers = {{{"\x1b"}, {"\x1b"}, 0, 0, 0}};
  const std::string all = upstreams_table(report) + counters_table(counters);
  for (const char octet : {'\x1b', '\x07', '\r'}) EXPECT_EQ(all.find(octet), std::string::npos);
}

TEST(ServerReport, CountersStandInTheOrderOfTheTableWithWhatTheyCount) {
  const std::string text =
      counters_table({.workers = 1,
                      .answered = 1,
                      .counters = {{"bytes_up", 1'000}, {"of_tomorrow", 1}, {"accepted", 7}},
                      .ended = {{"dial.refused", 2}},
                      .udp_drops = {{"denied", 3}},
                      .resolvers = {{{"corp.example", "lan"}, {"192.0.2.53:53"}, 4, 2, 1}, {{}, {}, 9, 0, 0}}});
  EXPECT_EQ(text,
            "accepted         7  connections accepted\n"
            "bytes_up      1000  octets from clients to targets\n"
            "of_tomorrow      1\n"
            "dial.refused     2  requests and sessions that ended so\n"
            "denied           3  datagrams dropped for that\n"
            "\n"
            "names              resolver          questions  failures  silences\n"
            "corp.example, lan  192.0.2.53:53             4         2         1\n"
            "all others         /etc/resolv.conf          9         0         0\n");
}

}  // namespace
}  // namespace stile::cli
