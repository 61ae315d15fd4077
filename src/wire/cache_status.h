// What a cache says about a response, RFC 9211, as far as a record wants to know it: whether the cache that is nearest
// to the reader answered by itself, or why it asked.
//
//   Cache-Status  a list of caches, nearest to the origin first (RFC 8941 section 3.1), each a token or a string with
//                 parameters:  origin-cache; fwd=stale; ttl=30, "near.example"; hit
//   hit           a boolean: the response came from the cache
//   fwd           a token: why the request went on; the words of RFC 9211 section 2.2, no others
//
// Refuses: to repair. A line that is no such list says nothing, nor does a word that the RFC does not have, so what
// comes out is one of our own words whatever went in. Only the last line that is not blank is looked at: the lines
// before it were written further away, and whoever wrote them has no say in how the nearest cache is understood.
// Threading: pure functions. Tested in cache_status_test.cc against a naive oracle; fuzzed in cache_status_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/http_fields.h"

namespace stile::wire {

/// `hit`, or the reason for which the request went on (RFC 9211 section 2.2).
enum class CacheOutcome : std::uint8_t { hit, bypass, method, uri_miss, vary_miss, miss, request, stale, partial };
inline constexpr int cache_outcome_count = static_cast<int>(CacheOutcome::partial) + 1;

/// "hit", "uri-miss", …: as RFC 9211 spells it.
[[nodiscard]] std::string_view name(CacheOutcome outcome) noexcept;

/// Of one line's list; absent where it is malformed, or its last member says neither.
[[nodiscard]] std::optional<CacheOutcome> decode_cache_status(std::string_view value) noexcept;

/// Of a response.
[[nodiscard]] std::optional<CacheOutcome> cache_outcome(const HttpFields& fields) noexcept;

}  // namespace stile::wire
