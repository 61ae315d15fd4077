// The request line of HTTP/1.x (RFC 9112 section 3), read the same way when it arrives and when its head is whole.
// Refuses: see http_head.h, whose first half this is.
// Threading: pure functions. Tested in http_head_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/reason.h"
#include "wire/address_field.h"

namespace stile::wire {

/// What the proxy itself answers in origin-form, to GET and HEAD of exactly its path; all else in that form is refused.
enum class HttpOwn : std::uint8_t { nothing, pac };
inline constexpr std::string_view pac_path = "/proxy.pac";

struct HttpRequestLine {
  std::string_view method;  // this and the target point into the line
  std::string_view target;
  std::uint8_t minor = 1;
  AddressField destination;
  std::string path;
  bool own = false;  // see HttpRequestHead
};

/// Fails with http_syntax, http_version, http_target, http_scheme or request_port.
[[nodiscard]] std::expected<HttpRequestLine, Reason> parse_http_request_line(std::string_view line, HttpOwn own);

/// "HTTP/1.x" as x; fails with http_syntax, or http_version for another major version.
[[nodiscard]] std::expected<std::uint8_t, Reason> parse_http_version(std::string_view text) noexcept;

/// Whether a Host field may say this: RFC 9110 section 7.2, uri-host [ ":" port ], or nothing.
[[nodiscard]] bool is_host_value(std::string_view value) noexcept;

}  // namespace stile::wire
