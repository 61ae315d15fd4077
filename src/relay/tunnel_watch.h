// Looks at what the client of a tunnel sends, for records that ask for it: the HTTP/1 requests of a connection, or the
// server's name and the protocols in a TLS ClientHello. Octets are shown to it as they pass; it never holds one back,
// changes nothing, and gives up without a word at anything else (docs/decisions/0008-looking-at-tunnels.md).
// It keeps at most one line of HTTP, or the part of a ClientHello that has come.
// Threading: a plain object, used by its tunnel's thread. Tested in tunnel_watch_test.cc, in tunnels in
// tcp_relay_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "wire/http_request_scanner.h"
#include "wire/tls_client_hello.h"

namespace stile::relay {

/// Whom a watch tells. `context` is the tunnel's.
class WatchOwner {
 public:
  virtual ~WatchOwner() = default;
  /// For each request of an HTTP connection.
  virtual void request_seen(void* context, const wire::HttpSighting& request) noexcept = 0;
  /// At most once.
  virtual void hello_seen(void* context, const wire::TlsClientHello& hello) noexcept = 0;
};

class TunnelWatch {
 public:
  TunnelWatch(WatchOwner& owner, void* context) noexcept : owner_(&owner), context_(context) {}

  /// The next octets from the client. False once nothing more can be learnt: it need not be shown any more.
  bool look(ConstBytes octets);

 private:
  enum class Kind : std::uint8_t { undecided, http, tls };

  bool look_for_hello(ConstBytes octets);
  bool look_for_requests(ConstBytes octets);

  WatchOwner* owner_;
  void* context_;
  Kind kind_ = Kind::undecided;
  wire::HttpRequestScanner requests_;
  std::vector<std::uint8_t> hello_;  // the octets so far, of one that came in several parts
};

}  // namespace stile::relay
