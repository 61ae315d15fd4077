#include "wire/http_chunked.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "wire/http_fields.h"

namespace stile::wire {
namespace {

std::optional<std::uint64_t> hex_digit(std::uint8_t octet) noexcept {
  if (octet >= '0' && octet <= '9') return octet - '0';
  const int letter = octet | 0x20;
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return std::nullopt;
}

bool is_visible_or_blank(std::uint8_t octet) noexcept {
  return octet == '\t' || (octet >= 0x20 && octet != 0x7F);
}

/// RFC 9110 section 6.5.1, and what a proxy must not pass on.
constexpr std::array<std::string_view, 9> forbidden_trailers = {
    "Transfer-Encoding", "Content-Length",     "Host", "Connection", "Proxy-Connection", "TE", "Upgrade",
    "Authorization",     "Proxy-Authorization"};

bool is_sound_trailer(std::string_view line) noexcept {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
  return std::ranges::none_of(forbidden_trailers, [&](std::string_view forbidden) {
    return equals_ignoring_case(line.substr(0, colon), forbidden);
  });
}

}  // namespace

HttpChunkedScanner::Run HttpChunkedScanner::next(ConstBytes input) {
  if (state_ == State::data && !input.empty()) {
    const auto octets = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
    left_ -= octets;
    if (left_ == 0) state_ = State::data_cr;
    return {.payload = true, .octets = octets};
  }
  std::size_t taken = 0;
  while (taken < input.size() && state_ != State::data && !finished()) {
    take(input[taken]);
    if (broken()) break;
    ++taken;
  }
  return {.payload = false, .octets = taken};
}

void HttpChunkedScanner::take(std::uint8_t octet) {
  switch (state_) {
    case State::size_first:
    case State::size:
      return take_size(octet);
    case State::blanks:
    case State::extension:
      return take_after_size(octet);
    case State::size_lf:
      expect(octet, '\n', State::size_lf);
      if (!broken()) end_size_line();
      return;
    case State::data_cr:
      return expect(octet, '\r', State::data_lf);
    case State::data_lf:
      line_octets_ = 0;
      return expect(octet, '\n', State::size_first);
    case State::trailer:
      return take_trailer(octet);
    case State::trailer_lf:
      expect(octet, '\n', State::trailer_lf);
      if (!broken()) end_trailer_line();
      return;
    case State::data:
    case State::finished:
    case State::broken:
      return;
  }
}

void HttpChunkedScanner::take_size(std::uint8_t octet) {
  const auto digit = hex_digit(octet);
  if (!digit) {
    if (state_ == State::size_first) {
      state_ = State::broken;
    } else {
      take_after_size(octet);
    }
    return;
  }
  if (!count_line_octet()) return;
  if (left_ > std::numeric_limits<std::uint64_t>::max() >> 4) {
    state_ = State::broken;
    return;
  }
  left_ = (left_ << 4) | *digit;
  state_ = State::size;
}

/// RFC 9112 section 7.1.1: chunk-ext = *( BWS ";" BWS chunk-ext-name … ); "A recipient MUST ignore unrecognized chunk
/// extensions."
void HttpChunkedScanner::take_after_size(std::uint8_t octet) {
  if (!count_line_octet()) return;
  if (octet == '\r') {
    state_ = State::size_lf;
  } else if (state_ == State::extension) {
    if (!is_visible_or_blank(octet)) state_ = State::broken;
  } else if (octet == ';') {
    state_ = State::extension;
  } else if (octet == ' ' || octet == '\t') {
    state_ = State::blanks;
  } else {
    state_ = State::broken;
  }
}

void HttpChunkedScanner::end_size_line() {
  state_ = left_ > 0 ? State::data : State::trailer;
}

void HttpChunkedScanner::take_trailer(std::uint8_t octet) {
  const bool ends = octet == '\r';
  if (++trailer_octets_ > limits::http_fields_octets_max || (!ends && !is_visible_or_blank(octet))) {
    state_ = State::broken;
  } else if (ends) {
    state_ = State::trailer_lf;
  } else {
    trailer_.push_back(static_cast<char>(octet));
  }
}

void HttpChunkedScanner::end_trailer_line() {
  if (trailer_.empty()) {
    state_ = State::finished;
    return;
  }
  const bool sound = is_sound_trailer(trailer_) && ++trailers_ <= limits::http_fields_max;
  state_ = sound ? State::trailer : State::broken;
  trailer_.clear();
}

void HttpChunkedScanner::expect(std::uint8_t octet, std::uint8_t expected, State then) {
  state_ = octet == expected ? then : State::broken;
}

/// The line's LF, which is due then, is the limit's last octet.
bool HttpChunkedScanner::count_line_octet() {
  if (++line_octets_ < limits::http_chunk_line_octets_max) return true;
  state_ = State::broken;
  return false;
}

}  // namespace stile::wire
