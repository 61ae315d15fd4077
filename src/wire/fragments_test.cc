// RFC 1928 section 7, reassembly: each rule, the timer, and random sequences against a naive oracle.
#include "wire/fragments.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/limits.h"
#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

using namespace std::chrono_literals;

const std::string vectors_path = "tests/vectors/udp.txt";
const Target here{.host = Address::v4(192, 0, 2, 53), .port = 53};
const Target elsewhere{.host = Address::v4(192, 0, 2, 54), .port = 53};
constexpr Instant start{std::chrono::hours(1)};

/// "queued", "complete ABCD", "dropped, abandoned", …
std::string said(const FragmentOutcome& outcome) {
  std::string text;
  switch (outcome.fate) {
    case FragmentFate::stands_alone:
      text = "stands alone";
      break;
    case FragmentFate::queued:
      text = "queued";
      break;
    case FragmentFate::complete:
      text = "complete " + std::string(outcome.payload.begin(), outcome.payload.end());
      break;
    case FragmentFate::dropped:
      text = "dropped";
      break;
  }
  if (outcome.fate != FragmentFate::complete && !outcome.payload.empty()) text += ", with a payload";
  return outcome.abandoned ? text + ", abandoned" : text;
}

class Fragments : public ::testing::Test {
 protected:
  std::string send(int fragment, std::string_view payload, const Target& target = here) {
    const Octets octets(payload.begin(), payload.end());
    return said(queue.accept({.value = static_cast<std::uint8_t>(fragment)}, target, octets, now));
  }

  std::string send_vector(std::string_view id) {
    const Octets datagram = vector_octets(vectors_path, id);
    const auto result = decode_udp_header(datagram);
    const UdpHeader header = parsed(result);
    const std::size_t begin = std::get<Parsed<UdpHeader>>(result).consumed;
    return said(queue.accept(header.fragment, *header.address.target(), ConstBytes(datagram).subspan(begin), now));
  }

  FragmentQueue queue;
  Instant now = start;
};

TEST_F(Fragments, Vectors) {
  EXPECT_EQ(send_vector("U1"), "stands alone");
  EXPECT_EQ(send_vector("U4"), "queued");
  EXPECT_EQ(send_vector("U5"), "complete ABCD");
  EXPECT_EQ(send_vector("U6"), "complete AB");
  EXPECT_EQ(send_vector("U4"), "queued");
  EXPECT_EQ(send_vector("U7"), "dropped, abandoned");
  EXPECT_EQ(send_vector("U4"), "queued");
  EXPECT_EQ(send_vector("U8"), "dropped, abandoned");
  EXPECT_EQ(send_vector("U5"), "dropped");
}

TEST_F(Fragments, PositionOneStarts) {
  for (const int fragment : {0x02, 0x7F, 0x82, 0xFF}) {
    EXPECT_EQ(send(fragment, "x"), "dropped") << fragment;
    EXPECT_FALSE(queue.deadline().has_value());
  }
  EXPECT_EQ(send(0x01, "x"), "queued");
}

TEST_F(Fragments, LongestSequence) {
  for (int position = 1; position < 127; ++position) EXPECT_EQ(send(position, "a"), "queued") << position;
  EXPECT_EQ(send(0xFF, "z"), "complete " + std::string(126, 'a') + "z");
}

TEST_F(Fragments, DuplicateIsDroppedAndTheQueueKept) {
  EXPECT_EQ(send(0x01, "AB"), "queued");
  EXPECT_EQ(send(0x01, "xx"), "dropped");
  EXPECT_EQ(send(0x02, "CD"), "queued");
  EXPECT_EQ(send(0x82, "xx"), "dropped");
  EXPECT_EQ(send(0x83, "EF"), "complete ABCDEF");
}

