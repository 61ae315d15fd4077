// Verdicts and expected answers of an association, in virtual time, against a naive oracle.
#include "relay/udp_targets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
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

Target named(std::uint64_t number, std::uint16_t port) {
  return {.host = canonical_host("name" + std::to_string(number) + ".example").value(), .port = port};
}

TEST(UdpTargets, AnAllowedTargetMayAnswerFromAnyPort) {
  UdpTargets targets(16, 300s);
  targets.add(target(1, 53), {.address = host(1), .allowed = true}, start);
  targets.add(target(2, 53), {.address = host(2), .allowed = false}, start);
  EXPECT_NE(targets.answering(0, host(1), 53, start), nullptr);
  EXPECT_EQ(targets.answering(0, host(2), 53, start), nullptr);
  EXPECT_EQ(targets.answering(0, host(3), 53, start), nullptr);
}

TEST(UdpTargets, ATargetIsForgottenWhenIdleAtThatInstant) {
  UdpTargets targets(16, 300s);
  targets.add(target(1, 53), {.address = host(1), .allowed = true}, start);
  EXPECT_EQ(targets.next_expiry(), start + 300s);
  EXPECT_NE(targets.answering(0, host(1), 53, start + 300s - 1ns), nullptr);
  targets.touch(*targets.find(target(1, 53), start + 200s), start + 200s);
  EXPECT_NE(targets.answering(0, host(1), 53, start + 500s - 1ns), nullptr);
  EXPECT_EQ(targets.answering(0, host(1), 53, start + 500s), nullptr);
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
  EXPECT_NE(targets.answering(0, host(1), 53, start), nullptr);
  targets.decide(*targets.answering(0, host(1), 53, start), false, 2);
  EXPECT_EQ(targets.answering(0, host(1), 53, start), nullptr);
  targets.decide(one, true, 3);
  EXPECT_EQ(targets.answering(0, host(1), 53, start), &one);
}

TEST(UdpTargets, WhatGoesByOneWayDoesNotAnswerByAnother) {
  UdpTargets targets(16, 300s);
  auto& one = targets.add(target(1, 53), {.address = host(1), .allowed = true}, start);
  EXPECT_EQ(targets.answering(0, host(1), 53, start), &one);
  EXPECT_TRUE(targets.on_detours().empty());
  targets.hold_to(one, nullptr, 2);
  EXPECT_EQ(targets.answering(0, host(1), 53, start), nullptr);
  EXPECT_EQ(targets.answering(1, host(1), 53, start), nullptr);
  EXPECT_EQ(targets.answering(2, host(1), 53, start), &one);
  EXPECT_EQ(targets.on_detours(), std::vector{target(1, 53)});
  EXPECT_TRUE(targets.uses(2));
  targets.decide(one, false, 2);
  EXPECT_EQ(targets.answering(2, host(1), 53, start), nullptr);
  EXPECT_FALSE(targets.uses(2)) << "nothing that is allowed goes by it";
}

TEST(UdpTargets, ForANameAnybodyAnswersByItsWay) {
  UdpTargets targets(16, 300s);
  auto& dns = targets.add(named(1, 53), {.by_name = true, .allowed = true, .way = 1}, start);
  auto& web = targets.add(named(0, 443), {.by_name = true, .allowed = true, .way = 1}, start);
  auto& exact = targets.add(target(1, 53), {.address = host(1), .allowed = true, .way = 1}, start);
  EXPECT_EQ(targets.answering(1, host(7), 53, start), &dns) << "the one of that port";
  EXPECT_EQ(targets.answering(1, host(7), 443, start), &web);
  EXPECT_EQ(targets.answering(1, host(7), 9, start), &dns) << "else the first";
  EXPECT_EQ(targets.answering(1, host(1), 443, start), &exact);
  EXPECT_EQ(targets.answering(0, host(7), 53, start), nullptr);
  EXPECT_EQ(targets.answering(2, host(7), 53, start), nullptr);
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
  /// Who may answer: of all that could, those that fit best. Empty: nobody.
  std::vector<Target> answering(std::uint32_t way, const Address& sender, std::uint16_t port) {
    std::array<std::vector<Target>, 3> fits;
    for (const NaiveTarget& one : all_) {
      if (!one.value.allowed || one.value.way != way) continue;
      if (!one.value.by_name && one.value.address == sender) fits[0].push_back(one.asked);
      if (one.value.by_name && way != 0) fits[one.asked.port == port ? 1 : 2].push_back(one.asked);
    }
    const auto best = std::ranges::find_if(fits, [](const auto& some) { return !some.empty(); });
    return best == fits.end() ? std::vector<Target>{} : *best;
  }
  bool uses(std::uint32_t way) {
    return std::ranges::any_of(all_, [&](const auto& one) { return one.value.allowed && one.value.way == way; });
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
  const bool by_name = chance.chance(0.3);
  const auto port = static_cast<std::uint16_t>(1 + chance.below(4));
  const Target asked = by_name ? named(chance.below(3), port) : target(chance.below(4), port);
  auto* const found = targets.find(asked, now);
  NaiveTarget* const expected = naive.find(asked);
  ASSERT_EQ(found != nullptr, expected != nullptr);
  if (found == nullptr) {
    UdpTarget value{.address = host(chance.below(4)), .allowed = chance.chance(0.7)};
    if (by_name && chance.chance(0.7)) value = {.address = {}, .by_name = true, .allowed = value.allowed};
    auto& added = targets.add(asked, value, now);
    value.way = static_cast<std::uint32_t>(chance.below(3));
    targets.hold_to(added, nullptr, value.way);
    naive.use({asked, value, now});
  } else if (chance.chance(0.5)) {
    targets.touch(*found, now);
    naive.use({asked, expected->value, now});
  } else if (chance.chance(0.5)) {
    expected->value.allowed = chance.chance(0.5);
    targets.decide(*found, expected->value.allowed, 0);
  } else {
    expected->value.way = static_cast<std::uint32_t>(chance.below(3));
    targets.hold_to(*found, nullptr, expected->value.way);
  }
  for (std::uint32_t way = 0; way < 3; ++way) {
    ASSERT_EQ(targets.uses(way), naive.uses(way));
    for (std::uint64_t last = 0; last < 4; ++last) {
      const auto* const answers = targets.answering(way, host(last), port, now);
      const std::vector<Target> fits = naive.answering(way, host(last), port);
      ASSERT_EQ(answers != nullptr, !fits.empty());
      if (answers != nullptr) {
        ASSERT_NE(std::ranges::find(fits, answers->asked()), fits.end());
      }
    }
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
