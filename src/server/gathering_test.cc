#include "server/gathering.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace stile::server {
namespace {

using namespace std::chrono_literals;

TEST(Gathering, HasAllAnswersOnceTheyAreThere) {
  Gathering<int> gathering;
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) workers.emplace_back([&gathering, i] { gathering.add(i); });
  std::vector<int> answers = gathering.wait(4, 1h);
  for (std::thread& worker : workers) worker.join();
  std::ranges::sort(answers);
  EXPECT_EQ(answers, (std::vector{0, 1, 2, 3}));
}

TEST(Gathering, GoesOnWithoutWhoDoesNotAnswer) {
  const auto gathering = std::make_shared<Gathering<int>>();
  gathering->add(7);
  EXPECT_EQ(gathering->wait(2, 1ms), std::vector{7});
  gathering->add(8);  // nobody waits for it any longer
}

TEST(Gathering, WaitsForNobodyWhereNobodyIsAsked) {
  Gathering<int> gathering;
  EXPECT_TRUE(gathering.wait(0, 1h).empty());
}

}  // namespace
}  // namespace stile::server