TEST_F(Fragments, LowerPositionAbandons) {
  for (const int lower : {0x02, 0x82}) {
    EXPECT_EQ(send(0x01, "A"), "queued");
    EXPECT_EQ(send(0x02, "B"), "queued");
    EXPECT_EQ(send(0x03, "C"), "queued");
    EXPECT_EQ(send(lower, "x"), "dropped, abandoned") << lower;
    EXPECT_EQ(send(0x84, "D"), "dropped");
  }
}

TEST_F(Fragments, PositionOneStartsAnew) {
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(send(0x02, "B"), "queued");
  EXPECT_EQ(send(0x01, "C", elsewhere), "queued, abandoned") << "another target may begin";
  EXPECT_EQ(send(0x82, "D", elsewhere), "complete CD");
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(send(0x02, "B"), "queued");
  EXPECT_EQ(send(0x81, "E"), "complete E, abandoned");
}

TEST_F(Fragments, StandaloneDatagramAbandons) {
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(send(0x00, "S"), "stands alone, abandoned");
  EXPECT_EQ(send(0x82, "B"), "dropped");
}

TEST_F(Fragments, AnotherTargetAbandons) {
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(send(0x82, "B", elsewhere), "dropped, abandoned");
  EXPECT_EQ(send(0x82, "B"), "dropped");
  const Target other_port{.host = here.host, .port = 54};
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(send(0x82, "B", other_port), "dropped, abandoned");
}

TEST_F(Fragments, EmptyFragmentsCount) {
  EXPECT_EQ(send(0x01, ""), "queued");
  EXPECT_EQ(send(0x02, "A"), "queued");
  EXPECT_EQ(send(0x83, ""), "complete A");
  EXPECT_EQ(send(0x81, ""), "complete ");
}

TEST_F(Fragments, SumOverOneDatagramAbandons) {
  const std::string half(limits::udp_payload_octets_max / 2, 'h');
  EXPECT_EQ(send(0x01, half), "queued");
  EXPECT_EQ(send(0x02, half), "queued");
  EXPECT_EQ(queue.octets(), limits::udp_payload_octets_max - 1);
  EXPECT_EQ(send(0x83, "!"), "complete " + half + half + "!") << "exactly the limit";
  EXPECT_EQ(send(0x01, half), "queued");
  EXPECT_EQ(send(0x02, half), "queued");
  EXPECT_EQ(send(0x83, "!!"), "dropped, abandoned");
  EXPECT_EQ(queue.octets(), 0U);
  EXPECT_EQ(send(0x81, std::string(limits::udp_payload_octets_max + 1, 'x')), "dropped");
}

TEST_F(Fragments, TimerRunsFromTheFirstFragmentAndIsAbsolute) {
  EXPECT_FALSE(queue.deadline().has_value());
  EXPECT_EQ(send(0x01, "A"), "queued");
  EXPECT_EQ(queue.deadline(), start + 5s);
  now = start + 4s;
  EXPECT_EQ(send(0x02, "B"), "queued");
  EXPECT_EQ(queue.deadline(), start + 5s) << "no fragment extends it";
  now = start + 5s - 1ns;
  EXPECT_FALSE(queue.expire(now));
  now = start + 5s;
  EXPECT_TRUE(queue.expire(now));
  EXPECT_FALSE(queue.deadline().has_value());
  EXPECT_FALSE(queue.expire(now));
  EXPECT_EQ(send(0x83, "C"), "dropped") << "late fragments other than the first are dropped";
}

TEST_F(Fragments, LateTimerChangesNothing) {
  EXPECT_EQ(send(0x01, "A"), "queued");
  now = start + 5s;
  EXPECT_EQ(send(0x82, "B"), "dropped, abandoned");
  EXPECT_EQ(send(0x01, "A"), "queued");
  now += 6s;
  EXPECT_EQ(send(0x01, "C"), "queued, abandoned");
  EXPECT_EQ(queue.deadline(), now + 5s);
  EXPECT_EQ(send(0x82, "D"), "complete CD");
}

