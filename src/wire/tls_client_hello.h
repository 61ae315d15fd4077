// The ClientHello that opens a TLS connection (RFC 8446 section 4.1.2), read for the two things that it says in clear:
// which server is meant (SNI, RFC 6066 section 3) and which protocols are offered inside (ALPN, RFC 7301).
//
//   record     16 | 03 xx | length 2, 1 to 16384 | fragment        one hello may lie in several records
//   handshake  01 | length 3 | ClientHello
//   hello      version 2 | random 32 | session id 1+n | cipher suites 2+n | compression 1+n | [extensions 2+n]
//   extension  type 2 | length 2 | data                            0: server_name, 16: ALPN, all others are passed over
//
// Of an encrypted hello (ECH) this is the outer one, which names the public server. Values that clients offer only to
// keep servers tolerant (GREASE, RFC 8701) are left out. Refuses: lengths that do not meet, a second extension of one
// of the two types, hellos over limits::tls_hello_octets_max. Knows nothing of versions or ciphers.
// Threading: values and pure functions. Tested in tls_client_hello_test.cc against tests/vectors/tls.txt and a naive
// oracle; fuzzed in tls_client_hello_fuzz.cc.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/parse.h"

namespace stile::wire {

inline constexpr std::uint8_t tls_handshake_record = 0x16;

struct TlsClientHello {
  std::string server_name;             // as sent: any octets; empty when none is named
  std::vector<std::string> protocols;  // as sent, in the order of preference

  friend bool operator==(const TlsClientHello&, const TlsClientHello&) = default;
};

/// Malformed is always tls_hello: behind a record's or the handshake's header, or at the end of the hello.
[[nodiscard]] ParseResult<TlsClientHello> decode_tls_client_hello(ConstBytes input);

}  // namespace stile::wire
