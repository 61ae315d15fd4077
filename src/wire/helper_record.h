// What the server and its helper process say to each other (auth/helper.h): decoder and encoder of each record, for
// both ends. A record is one message of a seqpacket socket, and says its own length; what is more or less is malformed.
// All numbers are big-endian, a text is its length and so many octets.
//
//   record    VER 01 | KIND 1 | LEN 4 | BODY LEN
//   login     KIND 01, server   ID 8 | DUE 8 | METHOD 1 | SERVICE 1.. | USER 1.. | PASSWORD 1.. | CLIENT 1.. |
//   LISTENER 1.. verdict   KIND 02, helper   ID 8 | OUTCOME 1 | USER 1.. | COUNT 1 | COUNT groups, each 1.. notice KIND
//   03, helper   TEXT 2.. token     KIND 04, server   ID 8 | DUE 8 | CONVERSATION 8 | TOKEN 2.. progress  KIND 05,
//   helper   ID 8 | OUTCOME 1 | USER 1.. | TOKEN 2.. | CONTEXT 2..
//
// DUE is a point of CLOCK_MONOTONIC, in nanoseconds, which both processes share: a request that waited for a helper to
// be started again is not answered late. A GSSAPI login is a conversation of one token or more; progress that is
// accepted brings the context, exported, and whom it names.
//
// Refuses, on both ends: names that are empty, longer than 255 octets, not UTF-8, or hold a control octet (threats TA5,
// TA6); passwords that are empty or hold a NUL; services that are no plain file name; a verdict that names somebody
// though nobody was accepted, or accepts nobody; a token that is empty. A password is never copied: decoders point into
// the caller's input, which its owner wipes. Threading: pure functions. Tested in helper_record_test.cc against
// tests/vectors/helper.records and a naive oracle; fuzzed in helper_record_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/auth_methods.h"
#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

/// A password to be judged. The texts point into the input that was decoded.
struct HelperLogin {
  std::uint64_t id = 0;   // the server's own; the verdict has it too
  std::uint64_t due = 0;  // nanoseconds of CLOCK_MONOTONIC
  AuthMethod method = AuthMethod::pam;
  std::string_view service;  // of PAM; empty for other methods
  std::string_view user;
  std::string_view password;
  std::string_view client;    // its address
  std::string_view listener;  // by its name

  friend bool operator==(const HelperLogin&, const HelperLogin&) = default;
};

enum class HelperOutcome : std::uint8_t {
  accepted = 1,
  refused = 2,
  unavailable = 3,  // the back end does not answer
  crashed = 4,      // its code died of this request
  more = 5,         // progress alone: the client has to go on
};

struct HelperVerdict {
  std::uint64_t id = 0;
  HelperOutcome outcome = HelperOutcome::refused;
  std::string_view user;                 // as the back end names it; of an accepted one only
  std::vector<std::string_view> groups;  // likewise

  friend bool operator==(const HelperVerdict&, const HelperVerdict&) = default;
};

/// A client's GSSAPI token (RFC 1961 section 3.3).
struct HelperToken {
  std::uint64_t id = 0;
  std::uint64_t due = 0;
  std::uint64_t conversation = 0;  // the client's: its tokens belong together
  ConstBytes token;

  friend bool operator==(const HelperToken& left, const HelperToken& right) noexcept;
};

/// What came of it. As of HelperVerdict, and beside that:
struct HelperProgress {
  std::uint64_t id = 0;
  HelperOutcome outcome = HelperOutcome::refused;
  std::string_view user;
  ConstBytes token;    // for the client; where more is due never empty
  ConstBytes context;  // of an accepted one only; it holds keys

  friend bool operator==(const HelperProgress& left, const HelperProgress& right) noexcept;
};

/// For the operator.
struct HelperNotice {
  std::string_view text;

  friend bool operator==(const HelperNotice&, const HelperNotice&) = default;
};

enum class HelperKind : std::uint8_t { login = 1, verdict = 2, notice = 3, token = 4, progress = 5 };

/// What a record says it is; a record that says something else is none.
[[nodiscard]] constexpr bool is_helper_record(ConstBytes record, HelperKind kind) noexcept {
  return record.size() > 1 && record[1] == static_cast<std::uint8_t>(kind);
}

// Malformed: auth_unavailable, at the version, the kind, or the end of the body.
[[nodiscard]] ParseResult<HelperLogin> decode_helper_login(ConstBytes input);
[[nodiscard]] ParseResult<HelperVerdict> decode_helper_verdict(ConstBytes input);
[[nodiscard]] ParseResult<HelperNotice> decode_helper_notice(ConstBytes input);
[[nodiscard]] ParseResult<HelperToken> decode_helper_token(ConstBytes input);
[[nodiscard]] ParseResult<HelperProgress> decode_helper_progress(ConstBytes input);

/// What a whole record says; nullopt where it is not exactly one of them.
template <class Record>
[[nodiscard]] std::optional<Record> whole_record(ParseResult<Record> decoded, ConstBytes input) {
  auto* const parsed = std::get_if<Parsed<Record>>(&decoded);
  if (parsed == nullptr || parsed->consumed != input.size()) return std::nullopt;
  return std::move(parsed->value);
}

/// What could be decoded (asserted), into the caller's buffer, because its owner has to wipe it.
void encode_helper_login(ByteWriter& writer, const HelperLogin& login) noexcept;
void encode_helper_verdict(ByteWriter& writer, const HelperVerdict& verdict) noexcept;
void encode_helper_notice(ByteWriter& writer, const HelperNotice& notice) noexcept;
void encode_helper_token(ByteWriter& writer, const HelperToken& token) noexcept;
void encode_helper_progress(ByteWriter& writer, const HelperProgress& progress) noexcept;

/// Whether a back end that is not Stile's own may be asked about, or may name, somebody or a group of this name.
[[nodiscard]] bool is_name_for_back_ends(std::string_view name) noexcept;
/// Whether PAM could have a service of this name: one file of /etc/pam.d.
[[nodiscard]] bool is_service_name(std::string_view name) noexcept;

}  // namespace stile::wire
