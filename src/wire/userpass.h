// Name and password inside SOCKS5, RFC 1929 section 2: decoder and encoder of each message, for both ends.
//
//   credentials  client  VER 01 | ULEN 1 | UNAME 0..255 | PLEN 1 | PASSWD 0..255
//   answer       server  VER 01 | STATUS 1     00: success, anything else: the server closes
//
// Refuses: to judge and to keep. Empty fields and any octets are values here; the session decides. A password is never
// copied: decoders point into the caller's input, which its owner wipes.
// Threading: pure functions. Tested in userpass_test.cc against tests/vectors/userpass.txt and a naive oracle; fuzzed
// in userpass_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

inline constexpr std::uint8_t userpass_version = 0x01;
inline constexpr std::size_t credentials_octets_max = 1 + 1 + 255 + 1 + 255;

/// Both fields point into the input that was decoded and live as long as that does. They may hold any octets, NUL
/// included; a user "a\0b" is not "a".
struct Credentials {
  std::string_view user;
  std::string_view password;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

struct CredentialsAnswer {
  std::uint8_t status = 1;

  [[nodiscard]] bool succeeded() const noexcept { return status == 0; }

  friend bool operator==(const CredentialsAnswer&, const CredentialsAnswer&) = default;
};

/// Malformed: auth_version at the first octet, if that is not 01.
[[nodiscard]] ParseResult<Credentials> decode_credentials(ConstBytes input) noexcept;
/// As a client reads it. Malformed: auth_version.
[[nodiscard]] ParseResult<CredentialsAnswer> decode_credentials_answer(ConstBytes input) noexcept;

/// At most 255 octets each (asserted). Writes into the caller's buffer, because its owner has to wipe it.
void encode_credentials(ByteWriter& writer, const Credentials& credentials) noexcept;
/// Whether a back end may be asked at all: both fields hold something, the user no control octet, and neither a NUL,
/// which a C interface would take for the end (threats TA4 and TA6).
[[nodiscard]] bool can_be_asked(const Credentials& credentials) noexcept;
/// 01 00 or 01 01: what exactly failed is told to nobody.
[[nodiscard]] std::array<std::uint8_t, 2> encode_credentials_answer(bool succeeded) noexcept;

}  // namespace stile::wire
