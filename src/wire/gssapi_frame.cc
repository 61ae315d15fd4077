#include "wire/gssapi_frame.h"

#include <algorithm>
#include <variant>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::wire {

static_assert(limits::gss_token_octets_max == 0xFFFF, "LEN has two octets");

bool operator==(const GssFrame& left, const GssFrame& right) noexcept {
  return left.message == right.message && std::ranges::equal(left.token, right.token);
}

// RFC 1961 sections 3.3, 4.1 and 5.
ParseResult<GssFrame> decode_gss_frame(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != gss_version) return Malformed{.reason = Reason::gss_version, .consumed = reader.consumed()};
  const auto message = static_cast<GssMessage>(reader.u8());
  if (reader.short_of_input()) return NeedMore{};
  switch (message) {
    case GssMessage::context:
    case GssMessage::level:
    case GssMessage::data:
      break;
    case GssMessage::abort:  // section 3.5: no length follows
      return Parsed<GssFrame>{.value = {.message = message, .token = {}}, .consumed = reader.consumed()};
    default:
      return Malformed{.reason = Reason::gss_order, .consumed = reader.consumed()};
  }
  const std::uint16_t octets = reader.u16();
  if (reader.short_of_input()) return NeedMore{};
  if (octets == 0 && message != GssMessage::context) {
    return Malformed{.reason = Reason::gss_token, .consumed = reader.consumed()};
  }
  const ConstBytes token = reader.take(octets);
  if (reader.short_of_input()) return NeedMore{};
  return Parsed<GssFrame>{.value = {.message = message, .token = token}, .consumed = reader.consumed()};
}

std::optional<ConstBytes> decode_gss_datagram(ConstBytes datagram) noexcept {
  const auto result = decode_gss_frame(datagram);
  const auto* parsed = std::get_if<Parsed<GssFrame>>(&result);
  if (parsed == nullptr || parsed->value.message != GssMessage::data || parsed->consumed != datagram.size()) {
    return std::nullopt;
  }
  return parsed->value.token;
}

std::array<std::uint8_t, gss_header_octets> encode_gss_header(GssMessage message, std::size_t octets) noexcept {
  STILE_ASSERT(message != GssMessage::abort);
  STILE_ASSERT(octets <= limits::gss_token_octets_max);
  std::array<std::uint8_t, gss_header_octets> header{};
  ByteWriter writer(header);
  writer.u8(gss_version);
  writer.u8(static_cast<std::uint8_t>(message));
  writer.u16(static_cast<std::uint16_t>(octets));
  return header;
}

std::array<std::uint8_t, 2> encode_gss_abort() noexcept {
  return {gss_version, static_cast<std::uint8_t>(GssMessage::abort)};
}

}  // namespace stile::wire
