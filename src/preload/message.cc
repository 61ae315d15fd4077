#include "preload/message.h"

#include <algorithm>

#include "base/assert.h"

namespace stile::preload {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t family_v4 = 4;
constexpr std::uint8_t family_v6 = 6;
constexpr std::string_view digits = "0123456789abcdef";
constexpr std::string_view name_prefix = "stile-preload-";
static_assert(name_prefix.size() + 2 * key_octets == std::tuple_size_v<SocketName>);

void write(const Key& key, char* text) noexcept {
  for (const std::uint8_t octet : key) {
    *text++ = digits[octet >> 4];
    *text++ = digits[octet & 0xF];
  }
}

bool read(std::string_view text, Key& key) noexcept {
  for (std::size_t i = 0; i < key.size(); ++i) {
    const std::size_t high = digits.find(text[2 * i]);
    const std::size_t low = digits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    key[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

void put(ByteWriter& writer, const Endpoint& endpoint) noexcept {
  writer.u8(endpoint.address.is_v4() ? family_v4 : family_v6);
  writer.append(endpoint.address.octets());
  writer.u16(endpoint.port);
}

bool get(ByteReader& reader, Endpoint& endpoint) noexcept {
  const std::uint8_t family = reader.u8();
  const std::size_t size = family == family_v4 ? 4 : 16;
  const ConstBytes octets = reader.take(size);
  endpoint.port = reader.u16();
  if (reader.short_of_input() || (family != family_v4 && family != family_v6)) return false;
  endpoint.address = family == family_v4 ? Address::v4(octets.first<4>()) : Address::v6(octets.first<16>());
  return true;
}

void put(ByteWriter& writer, ConstBytes octets) noexcept {
  STILE_ASSERT(octets.size() <= message_text_octets_max);
  writer.u16(static_cast<std::uint16_t>(octets.size()));
  writer.append(octets);
}

bool get(ByteReader& reader, ConstBytes& octets) noexcept {
  const std::size_t size = reader.u16();
  octets = reader.take(size);
  return !reader.short_of_input() && size <= message_text_octets_max && reader.rest().empty();
}

}  // namespace

std::optional<Keys> parse_keys(std::string_view text) noexcept {
  Keys keys;
  if (text.size() != keys_text_octets) return std::nullopt;
  if (!read(text, keys.name) || !read(text.substr(2 * key_octets), keys.proof)) return std::nullopt;
  return keys;
}

void write_keys(const Keys& keys, char* text) noexcept {
  write(keys.name, text);
  write(keys.proof, text + 2 * key_octets);
}

SocketName socket_name(const Key& name) noexcept {
  SocketName text{};
  write(name, std::ranges::copy(name_prefix, text.begin()).out);
  return text;
}

ConstBytes encode(const Question& question, MessageRoom& room) noexcept {
  ByteWriter writer(room);
  writer.u8(version);
  writer.append(question.proof);
  writer.u8(static_cast<std::uint8_t>(question.kind));
  put(writer, question.local);
  put(writer, question.called);
  put(writer, question.octets);
  STILE_ASSERT(!writer.overflowed());
  return writer.written();
}

ConstBytes encode(const Answer& answer, MessageRoom& room) noexcept {
  ByteWriter writer(room);
  writer.u8(version);
  writer.u16(answer.error);
  put(writer, answer.first);
  put(writer, answer.second);
  put(writer, answer.octets);
  STILE_ASSERT(!writer.overflowed());
  return writer.written();
}

std::optional<Question> decode_question(ConstBytes record) noexcept {
  ByteReader reader(record);
  Question question;
  if (reader.u8() != version) return std::nullopt;
  const ConstBytes proof = reader.take(key_octets);
  const std::uint8_t kind = reader.u8();
  if (reader.short_of_input()) return std::nullopt;
  std::ranges::copy(proof, question.proof.begin());
  if (kind < static_cast<std::uint8_t>(Kind::stream) || kind > static_cast<std::uint8_t>(Kind::address)) {
    return std::nullopt;
  }
  question.kind = static_cast<Kind>(kind);
  if (!get(reader, question.local) || !get(reader, question.called) || !get(reader, question.octets))
    return std::nullopt;
  return question;
}

std::optional<Answer> decode_answer(ConstBytes record) noexcept {
  ByteReader reader(record);
  Answer answer;
  if (reader.u8() != version) return std::nullopt;
  answer.error = reader.u16();
  if (!get(reader, answer.first) || !get(reader, answer.second) || !get(reader, answer.octets)) return std::nullopt;
  return answer;
}

}  // namespace stile::preload
