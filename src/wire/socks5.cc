#include "wire/socks5.h"

#include <utility>

#include "base/assert.h"

namespace stile::wire {

std::string_view name(Command command) noexcept {
  switch (command) {
    case Command::connect:
      return "connect";
    case Command::bind:
      return "bind";
    case Command::udp_associate:
      return "udp-associate";
    case Command::ping:
      return "ping";
    case Command::traceroute:
      return "traceroute";
    case Command::resolve:
      return "resolve";
    case Command::resolve_ptr:
      return "resolve-ptr";
  }
  return {};
}

std::optional<Command> known_command(std::uint8_t octet) noexcept {
  switch (const auto value = static_cast<Command>(octet)) {
    case Command::connect:
    case Command::bind:
    case Command::udp_associate:
    case Command::ping:
    case Command::traceroute:
    case Command::resolve:
    case Command::resolve_ptr:
      return value;
  }
  return std::nullopt;
}

// RFC 1928 section 3.
ParseResult<Greeting> decode_greeting(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != socks5_version) return Malformed{.reason = Reason::protocol_unknown, .consumed = reader.consumed()};
  Greeting greeting{.methods = {}, .count = reader.u8()};
  for (const std::uint8_t method : reader.take(greeting.count)) greeting.methods.set(method);
  if (reader.short_of_input()) return NeedMore{};
  return Parsed<Greeting>{.value = greeting, .consumed = reader.consumed()};
}

WireBuffer<greeting_octets_max> encode_greeting(std::span<const Method> methods) noexcept {
  STILE_ASSERT(methods.size() <= 255);
  return WireBuffer<greeting_octets_max>([&](ByteWriter& writer) {
    writer.u8(socks5_version);
    writer.u8(static_cast<std::uint8_t>(methods.size()));
    for (const Method method : methods) writer.u8(static_cast<std::uint8_t>(method));
  });
}

// RFC 1928 section 3.
ParseResult<MethodChoice> decode_method_choice(ConstBytes input) noexcept {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != socks5_version) return Malformed{.reason = Reason::protocol_unknown, .consumed = reader.consumed()};
  const MethodChoice choice{.method = static_cast<Method>(reader.u8())};
  if (reader.short_of_input()) return NeedMore{};
  return Parsed<MethodChoice>{.value = choice, .consumed = reader.consumed()};
}

std::array<std::uint8_t, 2> encode_method_choice(Method method) noexcept {
  return {socks5_version, static_cast<std::uint8_t>(method)};
}

// RFC 1928 section 4. The command is judged before the address type, but a known address type is read all the same, so
// that what follows the request stays framed.
ParseResult<Request> decode_request(ConstBytes input) {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != socks5_version) return Malformed{.reason = Reason::request_version, .consumed = reader.consumed()};
  const auto command = known_command(reader.u8());
  const std::uint8_t reserved = reader.u8();
  const auto type = known_address_type(reader.u8());
  if (reader.short_of_input()) return NeedMore{};
  if (!type) {
    const Reason reason = command ? Reason::address_type_unknown : Reason::command_unknown;
    return Malformed{.reason = reason, .consumed = reader.consumed()};
  }
  auto destination = read_address_field(reader, *type);
  if (!destination) return NeedMore{};
  if (!command) return Malformed{.reason = Reason::command_unknown, .consumed = reader.consumed()};
  return Parsed<Request>{.value = {.command = *command, .reserved = reserved, .destination = *std::move(destination)},
                         .consumed = reader.consumed()};
}

WireBuffer<request_octets_max> encode_request(Command command, const Target& destination,
                                              std::uint8_t reserved) noexcept {
  return WireBuffer<request_octets_max>([&](ByteWriter& writer) {
    writer.u8(socks5_version);
    writer.u8(static_cast<std::uint8_t>(command));
    writer.u8(reserved);
    write_address_field(writer, destination);
  });
}

// RFC 1928 section 6.
ParseResult<Reply> decode_reply(ConstBytes input) {
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != socks5_version) return Malformed{.reason = Reason::protocol_unknown, .consumed = reader.consumed()};
  const auto code = static_cast<ReplyCode>(reader.u8());
  const std::uint8_t reserved = reader.u8();
  const auto type = known_address_type(reader.u8());
  if (reader.short_of_input()) return NeedMore{};
  if (!type) return Malformed{.reason = Reason::address_type_unknown, .consumed = reader.consumed()};
  auto bound = read_address_field(reader, *type);
  if (!bound) return NeedMore{};
  return Parsed<Reply>{.value = {.code = code, .reserved = reserved, .bound = *std::move(bound)},
                       .consumed = reader.consumed()};
}

std::size_t reply_octets_missing(ConstBytes beginning) noexcept {
  ByteReader reader(beginning);
  const std::uint8_t version = reader.u8();
  if (!beginning.empty() && version != socks5_version) return 0;
  (void)reader.take(2);
  const auto type = known_address_type(reader.u8());
  if (!reader.short_of_input() && !type) return 0;
  const std::uint8_t name_octets = reader.u8();
  // Every address has at least one octet, and a name's first tells its length.
  constexpr std::size_t head_octets = 5;
  if (reader.short_of_input()) return head_octets - beginning.size();
  const std::size_t address_octets = *type == AddressType::ipv4   ? 4U
                                     : *type == AddressType::ipv6 ? 16U
                                                                  : 1U + name_octets;
  const std::size_t octets = head_octets - 1 + address_octets + 2;
  return octets > beginning.size() ? octets - beginning.size() : 0;
}

WireBuffer<reply_octets_max> encode_reply(ReplyCode code, const Target& bound) noexcept {
  return WireBuffer<reply_octets_max>([&](ByteWriter& writer) {
    writer.u8(socks5_version);
    writer.u8(static_cast<std::uint8_t>(code));
    writer.u8(0);
    write_address_field(writer, bound);
  });
}

}  // namespace stile::wire
