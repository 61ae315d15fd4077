// Boost.Beast's HTTP/1 parser behind a face of our own: no other file of the tree sees Beast. It reads heads that
// http_lines.h has cut into lines, and is the second opinion on everything that decides where a message ends.
// Refuses: bodies, and every kind of I/O.
// Threading: pure functions. Tested through both heads in http_head_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "base/reason.h"
#include "wire/http_fields.h"

namespace stile::wire {

struct HttpParsedHead {
  HttpFields fields;
  bool chunked = false;                         // the last transfer coding is chunked
  std::optional<std::uint64_t> content_length;  // said once, or several times alike
};

/// `target` and `method` as in the request line; the version is taken for 1.1. Fails with http_syntax or http_framing.
[[nodiscard]] std::expected<HttpParsedHead, Reason> parse_http_request_head(std::string_view method,
                                                                            std::string_view target,
                                                                            std::span<const std::string_view> fields);
/// `status` is three digits, `phrase` may be empty.
[[nodiscard]] std::expected<HttpParsedHead, Reason> parse_http_response_head(std::string_view status,
                                                                             std::string_view phrase,
                                                                             std::span<const std::string_view> fields);

}  // namespace stile::wire
