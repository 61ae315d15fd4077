// Datagrams through relays of which any wrap them, against relays that take off their own layer and no other.
#include "protect/datagram_layers.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/limits.h"
#include "protect/gss_context_for_tests.h"
#include "wire/nested_headers.h"

namespace stile::protect {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets header(std::uint8_t last) {
  const auto encoded = wire::encode_udp_header(Target{Address::v4(192, 0, 2, last), 1080});
  return {encoded.octets().begin(), encoded.octets().end()};
}

void append(Octets& to, ConstBytes more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// A way through so many relays, bit i of `wrapping`: that relay i wraps; ours and theirs.
struct Way {
  Way(std::size_t count, unsigned wrapping, bool encrypt) {
    for (std::size_t i = 0; i < count; ++i) {
      const bool wraps = (wrapping >> i & 1) != 0;
      ours.push_back(wraps ? std::make_unique<StreamToSee>(encrypt) : nullptr);
      theirs.push_back(wraps ? std::make_unique<StreamToSee>(encrypt) : nullptr);
      streams.push_back(ours.back().get());
    }
    layers = DatagramLayers(streams);
  }
  /// What the target gets: each relay takes off its layer, then its header.
  std::optional<Octets> carried(Octets datagram) {
    for (const auto& relay : theirs) {
      Octets plain;
      if (relay == nullptr) {
        plain = datagram;
      } else if (!relay->unwrap_datagram(datagram, plain)) {
        return std::nullopt;
      }
      const auto decoded = wire::decode_udp_header(plain);
      const auto* const read = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
      if (read == nullptr) return std::nullopt;
      datagram.assign(plain.begin() + static_cast<std::ptrdiff_t>(read->consumed), plain.end());
    }
    return datagram;
  }
  /// And what comes back of it: from the last relay on, each puts its header in front, and its layer round that.
  Octets answered(Octets payload) {
    for (std::size_t i = theirs.size(); i-- > 0;) {
      Octets plain = header(static_cast<std::uint8_t>(i + 1));
      append(plain, payload);
      if (theirs[i] == nullptr) {
        payload = plain;
        continue;
      }
      payload.clear();
      EXPECT_TRUE(theirs[i]->wrap_datagram(plain, payload));
    }
    return payload;
  }

  std::vector<std::unique_ptr<StreamToSee>> ours;
  std::vector<std::unique_ptr<StreamToSee>> theirs;
  std::vector<GssStream*> streams;
  DatagramLayers layers;
};

/// As it would travel if nobody wrapped.
Octets plain_of(std::size_t count, const Octets& payload) {
  Octets plain;
  for (std::size_t i = 0; i < count; ++i) append(plain, header(static_cast<std::uint8_t>(i + 1)));
  append(plain, payload);
  return plain;
}

TEST(DatagramLayers, EachRelayTakesOffItsOwn) {
  for (std::size_t count = 1; count <= 4; ++count) {
    for (unsigned wrapping = 1; wrapping < 1U << count; ++wrapping) {
      for (const bool encrypt : {false, true}) {
        Way way(count, wrapping, encrypt);
        ASSERT_TRUE(way.layers.any());
        for (const std::size_t size : {0UL, 1UL, 1400UL}) {
          const Octets payload(size, 0x77);
          Octets sent;
          ASSERT_TRUE(way.layers.wrap(plain_of(count, payload), sent));
          EXPECT_EQ(way.carried(sent), payload) << count << " " << wrapping;
          Octets back;
          ASSERT_TRUE(way.layers.unwrap(way.answered(payload), back));
          EXPECT_EQ(back, plain_of(count, payload)) << count << " " << wrapping;
        }
      }
    }
  }
}

TEST(DatagramLayers, WhereNobodyWrapsThereAreNone) {
  EXPECT_FALSE(DatagramLayers().any());
  EXPECT_FALSE(DatagramLayers({nullptr, nullptr}).any());
}

TEST(DatagramLayers, WhatWasChangedCutOrRepeatedIsDropped) {
  for (const unsigned wrapping : {1U, 2U, 3U}) {
    Way way(2, wrapping, true);
    const Octets answer = way.answered({1, 2, 3});
    for (std::size_t size = 0; size < answer.size(); ++size) {
      Octets plain;
      EXPECT_FALSE(way.layers.unwrap(ConstBytes(answer).first(size), plain)) << wrapping << " " << size;
    }
    Octets plain;
    ASSERT_TRUE(way.layers.unwrap(answer, plain));
    plain.clear();
    EXPECT_FALSE(way.layers.unwrap(answer, plain)) << "it came before";
    Octets changed = way.answered({1, 2, 3});
    changed.back() ^= 1;
    EXPECT_FALSE(way.layers.unwrap(changed, plain));
  }
}

TEST(DatagramLayers, WhatCannotBeWrappedIsNotSent) {
  Way way(2, 3, true);
  Octets sent;
  EXPECT_FALSE(way.layers.wrap(plain_of(2, Octets(limits::gss_token_octets_max)), sent)) << "too long for a frame";
  EXPECT_FALSE(way.layers.wrap(Octets{0, 0, 0, 9}, sent)) << "no header where the second relay's should be";
  way.ours[1]->expire();
  EXPECT_FALSE(way.layers.wrap(plain_of(2, {1}), sent));
  EXPECT_TRUE(sent.empty());
}

}  // namespace
}  // namespace stile::protect
