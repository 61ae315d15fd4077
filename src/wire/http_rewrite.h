// What a proxy makes of a head that it forwards (RFC 9110 section 7.6): the octets to send on, for requests and
// responses.
//
//   removed, both ways   Connection and every field it names, Keep-Alive, Proxy-Connection, TE but for "trailers",
//                        Transfer-Encoding and Content-Length (said anew), Upgrade unless it is relayed
//   removed, requests    Host (said anew), Proxy-Authorization, Forwarded, X-Forwarded-For; Expect from HTTP/1.0
//   removed, responses   Proxy-Authenticate, Proxy-Authentication-Info
//   said anew            Host from the target alone, the body's length once, Via, Connection where there is a reason
//
// All else goes on in its order, octet for octet. Refuses: heads that were not decoded by http_head.h, and CONNECT.
// Threading: pure functions. Tested in http_rewrite_test.cc; fuzzed in http_head_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/http_head.h"

namespace stile::wire {

struct HttpRequestRewrite {
  bool to_proxy = false;                 // the next hop is an HTTP proxy: absolute-form instead of origin-form
  std::string_view proxy_authorization;  // for that proxy; empty: none
  std::string_view forwarded;            // a Forwarded field (RFC 7239), where configured; empty: none
  bool relay_upgrade = false;            // both ends will become a tunnel if the origin agrees
  bool close = false;                    // this connection to the origin takes no other request
};

/// The destination must be usable, and Max-Forwards not 0 (asserted): such a request goes no further, see
/// `answer_http_request`. HTTP/1.1 whatever the client's version.
[[nodiscard]] std::string rewrite_http_request(const HttpRequestHead& head, const HttpRequestRewrite& rewrite);

struct HttpResponseRewrite {
  std::uint8_t client_minor = 1;  // a client of HTTP/1.0 gets no chunks: the caller strips the framing
  bool relay_upgrade = false;
  bool close = false;  // no other request is taken from this client
};

/// Says `Connection: close` by itself where the body ends with the connection or the client speaks HTTP/1.0.
[[nodiscard]] std::string rewrite_http_response(const HttpResponseHead& head, const HttpResponseRewrite& rewrite);

/// What the last hop answers to OPTIONS or TRACE with Max-Forwards 0 (RFC 9110 sections 9.3.7, 9.3.8). TRACE shows the
/// request as it came, without what may hold a secret.
[[nodiscard]] std::string answer_http_request(const HttpRequestHead& head, bool close);

}  // namespace stile::wire
