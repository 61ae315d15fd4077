#include "wire/socks4.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/assert.h"

namespace stile::wire {
namespace {

std::optional<Command> socks4_command(std::uint8_t octet) noexcept {
  switch (const auto value = static_cast<Command>(octet)) {
    case Command::connect:
    case Command::bind:
    case Command::resolve:
      return value;
    default:
      return std::nullopt;
  }
}

/// What a field that ends with NUL turned out to be.
enum class FieldEnd : std::uint8_t { found, not_yet, too_long };

/// Reads up to and over the NUL; `text` is what stands before it. Too long: the reader stands behind the octet that
/// was one too many.
FieldEnd read_until_nul(ByteReader& reader, std::size_t octets_max, ConstBytes& text) noexcept {
  const ConstBytes window = reader.rest().first(std::min(reader.rest().size(), octets_max + 1));
  const auto nul = std::ranges::find(window, std::uint8_t{0});
  if (nul == window.end()) {
    (void)reader.take(window.size());
    return window.size() > octets_max ? FieldEnd::too_long : FieldEnd::not_yet;
  }
  text = reader.take(static_cast<std::size_t>(nul - window.begin()));
  (void)reader.u8();
  return FieldEnd::found;
}

/// SOCKS4A: "the client should set the first three bytes of DSTIP to NULL and the last byte to a non-zero value".
bool announces_name(ConstBytes address) noexcept {
  return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] != 0;
}

bool goes_as_name(const Host& host) noexcept {
  const Address* address = std::get_if<Address>(&host);
  return address == nullptr || !address->is_v4() || announces_name(address->octets());
}

void write_text(ByteWriter& writer, std::string_view text) noexcept {
  for (const char c : text) writer.u8(static_cast<std::uint8_t>(c));
  writer.u8(0);
}

}  // namespace

Socks4Code socks4_code(Reason reason) noexcept {
  return reason == Reason::none ? Socks4Code::granted : Socks4Code::rejected;
}

ParseResult<Socks4Request> decode_socks4_request(ConstBytes input) {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != socks4_version) return Malformed{.reason = Reason::protocol_unknown, .consumed = reader.consumed()};
  const auto command = socks4_command(reader.u8());
  AddressField destination;
  destination.port = reader.u16();
  const ConstBytes address = reader.take(4);
  if (reader.short_of_input()) return NeedMore{};
  ConstBytes user;
  ConstBytes name;
  const FieldEnd user_end = read_until_nul(reader, limits::socks4_user_octets_max, user);
  if (user_end == FieldEnd::not_yet) return NeedMore{};
  if (user_end == FieldEnd::too_long) return Malformed{.reason = Reason::request_user, .consumed = reader.consumed()};
  if (announces_name(address)) {
    const FieldEnd name_end = read_until_nul(reader, limits::socks4_name_octets_max, name);
    if (name_end == FieldEnd::not_yet) return NeedMore{};
    if (name_end == FieldEnd::too_long) return Malformed{.reason = Reason::request_name, .consumed = reader.consumed()};
    destination.type = AddressType::name;
    destination.received_name.assign(name.begin(), name.end());
    destination.host = canonical_host(destination.received_name);
  } else {
    destination.host = Address::v4(address.first<4>());
  }
  if (!command) return Malformed{.reason = Reason::command_unknown, .consumed = reader.consumed()};
  return Parsed<Socks4Request>{.value = {.command = *command,
                                         .destination = std::move(destination),
                                         .user = std::string(user.begin(), user.end())},
                               .consumed = reader.consumed()};
}

ParseResult<Socks4Reply> decode_socks4_reply(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != 0 && version != socks4_version) {
    return Malformed{.reason = Reason::protocol_unknown, .consumed = reader.consumed()};
  }
  Socks4Reply reply{.code = static_cast<Socks4Code>(reader.u8()), .bound = {}};
  reply.bound.port = reader.u16();
  const ConstBytes address = reader.take(4);
  if (reader.short_of_input()) return NeedMore{};
  reply.bound.address = Address::v4(address.first<4>());
  return Parsed<Socks4Reply>{.value = reply, .consumed = reader.consumed()};
}

WireBuffer<socks4_request_octets_max> encode_socks4_request(Command command, const Target& destination,
                                                            std::string_view user) noexcept {
  STILE_ASSERT(socks4_command(static_cast<std::uint8_t>(command)));
  STILE_ASSERT(user.size() <= limits::socks4_user_octets_max && user.find('\0') == std::string_view::npos);
  return WireBuffer<socks4_request_octets_max>([&](ByteWriter& writer) {
    writer.u8(socks4_version);
    writer.u8(static_cast<std::uint8_t>(command));
    writer.u16(destination.port);
    const bool as_name = goes_as_name(destination.host);
    writer.append(as_name ? Address::v4(0, 0, 0, 1).octets() : destination.address()->octets());
    write_text(writer, user);
    if (as_name) write_text(writer, to_string(destination.host));
  });
}

std::array<std::uint8_t, socks4_reply_octets> encode_socks4_reply(Socks4Code code, const Endpoint& bound) noexcept {
  std::array<std::uint8_t, socks4_reply_octets> reply{};
  ByteWriter writer(reply);
  writer.u8(0);
  writer.u8(static_cast<std::uint8_t>(code));
  writer.u16(bound.port);
  if (bound.address.is_v4()) writer.append(bound.address.octets());
  return reply;
}

}  // namespace stile::wire
