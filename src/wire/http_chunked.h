// Finds the end of a chunked body (RFC 9112 section 7.1) as it passes by, and tells its payload from its framing, so
// that a body goes on unchanged to a peer that reads chunks and without them to one that does not.
//
//   chunk    SIZE in hex [BWS] [";" extension] CRLF | that many octets | CRLF
//   last     "0" in the same form | trailer field ... | CRLF
//
// Octets pass unchanged here, so that lines end with CR LF and with nothing else: the leniency of heads, which are
// written anew, would be an ambiguity. Refuses too: sizes beyond 64 bits, lines and trailers over their limits,
// trailers that frame, route or authenticate (RFC 9110 section 6.5.1). Threading: a plain object, used by one thread.
// Tested in http_chunked_test.cc against a naive oracle; fuzzed in http_chunked_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace stile::wire {

class HttpChunkedScanner {
 public:
  /// A number of octets of one kind from the beginning of what was shown.
  struct Run {
    bool payload = false;
    std::size_t octets = 0;

    friend bool operator==(const Run&, const Run&) = default;
  };

  /// At least one octet, unless `input` is empty, the body has ended or is broken. Octets behind the body's end are
  /// never taken; nor is the octet that breaks it.
  [[nodiscard]] Run next(ConstBytes input);

  [[nodiscard]] bool finished() const noexcept { return state_ == State::finished; }
  [[nodiscard]] bool broken() const noexcept { return state_ == State::broken; }

 private:
  // Named after what is awaited.
  enum class State : std::uint8_t {
    size_first,  // at least one digit
    size,
    blanks,  // between the size and its extension or line end
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer,
    trailer_lf,
    finished,
    broken,
  };

  void take(std::uint8_t octet);
  void take_size(std::uint8_t octet);
  void take_after_size(std::uint8_t octet);
  void take_trailer(std::uint8_t octet);
  void end_size_line();
  void end_trailer_line();
  void expect(std::uint8_t octet, std::uint8_t expected, State then);
  bool count_line_octet();

  State state_ = State::size_first;
  std::uint64_t left_ = 0;       // of this chunk: its size while that is read, then what is due of its data
  std::size_t line_octets_ = 0;  // of this size line
  std::string trailer_;          // the line that is being read
  std::size_t trailers_ = 0;     // whole lines so far
  std::size_t trailer_octets_ = 0;
};

}  // namespace stile::wire
