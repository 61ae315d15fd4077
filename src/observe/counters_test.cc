#include "observe/counters.h"

#include <gtest/gtest.h>

#include <thread>

namespace stile::observe {
namespace {

TEST(Counters, SumOverWorkers) {
  Counters first;
  Counters second;
  first.accepted.add(3);
  second.accepted.add();
  first.sessions_open.add(2);
  first.sessions_open.subtract();
  second.end(Reason::dial_refused);
  second.end(Reason::dial_refused);
  first.drop(UdpDrop::source, 1);
  second.drop(UdpDrop::source, 2);
  const std::array<const Counters*, 2> workers{&first, &second};
  const Totals totals = sum(workers);
  EXPECT_EQ(totals.value(&Counters::accepted), 4U);
  EXPECT_EQ(totals.value(&Counters::sessions_open), 1U);
  EXPECT_EQ(totals.value(&Counters::denied), 0U);
  EXPECT_EQ(totals.udp_drops[static_cast<std::size_t>(UdpDrop::source)], 3U);
  EXPECT_EQ(totals.ended[static_cast<std::size_t>(Reason::dial_refused)], 2U);
  EXPECT_EQ(totals.ended[static_cast<std::size_t>(Reason::none)], 0U);
}

TEST(Counters, TheTableNamesEveryCounterOnce) {
  // All members but `ended`: what is counted and not in the table would be lost.
  constexpr std::size_t members = (offsetof(Counters, ended) - offsetof(Counters, accepted)) / sizeof(Counter);
  EXPECT_EQ(counter_table.size(), members);
  for (std::size_t i = 0; i < counter_table.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(counter_table[i].name, counter_table[j].name);
      EXPECT_NE(counter_table[i].counter, counter_table[j].counter);
    }
  }
}

TEST(Counters, AreReadWhileTheyAreWritten) {
  Counters counters;
  std::thread writer([&] {
    for (int i = 0; i < 100'000; ++i) counters.bytes_up.add(2);
  });
  const std::array<const Counters*, 1> workers{&counters};
  std::uint64_t last = 0;
  while (last < 100'000) {
    const std::uint64_t value = sum(workers).value(&Counters::bytes_up);
    EXPECT_GE(value, last);
    EXPECT_EQ(value % 2, 0U);
    last = value;
  }
  writer.join();
  EXPECT_EQ(sum(workers).value(&Counters::bytes_up), 200'000U);
}

}  // namespace
}  // namespace stile::observe
