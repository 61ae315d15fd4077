// The six tests that every codec passes: vectors, all prefixes, all splits, round trip, guard page, naive oracle. A
// codec's test describes its message in a traits type and instantiates the suite:
//
//   struct GreetingCodec {
//     using Message = Greeting;                                 // comparable
//     static ParseResult<Message> decode(ConstBytes);           // the decoder under test
//     static ParseResult<Message> oracle(const Octets&);        // the same, written as naively as can be
//     static std::vector<Vector> vectors();                     // those that are this message
//     static Example<Message> example(Random&);                 // a random value and what its encoder makes of it
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Greeting, CodecTest, GreetingCodec);
//
// For tests only: it maps memory. Random choices are seeded, so a failure repeats.
// Threading: none shared.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "wire/address_field.h"
#include "wire/parse.h"
#include "wire/vectors_for_tests.h"

namespace stile::wire::testing {

using Octets = std::vector<std::uint8_t>;

/// A seeded source of random choices.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// 0 … `bound` - 1.
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_); }
  std::uint8_t octet() { return static_cast<std::uint8_t>(below(256)); }
  bool one_in(std::size_t chances) { return below(chances) == 0; }
  template <class T, std::size_t Count>
  T pick(const std::array<T, Count>& choices) {
    return choices[below(Count)];
  }
  Octets octets(std::size_t count) {
    Octets drawn(count);
    for (std::uint8_t& drawn_octet : drawn) drawn_octet = octet();
    return drawn;
  }

 private:
  std::mt19937_64 engine_;
};

template <class Message>
struct Example {
  Message value;
  Octets encoded;
};

inline Octets to_octets(ConstBytes bytes) {
  return Octets(bytes.begin(), bytes.end());
}

/// Octets whose end is the end of readable memory: one octet too far is a fault.
class GuardedOctets {
 public:
  explicit GuardedOctets(ConstBytes octets) : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    const std::size_t readable = (octets.size() / page_ + 1) * page_;
    size_ = readable + page_;
    void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    STILE_ASSERT(mapped != MAP_FAILED);
    memory_ = static_cast<std::uint8_t*>(mapped);
    STILE_ASSERT(::mprotect(memory_ + readable, page_, PROT_NONE) == 0);
    std::uint8_t* first = memory_ + readable - octets.size();
    std::copy(octets.begin(), octets.end(), first);
    octets_ = ConstBytes(first, octets.size());
  }
  GuardedOctets(const GuardedOctets&) = delete;
  GuardedOctets& operator=(const GuardedOctets&) = delete;
  ~GuardedOctets() { ::munmap(memory_, size_); }

  [[nodiscard]] ConstBytes octets() const noexcept { return octets_; }
  /// The last `count` of them: as close to the edge.
  [[nodiscard]] ConstBytes last(std::size_t count) const noexcept { return octets_.last(count); }

 private:
  std::size_t page_;
  std::size_t size_ = 0;
  std::uint8_t* memory_ = nullptr;
  ConstBytes octets_;
};

/// As the vectors' verdict column says it.
template <class T>
std::string describe(const ParseResult<T>& result) {
  if (const auto* parsed = std::get_if<Parsed<T>>(&result)) return "parsed " + std::to_string(parsed->consumed);
  if (const auto* malformed = std::get_if<Malformed>(&result)) {
    return "malformed " + std::to_string(malformed->consumed) + " " + std::string(token(malformed->reason));
  }
  return "need more";
}

/// The value, or a failure of the running test.
template <class T>
T parsed(const ParseResult<T>& result) {
  const auto* message = std::get_if<Parsed<T>>(&result);
  if (message == nullptr) {
    ADD_FAILURE() << describe(result);
    return {};
  }
  return message->value;
}

/// How many octets the verdict took; one more than there are when there is none yet.
template <class T>
std::size_t octets_to_verdict(const ParseResult<T>& result, std::size_t input_size) {
  if (const auto* parsed = std::get_if<Parsed<T>>(&result)) return parsed->consumed;
  if (const auto* malformed = std::get_if<Malformed>(&result)) return malformed->consumed;
  return input_size + 1;
}

