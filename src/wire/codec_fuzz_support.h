// What every codec's fuzz target asserts first: the verdict comes at one octet, whatever follows. For fuzz targets
// only. Threading: none shared.
#pragma once

#include <cstddef>
#include <variant>

#include "base/assert.h"
#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

/// `decode` is a decoder of T. Quadratic in the input: bound it to little more than the longest message.
template <class T, class Decode>
void assert_one_verdict(Decode decode, ConstBytes input) {
  const ParseResult<T> whole = decode(input);
  std::size_t needed = input.size() + 1;
  if (const auto* parsed = std::get_if<Parsed<T>>(&whole)) needed = parsed->consumed;
  if (const auto* malformed = std::get_if<Malformed>(&whole)) needed = malformed->consumed;
  STILE_ASSERT(needed > 0);
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const ParseResult<T> outcome = decode(input.first(size));
    if (size < needed) {
      STILE_ASSERT(std::holds_alternative<NeedMore>(outcome));
    } else {
      STILE_ASSERT(outcome == whole);
    }
  }
}

}  // namespace stile::wire
