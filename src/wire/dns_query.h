// A DNS query as a stub resolver sends it, and the answers to it (RFC 1035 section 4.1):
//
//   +----+-------+---------+---------+---------+---------+     flags: QR (1 bit, 0 in a query), OPCODE (4), AA, TC, RD,
//   | ID | flags | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT |            RA, Z (3), RCODE (4)
//   +----+-------+---------+---------+---------+---------+     question: labels, each a length octet up to 63 and so
//   | 2  |   2   |    2    |    2    |    2    |    2    |            many octets, then an octet 0; QTYPE, QCLASS
//   +----+-------+---------+---------+---------+---------+
//
// Refuses: to read more than one question, which no resolver sends, or what stands behind it: EDNS (RFC 6891) is not
// spoken, and whoever asks with it is answered without. Compression pointers: a first name has nothing to point to.
// Threading: values and pure functions. Tested in dns_query_test.cc, fuzzed in dns_query_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

// RFC 1035 section 3.2.2, RFC 3596 section 2.1, RFC 9460 section 14.1.
inline constexpr std::uint16_t dns_type_a = 1;
inline constexpr std::uint16_t dns_type_ptr = 12;
inline constexpr std::uint16_t dns_type_aaaa = 28;
inline constexpr std::uint16_t dns_type_svcb = 64;
inline constexpr std::uint16_t dns_type_https = 65;
inline constexpr std::uint16_t dns_class_in = 1;

/// A header, a name, type and class.
inline constexpr std::size_t dns_query_octets_max = 12 + 255 + 4;
/// What a receiver without EDNS takes in one datagram (RFC 1035 section 4.2.1).
inline constexpr std::size_t dns_datagram_octets_max = 512;

struct DnsQuestion {
  /// Labels with dots between them, as sent, whatever their case; a dot or backslash inside a label has a backslash
  /// before it (RFC 1035 section 5.1), so that no host name comes of it. Empty: the root.
  std::string name;
  std::uint16_t type = 0;
  std::uint16_t qclass = 0;
  std::vector<std::uint8_t> octets;  // as sent, for the answer

  friend bool operator==(const DnsQuestion&, const DnsQuestion&) = default;
};

struct DnsQuery {
  std::uint16_t id = 0;
  bool is_answer = false;  // QR: not to be answered, or two servers might never stop
  std::uint8_t opcode = 0;
  bool recursion_desired = false;
  std::optional<DnsQuestion> question;  // absent: not one that can be read

  friend bool operator==(const DnsQuery&, const DnsQuery&) = default;
};

/// Never Malformed.
[[nodiscard]] ParseResult<DnsQuery> decode_dns_query(ConstBytes input);

/// RFC 1035 section 4.1.1.
enum class DnsStatus : std::uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,  // there is no such name
  not_implemented = 4,
  refused = 5,
};

/// What a name has: an address (A, AAAA) or, where it is the name of an address, another name (PTR).
using DnsRecord = std::variant<Address, HostName>;

/// The whole message: the question, where there is one, and the records of its name, believed for `ttl_seconds`.
/// Records that do not fit dns_datagram_octets_max are left out.
[[nodiscard]] std::vector<std::uint8_t> encode_dns_answer(const DnsQuery& query, DnsStatus status,
                                                          std::span<const DnsRecord> records = {},
                                                          std::uint32_t ttl_seconds = 0);

}  // namespace stile::wire