/// Any host and port that an encoder may be given.
inline Target random_target(Random& random) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789-_";
  const auto port = static_cast<std::uint16_t>(random.below(0x10000));
  switch (random.below(3)) {
    case 0: {
      const Octets octets = random.octets(4);
      return {.host = Address::v4(ConstBytes(octets).first<4>()), .port = port};
    }
    case 1: {
      Octets octets = random.octets(16);
      if (random.one_in(2)) std::fill_n(octets.begin(), 10, std::uint8_t{0});
      return {.host = Address::v6(ConstBytes(octets).first<16>()), .port = port};
    }
    default: {
      std::string name;
      for (std::size_t labels = 1 + random.below(4); labels > 0; --labels) {
        if (!name.empty()) name += '.';
        name += 'a';
        for (std::size_t more = random.below(62); more > 0; --more) name += letters[random.below(letters.size())];
      }
      const auto host = canonical_host(name);
      STILE_ASSERT(host.has_value());
      return {.host = *host, .port = port};
    }
  }
}

/// What a decoder makes of an encoded target.
inline AddressField field_of(const Target& target) {
  AddressField field;
  field.host = target.host;
  field.port = target.port;
  if (const HostName* name = target.host_name()) {
    field.type = AddressType::name;
    field.received_name = name->text();
  } else {
    field.type = target.address()->is_v4() ? AddressType::ipv4 : AddressType::ipv6;
  }
  return field;
}

inline std::string target_text(const AddressField& field) {
  const auto target = field.target();
  return target ? target->to_string() : "no target";
}

/// One to three small changes of the kinds that break parsers: edges of length and type octets, shifts, cuts.
inline void mutate(Octets& octets, Random& random) {
  constexpr std::array<std::uint8_t, 8> edges = {0x00, 0x01, 0x03, 0x04, 0x05, 0x7F, 0x80, 0xFF};
  for (std::size_t changes = 1 + random.below(3); changes > 0; --changes) {
    // Most of what decides stands in the first octets.
    const std::size_t reach = random.one_in(2) ? std::min<std::size_t>(octets.size(), 6) : octets.size();
    const auto at = static_cast<std::ptrdiff_t>(reach == 0 ? 0 : random.below(reach));
    switch (octets.empty() ? 2 : random.below(5)) {
      case 0:
        octets[static_cast<std::size_t>(at)] = random.pick(edges);
        break;
      case 1:
        octets[static_cast<std::size_t>(at)] = random.octet();
        break;
      case 2:
        octets.insert(octets.begin() + at, random.octet());
        break;
      case 3:
        octets.erase(octets.begin() + at);
        break;
      default:
        octets.resize(random.below(octets.size() + 1));
        break;
    }
  }
}

template <class Codec>
class CodecTest : public ::testing::Test {
 protected:
  using Outcome = ParseResult<typename Codec::Message>;

  /// Every vector, and random examples followed by octets of the next stage.
  static std::vector<Octets> inputs() {
    std::vector<Octets> all;
    for (const Vector& vector : Codec::vectors()) all.push_back(vector.octets);
    Random random(1);
    for (int i = 0; i < 40; ++i) {
      Octets octets = Codec::example(random).encoded;
      const Octets next = random.octets(random.below(4));
      octets.insert(octets.end(), next.begin(), next.end());
      all.push_back(std::move(octets));
    }
    return all;
  }

  /// Receives chunk after chunk into `held`, as a connection does, until there is a verdict. A message may point into
  /// `held`.
  static Outcome receive(ConstBytes octets, const std::vector<std::size_t>& chunk_sizes, Octets& held) {
    held.clear();
    Outcome outcome = NeedMore{};
    for (const std::size_t size : chunk_sizes) {
      const ConstBytes chunk = octets.subspan(held.size(), size);
      held.insert(held.end(), chunk.begin(), chunk.end());
      outcome = Codec::decode(held);
      if (!std::holds_alternative<NeedMore>(outcome)) break;
    }
    return outcome;
  }
};

TYPED_TEST_SUITE_P(CodecTest);

