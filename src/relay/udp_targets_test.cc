// Verdicts and expected answers of an association, in virtual time, against a naive oracle.
#include "relay/udp_targets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/limits.h"
#include "engine/prng.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1h};

Address host(std::uint64_t last) {
  return Address::v4(192, 0, 2, static_cast<std::uint8_t>(last));
}
Target target(std::uint64_t last, std::uint16_t port) {
  return {.host = host(last), .port = port};
}

TEST(UdpTargets, AnAllowedTargetMayAnswerFromAnyPort) {
  UdpTargets targets(16, 300s);
  targets.add(target(1, 53), {.address = host(1), .allowed = true}, start);
  targets.add(target(2, 53), {.address = host(2), .allowed = false}, start);
  EXPECT_NE(targets.answering(host(1), start), nullptr);
  EXPECT_EQ(targets.answering(host(2), start), nullptr);
  EXPECT_EQ(targets.answering(host(3), start), nullptr);
}

TEST(UdpTargets, ATargetIsForgottenWhenIdleAtThatInstant) {
  UdpTargets targets(16, 300s);
  targets.add(target(1, 53), {.address = host(1), .allowed = true}, start);
  EXPECT_EQ(targets.next_expiry(), start + 300s);
  EXPECT_NE(targets.answering(host(1), start + 300s - 1ns), nullptr);
  targets.touch(*targets.find(target(1, 53), start + 200s), start + 200s);
  EXPECT_NE(targets.answering(host(1), start + 500s - 1ns), nullptr);
  EXPECT_EQ(targets.answering(host(1), start + 500s), nullptr);
  EXPECT_EQ(targets.size(), 0U);
  EXPECT_FALSE(targets.next_expiry().has_value());
}

// The limit of the security reference, 1.2, exceeded by one.
TEST(UdpTargets, TheOneIdleLongestMakesRoom) {
  UdpTargets targets(limits::udp_targets_per_association_max, 300s);
  for (std::uint16_t port = 1; port <= limits::udp_targets_per_association_max; ++port) {
    targets.add(target(1, port), {.address = host(1), .allowed = true}, start);
  }
  targets.touch(*targets.find(target(1, 1), start), start);
  targets.add(target(2, 53), {.address = host(2), .allowed = true}, start);
  EXPECT_EQ(targets.size(), limits::udp_targets_per_association_max);
  EXPECT_NE(targets.find(target(1, 1), start), nullptr);
  EXPECT_EQ(targets.find(target(1, 2), start), nullptr);
  EXPECT_NE(targets.find(target(1, 3), start), nullptr);
  EXPECT_NE(targets.find(target(2, 53), start), nullptr);
}

TEST(UdpTargets, ADeniedTargetAnswersNoMore) {
  UdpTargets targets(16, 300s);
  auto& one = targets.add(target(1, 53), {.address = host(1), .allowed = true, .generation = 1}, start);
  targets.add(target(1, 54), {.address = host(1), .allowed = true, .generation = 1}, start);
  targets.decide(one, false, 2);
  EXPECT_NE(targets.answering(host(1), start), nullptr);
  targets.decide(*targets.answering(host(1), start), false, 2);
  EXPECT_EQ(targets.answering(host(1), start), nullptr);
  targets.decide(one, true, 3);
  EXPECT_EQ(targets.answering(host(1), start), &one);
}

// ── the oracle ──────────────────────────────────────────────────────────────────────────────────────────────────────

struct NaiveTarget {
  Target asked;
  UdpTarget value;
  Instant used;
};

class Naive {
 public:
  Naive(std::size_t most, Duration idle) : most_(most), idle_(idle) {}
  void expire(Instant now) {
    std::erase_if(all_, [&](const NaiveTarget& one) { return now - one.used >= idle_; });
  }
  NaiveTarget* find(const Target& asked) {
    const auto found = std::ranges::find(all_, asked, &NaiveTarget::asked);
    return found == all_.end() ? nullptr : &*found;
  }
  bool answering(const Address& sender) {
    return std::ranges::any_of(
        all_, [&](const NaiveTarget& one) { return one.value.allowed && one.value.address == sender; });
  }
  // In order of use, so the first is the one idle longest.
  void use(NaiveTarget one) {
    std::erase_if(all_, [&](const NaiveTarget& other) { return other.asked == one.asked; });
    if (all_.size() >= most_) all_.erase(all_.begin());
    all_.push_back(std::move(one));
  }
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  std::size_t most_;
  Duration idle_;
  std::vector<NaiveTarget> all_;
};

void random_step(UdpTargets& targets, Naive& naive, engine::Prng& chance, Instant now) {
  naive.expire(now);
  const Target asked = target(chance.below(4), static_cast<std::uint16_t>(1 + chance.below(4)));
  auto* const found = targets.find(asked, now);
  NaiveTarget* const expected = naive.find(asked);
  ASSERT_EQ(found != nullptr, expected != nullptr);
  if (found == nullptr) {
    const UdpTarget value{.address = host(chance.below(4)), .allowed = chance.chance(0.7)};
    targets.add(asked, value, now);
    naive.use({asked, value, now});
  } else if (chance.chance(0.5)) {
    targets.touch(*found, now);
    naive.use({asked, expected->value, now});
  } else if (chance.chance(0.5)) {
    expected->value.allowed = chance.chance(0.5);
    targets.decide(*found, expected->value.allowed, 0);
  }
  for (std::uint64_t last = 0; last < 4; ++last) {
    ASSERT_EQ(targets.answering(host(last), now) != nullptr, naive.answering(host(last)));
  }
  ASSERT_EQ(targets.size(), naive.size());
}

TEST(UdpTargets, EqualsTheNaiveOracle) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    engine::Prng chance(seed);
    UdpTargets targets(6, 100s);
    Naive naive(6, 100s);
    Instant now = start;
    for (int step = 0; step < 100 && !testing::Test::HasFatalFailure(); ++step) {
      now += std::chrono::seconds(chance.below(30));
      random_step(targets, naive, chance, now);
    }
  }
}

}  // namespace
}  // namespace stile::relay
