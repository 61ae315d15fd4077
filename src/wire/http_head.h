// HTTP/1.x heads as a proxy reads them (RFC 9112; RFC 9110 for what fields mean): requests from clients, answers from
// origins and from upstream proxies.
//
//   request   METHOD SP target SP HTTP/1.x     target: host:port for CONNECT (authority-form), else
//   http://host[:port]/… response  HTTP/1.x SP status [SP phrase]   (absolute-form) both      field lines, a blank line
//   see http_lines.h
//
// Refuses everything about which two readers could differ: two lengths, a length that is not a number, codings that do
// not end in chunked, a second Host, and what http_lines.h lists. Refuses, too, what a proxy cannot serve: origin-form
// and asterisk-form targets, schemes other than http, codings other than chunked. Hosts that no rule admits, impossible
// names and unwanted methods are values here.
// Threading: values and pure functions. Tested in http_head_test.cc against tests/vectors/http.txt and a naive oracle;
// fuzzed in http_head_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/address_field.h"
#include "wire/http_fields.h"
#include "wire/http_target.h"
#include "wire/parse.h"

namespace stile::wire {

/// The longest head that is not refused, with the blank line that may come before a later request. A caller holds that
/// much before it may give up waiting.
inline constexpr std::size_t http_head_octets_max = 2 + limits::http_line_octets_max + limits::http_fields_octets_max;

/// How the end of a body is found.
enum class HttpBodyKind : std::uint8_t {
  none,         // nothing follows the head
  length,       // so many octets
  chunked,      // see http_chunked.h
  until_close,  // responses only
};

struct HttpBody {
  HttpBodyKind kind = HttpBodyKind::none;
  std::uint64_t octets = 0;  // of kind length

  friend bool operator==(const HttpBody&, const HttpBody&) = default;
};

struct HttpRequestHead {
  std::string method;
  std::string target;        // as sent, for the log
  AddressField destination;  // of type name; the received name is the host as sent, brackets included
  std::string path;          // what goes to an origin: "/…?…", or "*" for OPTIONS without a path; empty for CONNECT
  std::uint8_t minor = 1;    // of the version; 2 to 9 count as 1
  bool own = false;          // for the proxy itself, in origin-form: there is no destination
  HttpFields fields;
  HttpBody body;            // never until_close; none for CONNECT
  bool persistent = false;  // the client can send another request behind this one

  [[nodiscard]] bool is_connect() const noexcept { return method == "CONNECT"; }

  friend bool operator==(const HttpRequestHead&, const HttpRequestHead&) = default;
};

struct HttpResponseHead {
  std::uint16_t status = 0;  // 100 to 599
  std::string phrase;
  std::uint8_t minor = 1;
  HttpFields fields;
  HttpBody body;
  std::optional<std::uint64_t> content_length;  // as declared, also where no body follows: HEAD, 304
  bool persistent = false;                      // the origin can take another request

  /// 1xx but 101: another response to the same request follows.
  [[nodiscard]] bool is_interim() const noexcept { return status / 100 == 1 && status != 101; }

  friend bool operator==(const HttpResponseHead&, const HttpResponseHead&) = default;
};

/// Where in its connection a request stands: before a later one, a single blank line is tolerated.
enum class HttpTurn : std::uint8_t { first, later };

/// Malformed, at the end of the request line: http_syntax, http_version, http_target, http_scheme, request_port. At the
/// octet that shows it: http_syntax, http_line_long, http_fields_large. At the end of the head: http_syntax, http_host,
/// http_framing, http_coding. Each call reads from the first octet on.
[[nodiscard]] ParseResult<HttpRequestHead> decode_http_request(ConstBytes input, HttpTurn turn = HttpTurn::first,
                                                               HttpOwn own = HttpOwn::nothing);

/// What the request was: it decides whether a body follows.
enum class HttpAsked : std::uint8_t { ordinary, head, connect };

/// Malformed: http_response, whatever is wrong. After a granted CONNECT the body is none: what follows is the tunnel.
[[nodiscard]] ParseResult<HttpResponseHead> decode_http_response(ConstBytes input, HttpAsked asked);

/// RFC 9110 section 7.6.2, for OPTIONS and TRACE: how often the request may yet be forwarded; absent when not said, or
/// not a number.
[[nodiscard]] std::optional<std::uint64_t> max_forwards(const HttpRequestHead& head);

}  // namespace stile::wire