TYPED_TEST_P(CodecTest, Vectors) {
  int judged = 0;
  for (const Vector& vector : TypeParam::vectors()) {
    if (vector.verdict == "-") continue;
    EXPECT_EQ(describe(TypeParam::decode(vector.octets)), vector.verdict) << vector.id << " " << vector.name;
    ++judged;
  }
  EXPECT_GT(judged, 0);
}

TYPED_TEST_P(CodecTest, AllPrefixes) {
  for (const Octets& input : this->inputs()) {
    const auto whole = TypeParam::decode(input);
    const std::size_t needed = octets_to_verdict(whole, input.size());
    for (std::size_t size = 0; size <= input.size(); ++size) {
      const auto outcome = TypeParam::decode(ConstBytes(input).first(size));
      if (size < needed) {
        EXPECT_TRUE(std::holds_alternative<NeedMore>(outcome)) << size << " of " << needed << " octets";
      } else {
        EXPECT_TRUE(outcome == whole) << size << " octets, " << needed << " needed: " << describe(outcome);
      }
    }
  }
}

TYPED_TEST_P(CodecTest, AllSplits) {
  for (const Octets& input : this->inputs()) {
    const auto whole = TypeParam::decode(input);
    const std::size_t needed = octets_to_verdict(whole, input.size());
    Octets held;
    for (std::size_t first = 0; first <= input.size(); ++first) {
      const auto outcome = this->receive(input, {first, input.size() - first}, held);
      EXPECT_TRUE(outcome == whole) << "split after " << first << " octets: " << describe(outcome);
    }
    const auto outcome = this->receive(input, std::vector<std::size_t>(input.size(), 1), held);
    EXPECT_TRUE(outcome == whole) << "octet by octet: " << describe(outcome);
    EXPECT_EQ(held.size(), std::min(needed, input.size())) << "the verdict came at another octet";
  }
}

TYPED_TEST_P(CodecTest, RoundTrip) {
  Random random(2);
  for (int i = 0; i < 2'000; ++i) {
    const auto example = TypeParam::example(random);
    const std::size_t length = example.encoded.size();
    const typename TestFixture::Outcome expected =
        Parsed<typename TypeParam::Message>{.value = example.value, .consumed = length};
    EXPECT_TRUE(TypeParam::decode(example.encoded) == expected) << describe(TypeParam::decode(example.encoded));
    Octets followed = example.encoded;
    const Octets next = random.octets(random.below(64));
    followed.insert(followed.end(), next.begin(), next.end());
    EXPECT_TRUE(TypeParam::decode(followed) == expected) << "octets of the next stage change the message";
  }
}

TYPED_TEST_P(CodecTest, GuardPage) {
  for (const Octets& input : this->inputs()) {
    for (std::size_t size = 0; size <= input.size(); ++size) {
      const ConstBytes prefix = ConstBytes(input).first(size);
      const GuardedOctets guarded(prefix);
      EXPECT_TRUE(TypeParam::decode(guarded.octets()) == TypeParam::decode(prefix));
    }
    const GuardedOctets guarded(input);
    for (std::size_t size = 0; size <= input.size(); ++size) {
      const Octets suffix = to_octets(guarded.last(size));
      EXPECT_TRUE(TypeParam::decode(guarded.last(size)) == TypeParam::decode(suffix));
    }
  }
}

TYPED_TEST_P(CodecTest, NaiveOracle) {
  Random random(3);
  const std::vector<Octets> seeds = this->inputs();
  for (int i = 0; i < 20'000; ++i) {
    Octets input;
    if (random.one_in(8)) {
      input = random.octets(random.below(40));
    } else {
      input = random.one_in(2) ? seeds[random.below(seeds.size())] : TypeParam::example(random).encoded;
      mutate(input, random);
    }
    const auto outcome = TypeParam::decode(input);
    const auto expected = TypeParam::oracle(input);
    ASSERT_TRUE(outcome == expected) << "decoder: " << describe(outcome) << ", oracle: " << describe(expected)
                                     << ", input: " << ::testing::PrintToString(input);
  }
}

REGISTER_TYPED_TEST_SUITE_P(CodecTest, Vectors, AllPrefixes, AllSplits, RoundTrip, GuardPage, NaiveOracle);

}  // namespace stile::wire::testing
