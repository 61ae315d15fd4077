// What a program that runs behind libstile-preload.so asks the carrier (carrier.h), and what it is told: one question
// and one answer, a record each (sys/record_socket.h). Both are made by one build and meet within one host; still each
// takes the other's octets for a stranger's. Allocates nothing. Pure; tested in message_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"

namespace stile::preload {

/// The name of the carrier's socket, and what shows it that somebody may ask: as many hexadecimal digits in the
/// variable STILE_PRELOAD.
inline constexpr std::size_t key_octets = 16;
using Key = std::array<std::uint8_t, key_octets>;
struct Keys {
  Key name{};
  Key proof{};

  friend bool operator==(const Keys&, const Keys&) = default;
};
inline constexpr std::size_t keys_text_octets = 4 * key_octets;
[[nodiscard]] std::optional<Keys> parse_keys(std::string_view text) noexcept;
/// Fills exactly `keys_text_octets`.
void write_keys(const Keys& keys, char* text) noexcept;

/// "stile-preload-" and the name's digits: in Linux' abstract namespace (unix(7)).
using SocketName = std::array<char, 14 + 2 * key_octets>;
[[nodiscard]] SocketName socket_name(const Key& name) noexcept;

inline constexpr const char* keys_variable = "STILE_PRELOAD";
/// Set and not empty: programs that the library cannot be loaded into may be executed.
inline constexpr const char* lenient_variable = "STILE_PRELOAD_LENIENT";
inline constexpr const char* library_file = "libstile-preload.so";

enum class Kind : std::uint8_t {
  stream = 1,    // the socket at `local` connects to `called`: where it shall connect instead. It does so, and then
                 // closes the link on which it asked
  about = 2,     // what became of that, of the socket at `local`, which is connected to `called`, or to nobody (port 0)
  datagram = 3,  // the socket at `local` sends to `called`: where it shall send instead
  sender = 4,    // who sends to the socket at `local` from `called`, which is a place of the carrier's
  dns = 5,       // `octets`: a DNS message
  name = 6,      // `octets`: a name; its addresses
  address = 7,   // `called`: the name behind an address
};

/// Of a DNS message and of a name.
inline constexpr std::size_t message_text_octets_max = 1232;

struct Question {
  Kind kind = Kind::about;
  Key proof{};
  Endpoint local;
  Endpoint called;
  ConstBytes octets;
};

/// `error` is an errno, 0 where all is well. Of `about`: EINPROGRESS while nothing has come of it yet, ENOENT where
/// nobody is known there, else why it came to nothing.
struct Answer {
  std::uint16_t error = 0;
  Endpoint first;   // where to connect or send to; who was called, or sends; the IPv4 address of a name
  Endpoint second;  // its IPv6 address
  ConstBytes octets;
};

inline constexpr std::size_t message_octets_max = 64 + message_text_octets_max;
using MessageRoom = std::array<std::uint8_t, message_octets_max>;

/// What was written to `room`, which is room enough (asserted: `octets` are no more than message_text_octets_max).
[[nodiscard]] ConstBytes encode(const Question& question, MessageRoom& room) noexcept;
[[nodiscard]] ConstBytes encode(const Answer& answer, MessageRoom& room) noexcept;
/// `octets` of what comes out lie in `record`. Nothing where that is no such record, to its last octet.
[[nodiscard]] std::optional<Question> decode_question(ConstBytes record) noexcept;
[[nodiscard]] std::optional<Answer> decode_answer(ConstBytes record) noexcept;

}  // namespace stile::preload
