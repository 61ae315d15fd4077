#include "server/upstream_news.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

std::shared_ptr<const route::UpstreamPlan> plan_of(const std::string& name, std::uint32_t failures = 3) {
  auto plan = std::make_shared<route::UpstreamPlan>();
  plan->settings.name = name;
  plan->settings.failures = failures;
  for (const char* const url : {"socks5h://gate@192.0.2.1", "socks5h://192.0.2.2"}) {
    plan->settings.servers.push_back(wire::parse_proxy_url(url).value());
    plan->hops.push_back({.url = plan->settings.servers.back()});
  }
  return plan;
}

class UpstreamNewsTest : public testing::Test {
 protected:
  Lines lines() {
    Lines lines;
    for (const UpstreamNews::Line& line : news_.take()) {
      lines.push_back(line.what + (line.why.empty() ? "" : ": " + line.why));
    }
    return lines;
  }

  std::shared_ptr<const route::UpstreamPlan> exit_ = plan_of("exit");
  std::atomic<int> woken_ = 0;
  UpstreamNews news_{{exit_}, [this] { ++woken_; }};
};

TEST_F(UpstreamNewsTest, AFallAndAReturnAreALineEachHoweverManyWorkersSeeThem) {
  news_.went_down(*exit_, 0, Instant(10s), "nobody listens there");
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(lines(), Lines{"upstream exit: socks5h://192.0.2.1:1080 is down: nobody listens there"});
  news_.went_down(*exit_, 0, Instant(11s), "nobody listens there");
  EXPECT_EQ(lines(), Lines{});
  news_.came_back(*exit_, 0, Instant(85s));
  EXPECT_EQ(lines(), Lines{"upstream exit: socks5h://192.0.2.1:1080 is back after 1m 15s"});
  news_.came_back(*exit_, 0, Instant(90s));
  EXPECT_EQ(lines(), Lines{});
  EXPECT_EQ(woken_, 2) << "nothing to tell, nobody to wake";
}

TEST_F(UpstreamNewsTest, EachServerIsItsOwn) {
  news_.went_down(*exit_, 1, Instant(1s), "a");
  news_.went_down(*exit_, 0, Instant(2s), "b");
  EXPECT_EQ(lines(), (Lines{"upstream exit: socks5h://192.0.2.1:1080 is down: b",
                            "upstream exit: socks5h://192.0.2.2:1080 is down: a"}));
}

TEST_F(UpstreamNewsTest, WhatIsNotTakenIsTheNewestStateOnly) {
  for (int i = 0; i < 100; ++i) {
    news_.went_down(*exit_, 0, Instant(1s), "a");
    news_.came_back(*exit_, 0, Instant(2s));
  }
  EXPECT_EQ(lines(), Lines{}) << "it is as the operator knows it";
  news_.went_down(*exit_, 0, Instant(10s), "a");
  EXPECT_EQ(lines().size(), 1U);
  news_.came_back(*exit_, 0, Instant(15s));
  news_.went_down(*exit_, 0, Instant(16s), "b");
  EXPECT_EQ(lines(), Lines{});
  news_.came_back(*exit_, 0, Instant(40s));
  EXPECT_EQ(lines(), Lines{"upstream exit: socks5h://192.0.2.1:1080 is back after 30s"}) << "since it was told";
}

TEST_F(UpstreamNewsTest, AReloadForgetsWhatWorkersForget) {
  news_.went_down(*exit_, 0, Instant(1s), "a");
  EXPECT_EQ(lines().size(), 1U);
  news_.use({plan_of("exit")});
  news_.went_down(*exit_, 0, Instant(2s), "a");
  EXPECT_EQ(lines(), Lines{}) << "the same upstream, and known to be down";
  const auto other = plan_of("exit", 5);
  news_.use({other});
  news_.went_down(*exit_, 0, Instant(3s), "a");
  news_.came_back(*exit_, 0, Instant(4s));
  EXPECT_EQ(lines(), Lines{}) << "who is under way through one that is gone";
  news_.went_down(*other, 0, Instant(5s), "b");
  EXPECT_EQ(lines(), Lines{"upstream exit: socks5h://192.0.2.1:1080 is down: b"});
  news_.use({});
  news_.came_back(*other, 0, Instant(6s));
  EXPECT_EQ(lines(), Lines{});
}

TEST_F(UpstreamNewsTest, WorkersMayTellAtOnce) {
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([this] {
      for (int j = 0; j < 500; ++j) {
        news_.went_down(*exit_, 0, Instant(1s), "a");
        if (j % 7 == 0) static_cast<void>(news_.take());
        news_.came_back(*exit_, 0, Instant(2s));
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  static_cast<void>(news_.take());
  EXPECT_EQ(lines(), Lines{});
}

}  // namespace
}  // namespace stile::server
