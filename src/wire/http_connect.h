// CONNECT as a client asks a proxy for it: encoder of the request, decoder of the answer's head.
//
//   request   "CONNECT" SP host ":" port SP "HTTP/1.1" CRLF "Host:" … CRLF [ "Proxy-Authorization: Basic" … CRLF ] CRLF
//   answer    "HTTP/1." digit SP 3DIGIT … CRLF *( field line CRLF ) CRLF
//
// RFC 9110 section 9.3.6, RFC 9112 sections 3 and 4. The decoder says how many octets are certain to come at least, so
// that its caller reads none of the tunnel's; fields are passed over, since a 2xx answer to CONNECT has no body.
// Refuses: a line that ends without CR, a head longer than limits::http_fields_octets_max.
// Threading: values and pure functions. Tested in http_connect_test.cc; fuzzed through client_session_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "wire/http_basic.h"
#include "wire/userpass.h"
#include "wire/wire_buffer.h"

namespace stile::wire {

/// Two targets with their names and ports, the login in base64, and the words between.
inline constexpr std::size_t http_connect_octets_max =
    2 * (limits::name_octets_max + 6) + (basic_octets_max + 2) / 3 * 4 + 80;

/// With a login where `credentials` has a user, who holds no colon (asserted). Its owner wipes the buffer.
[[nodiscard]] WireBuffer<http_connect_octets_max> encode_http_connect(const Target& target,
                                                                      const Credentials& credentials);

/// The head of the answer, octet by octet.
class HttpConnectAnswer {
 public:
  /// At most `missing()` octets (asserted).
  void take(ConstBytes octets) noexcept;

  /// Octets that are certain to come before the head ends; 0 once it has ended or is malformed.
  [[nodiscard]] std::size_t missing() const noexcept;
  /// The octet that no answer has in its place.
  [[nodiscard]] std::optional<std::uint8_t> malformed() const noexcept { return malformed_; }
  /// Once the status line has come so far.
  [[nodiscard]] std::optional<std::uint16_t> status() const noexcept;

 private:
  void take(std::uint8_t octet) noexcept;

  static constexpr std::size_t status_octets = 12;  // "HTTP/1.1 200"
  static constexpr std::size_t end_octets = 4;      // CRLF CRLF

  std::size_t size_ = 0;
  std::size_t end_matched_ = 0;
  std::uint16_t status_ = 0;
  std::optional<std::uint8_t> malformed_;
};

}  // namespace stile::wire
