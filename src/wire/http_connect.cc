#include "wire/http_connect.h"

#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"

namespace stile::wire {
namespace {

void append(ByteWriter& writer, std::string_view text) noexcept {
  for (const char letter : text) writer.u8(static_cast<std::uint8_t>(letter));
}

constexpr bool is_digit(std::uint8_t octet) noexcept {
  return octet >= '0' && octet <= '9';
}

}  // namespace

WireBuffer<http_connect_octets_max> encode_http_connect(const Target& target, const Credentials& credentials) {
  return WireBuffer<http_connect_octets_max>([&](ByteWriter& writer) {
    const std::string authority = target.to_string();
    append(writer, "CONNECT ");
    append(writer, authority);
    append(writer, " HTTP/1.1\r\nHost: ");
    append(writer, authority);
    if (!credentials.user.empty()) {
      std::string login = encode_basic(credentials);
      append(writer, "\r\nProxy-Authorization: ");
      append(writer, login);
      ::explicit_bzero(login.data(), login.size());
    }
    append(writer, "\r\n\r\n");
  });
}

void HttpConnectAnswer::take(ConstBytes octets) noexcept {
  STILE_ASSERT(octets.size() <= missing());
  for (const std::uint8_t octet : octets) {
    if (malformed_) return;
    take(octet);
  }
}

void HttpConnectAnswer::take(std::uint8_t octet) noexcept {
  constexpr std::string_view form = "HTTP/1.# ###";
  static_assert(form.size() == status_octets);
  const std::size_t at = size_++;
  if (at < form.size()) {
    const char wanted = form[at];
    if (wanted == '#' ? !is_digit(octet) : octet != static_cast<std::uint8_t>(wanted)) {
      malformed_ = octet;
      return;
    }
    if (wanted == '#' && at > 8) status_ = static_cast<std::uint16_t>(status_ * 10 + (octet - '0'));
    return;
  }
  constexpr std::string_view end = "\r\n\r\n";
  const bool in_end = octet == static_cast<std::uint8_t>(end[end_matched_]);
  const bool bare_line_feed = octet == '\n' && !in_end;
  if (bare_line_feed || size_ > limits::http_fields_octets_max) malformed_ = octet;
  if (in_end) {
    ++end_matched_;
  } else {
    end_matched_ = octet == '\r' ? 1 : 0;
  }
}

std::size_t HttpConnectAnswer::missing() const noexcept {
  if (malformed_ || end_matched_ == end_octets) return 0;
  const std::size_t of_status = size_ < status_octets ? status_octets - size_ : 0;
  return of_status + end_octets - end_matched_;
}

std::optional<std::uint16_t> HttpConnectAnswer::status() const noexcept {
  if (size_ < status_octets) return std::nullopt;
  return status_;
}

}  // namespace stile::wire
