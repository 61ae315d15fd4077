// Reads along with an HTTP/1 client that somebody else serves, for what it asks for: method, host and path of each
// request of a connection, pipelined ones included, bodies passed over (RFC 9112). It has no say: it only looks, so it
// takes what any reader would and holds no more than the line in hand.
//
// Whatever two readers could understand differently ends it for good, without a word: anything but a request line where
// one is due, a second Host, folded lines, two lengths or one that is not a number, codings other than chunked, a
// request line or one of these fields over its limit. So does CONNECT, behind which the stream is something else.
// Refuses: to judge. What it says is for records, never for policy.
// Threading: a plain object, used by one thread. Tested in http_request_scanner_test.cc, fuzzed in
// http_request_scanner_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/http_chunked.h"

namespace stile::wire {

/// One request as its client sent it: any visible octets.
struct HttpSighting {
  std::string method;
  std::string host;  // of the target where it is absolute, else of the field; with its port where one is said
  std::string path;  // "/…", with its query; empty where the request is for the server as a whole, and for CONNECT

  friend bool operator==(const HttpSighting&, const HttpSighting&) = default;
};

/// "GET http://example.com/index.html": for records. Without the query (from its "?" on) unless that is wanted, and
/// cut at limits::record_url_octets_max.
[[nodiscard]] std::string describe(const HttpSighting& request, bool with_query);

class HttpRequestScanner {
 public:
  /// Takes octets off the front of `rest`: up to the end of the next head, whose request it answers; or all of them,
  /// and answers nothing. Once over, it takes all at once.
  std::optional<HttpSighting> next(ConstBytes& rest);

  /// Nothing more can be learnt of this connection.
  [[nodiscard]] bool over() const noexcept { return state_ == State::over; }

 private:
  enum class State : std::uint8_t {
    request_line,
    field,
    passed_field,  // of no interest, and longer than a line that is held
    body,          // left_ octets
    chunks,
    over,
  };

  void take_line(ConstBytes& rest);
  void take_body(ConstBytes& rest);
  [[nodiscard]] bool may_begin_request(std::uint8_t octet) const noexcept;
  void end_line();
  void read_request_line();
  void read_field(std::string_view name, const std::optional<std::string_view>& given);
  void end_head();

  State state_ = State::request_line;
  std::string line_;       // its octets so far, without its end
  HttpSighting request_;   // the one in hand
  bool complete_ = false;  // its head has just ended
  bool absolute_ = false;  // its target names the host
  bool has_host_ = false;
  bool has_length_ = false;
  bool chunked_ = false;
  std::uint64_t left_ = 0;  // of its body
  HttpChunkedScanner chunks_;
};

}  // namespace stile::wire
