#include "wire/userpass.h"

#include <algorithm>

#include "base/assert.h"

namespace stile::wire {
namespace {

std::string_view as_text(ConstBytes octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

void write_field(ByteWriter& writer, std::string_view field) noexcept {
  STILE_ASSERT(field.size() <= 255);
  writer.u8(static_cast<std::uint8_t>(field.size()));
  for (const char c : field) writer.u8(static_cast<std::uint8_t>(c));
}

}  // namespace

ParseResult<Credentials> decode_credentials(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != userpass_version) return Malformed{.reason = Reason::auth_version, .consumed = reader.consumed()};
  const std::string_view user = as_text(reader.take(reader.u8()));
  const std::string_view password = as_text(reader.take(reader.u8()));
  if (reader.short_of_input()) return NeedMore{};
  return Parsed<Credentials>{.value = {.user = user, .password = password}, .consumed = reader.consumed()};
}

void encode_credentials(ByteWriter& writer, const Credentials& credentials) noexcept {
  writer.u8(userpass_version);
  write_field(writer, credentials.user);
  write_field(writer, credentials.password);
}

ParseResult<CredentialsAnswer> decode_credentials_answer(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != userpass_version) return Malformed{.reason = Reason::auth_version, .consumed = reader.consumed()};
  const CredentialsAnswer answer{.status = reader.u8()};
  if (reader.short_of_input()) return NeedMore{};
  return Parsed<CredentialsAnswer>{.value = answer, .consumed = reader.consumed()};
}

bool can_be_asked(const Credentials& credentials) noexcept {
  const auto is_control = [](char octet) { return static_cast<unsigned char>(octet) < 0x20 || octet == 0x7F; };
  return !credentials.user.empty() && !credentials.password.empty() &&
         std::ranges::none_of(credentials.user, is_control) &&
         credentials.password.find('\0') == std::string_view::npos;
}

std::array<std::uint8_t, 2> encode_credentials_answer(bool succeeded) noexcept {
  return {userpass_version, succeeded ? std::uint8_t{0} : std::uint8_t{1}};
}

}  // namespace stile::wire
