// One transform inside another, over every size of the pieces in which the octets travel.
#include "protect/layers.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "protect/transform_for_tests.h"

namespace stile::protect {
namespace {

ConstBytes bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Carries what one has to send to the other, so many octets at a time.
std::size_t carry(Transform& from, Transform& to, std::size_t piece) {
  const std::size_t octets = std::min(piece, from.to_send().size());
  if (octets == 0) return 0;
  to.take(from.to_send().first(octets));
  from.sent(octets);
  return octets;
}

void shake_hands(Transform& one, Transform& other, std::size_t piece) {
  for (int i = 0; i < 1000 && !(one.established() && other.established()); ++i) {
    for (Transform* each : {&one, &other}) {
      if (each->established()) continue;
      const auto done = each->handshake();
      ASSERT_TRUE(done || done.error().kind == ErrorKind::would_block);
    }
    carry(one, other, piece);
    carry(other, one, piece);
  }
  ASSERT_TRUE(one.established() && other.established());
  while (carry(one, other, piece) + carry(other, one, piece) > 0) {
  }
}

struct Pair {
  explicit Pair(std::size_t piece) {
    auto here = std::make_unique<PlainToSee>();
    auto there = std::make_unique<PlainToSee>();
    shake_hands(*here, *there, piece);
    one = std::make_unique<Layers>(std::move(here), std::make_unique<PlainToSee>());
    other = std::make_unique<Layers>(std::move(there), std::make_unique<PlainToSee>());
    shake_hands(*one, *other, piece);
  }
  std::unique_ptr<Layers> one;
  std::unique_ptr<Layers> other;
};

/// What `from` says until it stops, as `to` opens it; "!" where that is an end.
std::string deliver(Transform& from, Transform& to, std::size_t piece) {
  std::string heard;
  for (;;) {
    std::array<std::uint8_t, 7> room;
    const auto opened = to.open(room);
    if (opened && *opened == 0) return heard + "!";
    if (opened) {
      heard.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*opened));
    } else if (opened.error().kind != ErrorKind::would_block || carry(from, to, piece) == 0) {
      return heard;
    }
  }
}

TEST(Layers, CarryWhatIsSaidBothWaysAndItsEnd) {
  for (const std::size_t piece : {1U, 2U, 3U, 5U, 64U, 4096U}) {
    Pair pair(piece);
    const std::string said = "what is said through two of them " + std::string(600, 'x');
    EXPECT_EQ(pair.one->seal(bytes(said)).value_or(0), said.size());
    EXPECT_EQ(deliver(*pair.one, *pair.other, piece), said) << piece;
    EXPECT_EQ(pair.other->seal(bytes("and back")).value_or(0), 8U);
    pair.other->finish();
    EXPECT_EQ(deliver(*pair.other, *pair.one, piece), "and back!") << piece;
    EXPECT_EQ(pair.one->failure(), Reason::none);
  }
}

TEST(Layers, WhatTheInnerOneSendsIsWrappedByTheOuterOne) {
  Pair pair(64);
  ASSERT_TRUE(pair.one->seal(bytes("secret")));
  const ConstBytes sent = pair.one->to_send();
  // The length of the outer message, that of the inner one turned around once, and the text turned around twice.
  const std::string wrapped{0, 8, PlainToSee::turn, 6 ^ PlainToSee::turn, 's', 'e', 'c', 'r', 'e', 't'};
  EXPECT_EQ(std::string(sent.begin(), sent.end()), wrapped);
}

TEST(Layers, AConnectionThatEndsWithoutAWordCutsTheStreamShort) {
  Pair pair(64);
  ASSERT_TRUE(pair.one->seal(bytes("half")));
  EXPECT_EQ(deliver(*pair.one, *pair.other, 64), "half");
  EXPECT_FALSE(pair.other->connection_ended());
  EXPECT_NE(pair.other->failure(), Reason::none);
}

TEST(Layers, TheEndOfTheOuterStreamAloneCutsTheInnerOneShort) {
  auto here = std::make_unique<PlainToSee>();
  auto there = std::make_unique<PlainToSee>();
  shake_hands(*here, *there, 64);
  PlainToSee* const outer = here.get();
  Layers one(std::move(here), std::make_unique<PlainToSee>());
  Layers other(std::move(there), std::make_unique<PlainToSee>());
  shake_hands(one, other, 64);
  outer->finish();
  std::array<std::uint8_t, 8> room;
  while (carry(one, other, 64) > 0) {
  }
  const auto opened = other.open(room);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::reset);
}

TEST(Layers, WhatTheInnerOneCannotReadIsItsFailure) {
  auto here = std::make_unique<PlainToSee>();
  auto there = std::make_unique<PlainToSee>();
  shake_hands(*here, *there, 64);
  Layers other(std::move(there), std::make_unique<PlainToSee>());
  ASSERT_TRUE(here->seal(bytes("no")));
  while (carry(*here, other, 64) > 0) {
  }
  const auto done = other.handshake();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().kind, ErrorKind::would_block);
  EXPECT_EQ(other.failure(), Reason::tls_handshake);
}

}  // namespace
}  // namespace stile::protect
