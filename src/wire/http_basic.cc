#include "wire/http_basic.h"

#include <cstdint>

#include "base/assert.h"
#include "wire/http_fields.h"

namespace stile::wire {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<std::uint32_t> sextet(char octet) noexcept {
  const std::size_t at = octet == '\0' ? std::string_view::npos : alphabet.find(octet);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<std::uint32_t>(at);
}

/// RFC 4648 section 4; bits that do not become octets must be zero, so that one value has one spelling.
bool decode_base64(std::string_view text, ByteWriter& writer) noexcept {
  if (text.empty() || text.size() % 4 != 0) return false;
  const std::size_t padding = text.ends_with("==") ? 2 : (text.ends_with('=') ? 1 : 0);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const auto value = sextet(text[i]);
    if (!value) return false;
    bits = (bits << 6) | *value;
    if (i % 4 != 0) writer.u8(static_cast<std::uint8_t>(bits >> (6 - 2 * (i % 4))));
  }
  const std::uint32_t unused = padding == 2 ? 0xFU : (padding == 1 ? 0x3U : 0U);
  return (bits & unused) == 0 && !writer.overflowed();
}

/// `octet_at(i)` gives the octets, so that none of them is copied anywhere but into the result.
template <class OctetAt>
std::string encode_base64(std::string_view before, std::size_t size, OctetAt octet_at) {
  std::string text;
  text.reserve(before.size() + (size + 2) / 3 * 4);  // a string that grows leaves copies behind
  text.append(before);
  for (std::size_t i = 0; i < size; i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = (bits << 8) | (i + j < size ? static_cast<std::uint8_t>(octet_at(i + j)) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      const bool padded = i + j > size;
      text += padded ? '=' : alphabet[(bits >> (18 - 6 * j)) & 0x3F];
    }
  }
  return text;
}

}  // namespace

std::optional<Credentials> decode_basic(std::string_view value, MutableBytes room) noexcept {
  STILE_ASSERT(room.size() >= basic_octets_max);
  const std::size_t space = value.find(' ');
  if (space == std::string_view::npos || !equals_ignoring_case(value.substr(0, space), "Basic")) return std::nullopt;
  const std::size_t begin = value.find_first_not_of(' ', space);
  if (begin == std::string_view::npos) return std::nullopt;
  ByteWriter writer(room.first(basic_octets_max));
  if (!decode_base64(value.substr(begin), writer)) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(writer.written().data()), writer.written().size());
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const Credentials credentials{.user = text.substr(0, colon), .password = text.substr(colon + 1)};
  if (credentials.user.size() > 255 || credentials.password.size() > 255) return std::nullopt;
  return credentials;
}

std::string encode_basic(const Credentials& credentials) {
  STILE_ASSERT(credentials.user.size() <= 255 && credentials.password.size() <= 255);
  STILE_ASSERT(credentials.user.find(':') == std::string_view::npos);
  const std::size_t user_octets = credentials.user.size();
  return encode_base64("Basic ", user_octets + 1 + credentials.password.size(), [&](std::size_t at) {
    if (at < user_octets) return credentials.user[at];
    return at == user_octets ? ':' : credentials.password[at - user_octets - 1];
  });
}

}  // namespace stile::wire
