#include "cli/bench_options.h"

#include <gtest/gtest.h>

#include <vector>

namespace stile::cli {
namespace {

using namespace std::chrono_literals;
using loadgen::Mode;

Environment nothing() {
  return [](std::string_view) -> std::optional<std::string> { return std::nullopt; };
}

std::expected<BenchRequest, std::string> parsed(std::vector<std::string> words) {
  words.insert(words.begin(), "bench");
  const Invocation invocation = parse_command_line(words);
  EXPECT_FALSE(invocation.answer) << invocation.answer->text;
  return parse_bench(invocation.arguments, nothing());
}

std::string fault_of(std::vector<std::string> words) {
  const auto request = parsed(std::move(words));
  return request ? "none" : request.error();
}

TEST(BenchOptions, EachModeHasItsDefaults) {
  const std::vector<std::pair<std::string, std::size_t>> rows{{"down", 16},   {"up", 16},      {"both", 16},
                                                              {"rr", 64},     {"connect", 64}, {"handshake", 64},
                                                              {"idle", 1000}, {"udp", 1}};
  for (const auto& [mode, connections] : rows) {
    const auto request = parsed({mode, "--direct"});
    ASSERT_TRUE(request) << request.error();
    EXPECT_EQ(word(request->load.mode), mode);
    EXPECT_EQ(request->load.connections, connections);
    EXPECT_EQ(request->load.size, 64U);
    EXPECT_EQ(request->load.measured, 5s);
    EXPECT_EQ(request->load.warmup, 500ms);
    EXPECT_FALSE(request->load.proxy || request->load.origin || request->load.rate || request->load.offload);
    EXPECT_EQ(request->load.verify, loadgen::Verify::full);
  }
}

TEST(BenchOptions, EachFlagIsRead) {
  const auto request = parsed({"udp",
                               "--via",
                               "socks5h://a:b@127.0.0.1:1",
                               "--connections",
                               "3",
                               "--size",
                               "1200",
                               "--seconds",
                               "0.25",
                               "--warmup",
                               "0",
                               "--rate",
                               "12345",
                               "--origin",
                               "[::1]:7000",
                               "--verify",
                               "edges",
                               "--window",
                               "9",
                               "--offload"});
  ASSERT_TRUE(request) << request.error();
  const loadgen::Options& load = request->load;
  EXPECT_EQ(load.mode, Mode::datagrams);
  ASSERT_TRUE(load.proxy);
  EXPECT_EQ(load.proxy->url.to_string(), "socks5h://127.0.0.1:1");
  EXPECT_EQ(load.connections, 3U);
  EXPECT_EQ(load.size, 1200U);
  EXPECT_EQ(load.measured, 250ms);
  EXPECT_EQ(load.warmup, 0s);
  EXPECT_EQ(load.rate, 12345U);
  EXPECT_EQ(load.origin, Endpoint::parse("[::1]:7000"));
  EXPECT_EQ(load.verify, loadgen::Verify::edges);
  EXPECT_EQ(load.window, 9U);
  EXPECT_TRUE(load.offload);
  EXPECT_NE(request->warning, "");
}

TEST(BenchOptions, WhatIsWrongIsSaid) {
  EXPECT_EQ(fault_of({"rr", "--direct", "--connections", "0"}),
            "stile: cannot use --connections '0': expected a number from 1 to 100000");
  EXPECT_EQ(fault_of({"rr", "--direct", "--seconds", "soon"}),
            "stile: cannot use --seconds 'soon': expected seconds from 0.01 to 86400");
  EXPECT_NE(fault_of({"rr", "--direct", "--seconds", "nan"}), "none");
  EXPECT_NE(fault_of({"rr", "--direct", "--size", "262145"}), "none");
  EXPECT_NE(fault_of({"udp", "--direct", "--size", "15"}), "none");
  EXPECT_NE(fault_of({"rr", "--direct", "--origin", "localhost:7"}), "none");
  EXPECT_NE(fault_of({"rr", "--direct", "--verify", "some"}), "none");
  EXPECT_EQ(fault_of({"rr"}),
            "stile: cannot bench: no proxy is named (add --via socks5h://HOST:PORT, or set ALL_PROXY)");
  EXPECT_NE(fault_of({"rr", "--direct", "--via", "socks5h://h"}), "none");
  EXPECT_NE(fault_of({"udp", "--via", "socks4a://h"}), "none");
}

TEST(BenchOptions, AFlagOfAnotherModeIsRefused) {
  const std::vector<std::vector<std::string>> lines{
      {"down", "--size", "1"},  {"both", "--rate", "1"},      {"idle", "--rate", "1"},     {"rr", "--window", "1"},
      {"connect", "--offload"}, {"handshake", "--size", "1"}, {"rr", "--listen", "[::]:1"}};
  for (std::vector<std::string> words : lines) {
    words.emplace_back("--direct");
    EXPECT_NE(fault_of(words), "none") << words.front();
  }
}

TEST(BenchOptions, TheOriginNeedsAnAddress) {
  const auto origin_of = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"bench", "origin"});
    return parse_bench_origin(parse_command_line(words).arguments);
  };
  EXPECT_FALSE(origin_of({}));
  EXPECT_FALSE(origin_of({"--listen", "127.0.0.1:7", "--via", "socks5h://h"}));
  const auto origin = origin_of({"--listen", "127.0.0.1:7000"});
  ASSERT_TRUE(origin);
  EXPECT_EQ(origin->local, Endpoint::parse("127.0.0.1:7000"));
}

}  // namespace
}  // namespace stile::cli