// TU4: whatever comes, no more is held than one datagram.
TEST_F(Fragments, MemoryStaysFlat) {
  Random random(4);
  const Octets payload = random.octets(520);
  for (int i = 0; i < 1'000'000; ++i) {
    const FragmentOctet fragment{.value = static_cast<std::uint8_t>(i % 127 + 1)};
    (void)queue.accept(fragment, here, payload, now);
    ASSERT_LE(queue.octets(), limits::udp_payload_octets_max);
  }
}

/// The rules once more: all fragments of the sequence are kept, and everything is found out from them each time.
class NaiveQueue {
 public:
  FragmentOutcome accept(int frag, const Target& target, const Octets& payload, Instant now) {
    FragmentOutcome outcome;
    if (!kept_.empty() && now - kept_.front().at >= 5s) outcome.abandoned = forget();
    const int position = frag % 128;
    const bool last = frag >= 128;
    if (frag == 0) {
      outcome.fate = FragmentFate::stands_alone;
      outcome.abandoned |= forget();
      return outcome;
    }
    const int highest = kept_.empty() ? 0 : kept_.back().position;
    if (position == 0 || position < highest) outcome.abandoned |= forget();
    if (position == 0) return outcome;
    if (kept_.empty() && position != 1) return outcome;
    if (!kept_.empty() && target != kept_.front().target) {
      outcome.abandoned |= forget();
      return outcome;
    }
    if (!kept_.empty() && position == highest) return outcome;
    if (!kept_.empty() && position > highest + 1) {
      outcome.abandoned |= forget();
      return outcome;
    }
    kept_.push_back({position, target, payload, now});
    if (sum().size() > 65'507) {
      kept_.pop_back();
      outcome.abandoned |= forget();
      return outcome;
    }
    outcome.fate = last ? FragmentFate::complete : FragmentFate::queued;
    if (last) {
      outcome.payload = sum();
      forget();
    }
    return outcome;
  }

 private:
  struct Kept {
    int position;
    Target target;
    Octets payload;
    Instant at;
  };

  Octets sum() const {
    Octets all;
    for (const Kept& kept : kept_) all.insert(all.end(), kept.payload.begin(), kept.payload.end());
    return all;
  }
  bool forget() {
    const bool any = !kept_.empty();
    kept_.clear();
    return any;
  }

  std::vector<Kept> kept_;
};

/// Mostly the next fragment, so that sequences get somewhere; often enough something else.
int next_fragment(Random& random, int last) {
  const int end_bit = random.one_in(4) ? 0x80 : 0;
  switch (random.below(8)) {
    case 0:
      return random.octet();
    case 1:
      return static_cast<int>(random.below(4)) + end_bit;
    case 2:
      return last;
    default:
      return (last + 1) % 128 + end_bit;
  }
}

TEST(FragmentsModel, EqualsTheNaiveQueue) {
  Random random(5);
  std::size_t completed = 0;
  std::size_t abandoned = 0;
  for (int run = 0; run < 2'000; ++run) {
    FragmentQueue queue;
    NaiveQueue oracle;
    Instant now = start;
    int last = 0;
    for (int step = 0; step < 60; ++step) {
      now += random.one_in(12) ? Duration(5s) - Duration(1ns) : Duration(random.below(1'500'000'000));
      const int fragment = next_fragment(random, last);
      last = fragment % 128;
      const Target& target = random.one_in(12) ? elsewhere : here;
      const Octets payload = random.octets(random.one_in(24) ? 33'000 : random.below(6));
      const FragmentOutcome outcome =
          queue.accept({.value = static_cast<std::uint8_t>(fragment)}, target, payload, now);
      const FragmentOutcome expected = oracle.accept(fragment, target, payload, now);
      ASSERT_TRUE(outcome == expected) << "run " << run << " step " << step << " FRAG " << fragment;
      completed += outcome.fate == FragmentFate::complete ? 1 : 0;
      abandoned += outcome.abandoned ? 1 : 0;
    }
  }
  EXPECT_GT(completed, 1'000U);
  EXPECT_GT(abandoned, 1'000U);
}

}  // namespace
}  // namespace stile::wire::testing
