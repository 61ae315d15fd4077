// What a decoder says about the octets it was shown: one of three outcomes, each its own type. A decoder always gets
// the message from its first octet on, holds no state between calls, and so gives one verdict at one octet however the
// input was split. Octets behind `consumed` belong to the next stage.
// Refuses: policy. A value that is well-formed but unwanted is Parsed.
// Threading: values only. Tested through every codec (codec_test_support.h).
#pragma once

#include <cstddef>
#include <variant>

#include "base/reason.h"

namespace stile::wire {

/// A beginning of a message: call again from the same first octet when more has arrived.
struct NeedMore {
  friend bool operator==(const NeedMore&, const NeedMore&) = default;
};

/// No continuation could make a message of it.
struct Malformed {
  Reason reason = Reason::none;
  std::size_t consumed = 0;  // octets that were needed to see it

  friend bool operator==(const Malformed&, const Malformed&) = default;
};

template <class T>
struct Parsed {
  T value;
  std::size_t consumed = 0;  // the message's length in octets

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

template <class T>
using ParseResult = std::variant<NeedMore, Malformed, Parsed<T>>;

}  // namespace stile::wire
