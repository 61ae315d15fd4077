#include "wire/tls_client_hello.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace stile::wire {
namespace {

constexpr std::uint8_t client_hello = 1;
constexpr std::uint16_t extension_server_name = 0;
constexpr std::uint16_t extension_alpn = 16;
constexpr std::uint8_t name_type_host = 0;
constexpr std::size_t record_header_octets = 5;
constexpr std::size_t handshake_header_octets = 4;
constexpr std::size_t fragment_octets_max = 16 * limits::KiB;  // RFC 8446 section 5.1
constexpr std::size_t random_octets = 32;
constexpr std::size_t session_id_octets_max = 32;

std::string text_of(ConstBytes octets) {
  return {octets.begin(), octets.end()};
}

/// The handshake's octets, out of the records that carry them.
class Fragments {
 public:
  enum class State : std::uint8_t { enough, need_more, broken };

  explicit Fragments(ConstBytes input) noexcept : input_(input) {}

  /// Until `octets` of them are there, or as many as came.
  State gather(std::size_t octets) {
    while (gathered_.size() < octets) {
      if (left_ == 0) {
        if (input_.size() - position_ < record_header_octets) return State::need_more;
        if (!begin_record()) return State::broken;
      }
      const std::size_t run = std::min({octets - gathered_.size(), left_, input_.size() - position_});
      if (run == 0) return State::need_more;
      const ConstBytes taken = input_.subspan(position_, run);
      gathered_.insert(gathered_.end(), taken.begin(), taken.end());
      position_ += run;
      left_ -= run;
    }
    return State::enough;
  }

  [[nodiscard]] ConstBytes octets() const noexcept { return gathered_; }
  /// Of the input, records' headers included.
  [[nodiscard]] std::size_t consumed() const noexcept { return position_; }

 private:
  bool begin_record() noexcept {
    ByteReader header(input_.subspan(position_, record_header_octets));
    const std::uint8_t type = header.u8();
    const std::uint8_t major = header.u8();
    const std::uint8_t minor = header.u8();
    left_ = header.u16();
    position_ += record_header_octets;
    return type == tls_handshake_record && major == 3 && minor <= 4 && left_ > 0 && left_ <= fragment_octets_max;
  }

  ConstBytes input_;
  std::size_t position_ = 0;
  std::size_t left_ = 0;  // of the record in hand
  std::vector<std::uint8_t> gathered_;
};

/// RFC 6066 section 3: ServerNameList. The first host name counts; other types have never been defined.
std::optional<std::string> read_server_name(ConstBytes data) {
  ByteReader reader(data);
  const ConstBytes list = reader.take(reader.u16());
  if (reader.short_of_input() || !reader.rest().empty() || list.empty()) return std::nullopt;
  std::string found;
  for (ByteReader names(list); !names.rest().empty();) {
    const std::uint8_t type = names.u8();
    const ConstBytes name = names.take(names.u16());
    if (names.short_of_input() || name.empty()) return std::nullopt;
    if (type == name_type_host && found.empty()) found = text_of(name);
  }
  return found;
}

/// RFC 8701 section 2: 0A 0A, 1A 1A, … FA FA.
bool is_grease(ConstBytes name) noexcept {
  return name.size() == 2 && name[0] == name[1] && (name[0] & 0x0F) == 0x0A;
}

/// RFC 7301 section 3.1: ProtocolNameList.
std::optional<std::vector<std::string>> read_protocols(ConstBytes data) {
  ByteReader reader(data);
  const ConstBytes list = reader.take(reader.u16());
  if (reader.short_of_input() || !reader.rest().empty() || list.empty()) return std::nullopt;
  std::vector<std::string> found;
  for (ByteReader names(list); !names.rest().empty();) {
    const ConstBytes name = names.take(names.u8());
    if (names.short_of_input() || name.empty()) return std::nullopt;
    if (!is_grease(name)) found.push_back(text_of(name));
  }
  return found;
}

/// RFC 8446 section 4.2: "There MUST NOT be more than one extension of the same type".
std::optional<TlsClientHello> read_extensions(ConstBytes octets) {
  TlsClientHello hello;
  bool named = false;
  bool offered = false;
  for (ByteReader reader(octets); !reader.rest().empty();) {
    const std::uint16_t type = reader.u16();
    const ConstBytes data = reader.take(reader.u16());
    if (reader.short_of_input()) return std::nullopt;
    if (type == extension_server_name) {
      auto name = read_server_name(data);
      if (!name || std::exchange(named, true)) return std::nullopt;
      hello.server_name = *std::move(name);
    } else if (type == extension_alpn) {
      auto protocols = read_protocols(data);
      if (!protocols || std::exchange(offered, true)) return std::nullopt;
      hello.protocols = *std::move(protocols);
    }
  }
  return hello;
}

std::optional<TlsClientHello> read_hello(ConstBytes octets) {
  ByteReader reader(octets);
  static_cast<void>(reader.u16());
  static_cast<void>(reader.take(random_octets));
  const ConstBytes session_id = reader.take(reader.u8());
  const ConstBytes cipher_suites = reader.take(reader.u16());
  const ConstBytes compression = reader.take(reader.u8());
  if (reader.short_of_input() || session_id.size() > session_id_octets_max || cipher_suites.empty() ||
      cipher_suites.size() % 2 != 0 || compression.empty()) {
    return std::nullopt;
  }
  if (reader.rest().empty()) return TlsClientHello{};  // before extensions were invented
  const ConstBytes extensions = reader.take(reader.u16());
  if (reader.short_of_input() || !reader.rest().empty()) return std::nullopt;
  return read_extensions(extensions);
}

}  // namespace

ParseResult<TlsClientHello> decode_tls_client_hello(ConstBytes input) {
  Fragments fragments(input);
  const auto verdict_on = [&](Fragments::State state) -> ParseResult<TlsClientHello> {
    if (state == Fragments::State::need_more) return NeedMore{};
    return Malformed{.reason = Reason::tls_hello, .consumed = fragments.consumed()};
  };
  const auto header = fragments.gather(handshake_header_octets);
  if (header != Fragments::State::enough) return verdict_on(header);
  ByteReader reader(fragments.octets());
  const std::uint8_t type = reader.u8();
  const std::uint8_t length_high = reader.u8();
  const std::size_t length = (std::size_t{length_high} << 16) | reader.u16();
  if (type != client_hello || handshake_header_octets + length > limits::tls_hello_octets_max) {
    return verdict_on(Fragments::State::broken);
  }
  const auto body = fragments.gather(handshake_header_octets + length);
  if (body != Fragments::State::enough) return verdict_on(body);
  auto hello = read_hello(fragments.octets().subspan(handshake_header_octets));
  if (!hello) return verdict_on(Fragments::State::broken);
  return Parsed<TlsClientHello>{.value = *std::move(hello), .consumed = fragments.consumed()};
}

}  // namespace stile::wire
