// Which protocol a connection speaks, by its first octets: one port for all. Layers are peeled in this order, and the
// caller asks again behind each with what that layer leaves admitted:
//
//   PROXY header   only from sources that must send one: "PROXY " (version 1) or 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//   TLS            16 03 00..04, only on a listener with TLS
//   04             SOCKS4, SOCKS4a
//   05             SOCKS5
//   41..5A         HTTP/1: every method begins with a capital letter
//
// There is no guessing: a PROXY header from a source that need not send one is not looked for (as text it is an HTTP
// request without a version, as octets it is nothing), and whatever is not in the table is answered by silence.
// Threading: a pure function. Tested in first_octets_test.cc; fuzzed in first_octets_fuzz.cc.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

enum class FirstProtocol : std::uint8_t { proxy_header, tls, socks4, socks5, http };

enum class TlsUse : std::uint8_t {
  off,
  required,  // plaintext is refused
  optional,  // both
};

/// What may come, on this listener and from this source. Behind a PROXY header: without `proxy_header`; inside TLS:
/// with TlsUse::off as well.
struct Admitted {
  bool proxy_header = false;  // then nothing else is
  TlsUse tls = TlsUse::off;
  bool socks4 = false;
  bool socks5 = false;
  bool http = false;
};

/// `consumed` is how many octets it took to tell; none of them is taken from the protocol they announce. Malformed:
/// proxy_missing, tls_missing for plaintext where TLS is required, protocol_off for what is known and not admitted, protocol_unknown for everything else.
[[nodiscard]] ParseResult<FirstProtocol> decode_first_octets(ConstBytes input, const Admitted& admitted) noexcept;

}  // namespace stile::wire
