// What an HTTP client is told: the table from reasons to statuses, and the responses that Stile writes itself.
//
//   status       RFC 9110 section 15
//   error        the Proxy-Status field, RFC 9209 section 2.3
//
// Refuses: details. A client learns the status and one registered word; the reason goes to the record.
// Threading: pure functions. Tested in http_status_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/reason.h"

namespace stile::wire {

struct HttpOutcome {
  Reason reason = Reason::none;
  std::uint16_t status = 200;
  std::string_view error;  // the error type of RFC 9209; empty where no Proxy-Status is sent

  friend bool operator==(const HttpOutcome&, const HttpOutcome&) = default;
};

/// The one table of statuses, for every reason.
[[nodiscard]] const HttpOutcome& http_outcome(Reason reason) noexcept;

/// What stands behind the number; empty for a status that Stile does not send.
[[nodiscard]] std::string_view http_phrase(std::uint16_t status) noexcept;

/// The answer to CONNECT: no length, no coding, since the tunnel begins behind its blank line.
[[nodiscard]] std::string_view http_connect_established() noexcept;

struct HttpRefusal {
  std::uint16_t status = 400;        // one that has a phrase (asserted)
  std::string_view error;            // as in HttpOutcome
  bool close = true;                 // the connection ends here
  bool to_head_request = false;      // then no body follows, though its length is said
  std::chrono::seconds retry{0};     // Retry-After; 0: not said
  std::string_view allow;            // 405: the methods there are
  bool basic_challenge = false;      // 407: Proxy-Authenticate: Basic
  bool negotiate_challenge = false;  // 407: Proxy-Authenticate: Negotiate
};

/// A whole response with a short body of text.
[[nodiscard]] std::string encode_http_refusal(const HttpRefusal& refusal);

}  // namespace stile::wire
