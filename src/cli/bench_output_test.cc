#include "cli/bench_output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace stile::cli {
namespace {

using namespace std::chrono_literals;

loadgen::Figures some_figures() {
  loadgen::Figures figures{.seconds = 2, .warmup = 0.5, .operations = 1'234'567, .operations_total = 2'000'000};
  figures.per_second = 617'283.5;
  figures.cpu_seconds = 1.5;
  figures.latency.record(5us);
  figures.errors["the tunnel was closed early"] = 3;
  return figures;
}

TEST(BenchOutput, JsonHasEachFigure) {
  const loadgen::Options options{.mode = loadgen::Mode::datagrams, .size = 100, .rate = 7};
  const auto object = nlohmann::json::parse(bench_json(options, some_figures()));
  EXPECT_EQ(object["mode"], "udp");
  EXPECT_EQ(object["via"], "direct");
  EXPECT_EQ(object["size"], 100);
  EXPECT_EQ(object["operations"], 1'234'567);
  EXPECT_EQ(object["operations_total"], 2'000'000);
  EXPECT_EQ(object["latency_us"]["p999"], 5.0);
  EXPECT_EQ(object["errors"]["the tunnel was closed early"], 3);
  EXPECT_EQ(object["verified"], true);
  EXPECT_EQ(object["drops"], 0);
  EXPECT_EQ(object["rate"], 7);
}

TEST(BenchOutput, BulkHasNoLatency) {
  const auto object = nlohmann::json::parse(bench_json({.mode = loadgen::Mode::both}, some_figures()));
  EXPECT_FALSE(object.contains("latency_us"));
  EXPECT_FALSE(object.contains("drops"));
}

TEST(BenchOutput, WrongOctetsShow) {
  loadgen::Figures figures = some_figures();
  figures.wrong = 1;
  EXPECT_EQ(nlohmann::json::parse(bench_json({}, figures))["verified"], false);
  EXPECT_NE(bench_text({}, figures).find("octets      WRONG"), std::string::npos);
}

TEST(BenchOutput, TextAlignsItsLines) {
  const std::string text = bench_text({.mode = loadgen::Mode::round_trips, .connections = 64}, some_figures());
  EXPECT_NE(text.find("rr          direct, 64 connections, 64 octets\n"), std::string::npos) << text;
  EXPECT_NE(text.find("round trips 1,234,567 (2,000,000 in all)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("rate        617,283 a second\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace stile::cli
