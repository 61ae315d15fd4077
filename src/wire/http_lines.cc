#include "wire/http_lines.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "wire/http_fields.h"

namespace stile::wire {
namespace {

/// Where `octet` first stands, or the size. A head is searched again whenever more of it arrives, so this is memchr.
std::size_t find(ConstBytes bytes, std::uint8_t octet) noexcept {
  if (bytes.empty()) return 0;
  const void* found = std::memchr(bytes.data(), octet, bytes.size());
  return found == nullptr ? bytes.size()
                          : static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - bytes.data());
}

struct Line {
  enum class State : std::uint8_t { whole, partial, broken } state = State::partial;
  std::string_view text;   // of a whole line, without its end
  std::size_t octets = 0;  // of a whole line with its end; of a broken one up to what breaks it
};

Line read_line(ConstBytes rest) noexcept {
  const std::size_t lf = find(rest, '\n');
  const ConstBytes before = rest.first(lf);
  const std::size_t nul = find(before, 0);
  const std::size_t cr = find(before, '\r');
  // A CR is judged by the octet behind it: the LF ends the line, another octet breaks it, none yet leaves it open.
  const std::size_t bad_cr = cr + 1 < before.size() ? cr + 2 : rest.size() + 1;
  const std::size_t bad_nul = nul < before.size() ? nul + 1 : rest.size() + 1;
  const std::size_t bad = std::min(bad_cr, bad_nul);
  if (bad <= rest.size()) return {.state = Line::State::broken, .text = {}, .octets = bad};
  if (lf == rest.size()) return {};
  const std::size_t text_octets = cr < before.size() ? cr : lf;
  return {
      .state = Line::State::whole, .text = {reinterpret_cast<const char*>(rest.data()), text_octets}, .octets = lf + 1};
}

Reason judge_field(std::string_view line) noexcept {
  // RFC 9112 sections 5.1 and 5.2: "No whitespace is allowed between the field name and colon"; a line that begins with
  // white space is a folded one. Neither begins with a token and its colon.
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return Reason::http_syntax;
  return Reason::none;
}

Malformed refuse(Reason reason, std::size_t octets) {
  return {.reason = reason, .consumed = octets};
}

/// The part of `rest` in which a line or section must end.
ConstBytes within(ConstBytes rest, std::size_t octets_max) noexcept {
  return rest.first(std::min(rest.size(), octets_max));
}

ParseResult<HttpLines> read_fields(ConstBytes input, std::size_t begin, HttpLines lines) {
  const ConstBytes section = within(input.subspan(begin), limits::http_fields_octets_max);
  std::size_t at = 0;
  for (;;) {
    const Line line = read_line(section.subspan(at));
    if (line.state == Line::State::broken) return refuse(Reason::http_syntax, begin + at + line.octets);
    if (line.state == Line::State::partial) {
      if (input.size() == begin + section.size()) return NeedMore{};
      return refuse(Reason::http_fields_large, begin + section.size() + 1);
    }
    at += line.octets;
    if (line.text.empty()) return Parsed<HttpLines>{.value = std::move(lines), .consumed = begin + at};
    if (lines.fields.size() == limits::http_fields_max) return refuse(Reason::http_fields_large, begin + at);
    if (const Reason reason = judge_field(line.text); reason != Reason::none) return refuse(reason, begin + at);
    lines.fields.push_back(line.text);
  }
}

}  // namespace

ParseResult<HttpLines> read_http_lines(ConstBytes input, Reason (*judge_start)(std::string_view)) {
  const ConstBytes window = within(input, limits::http_line_octets_max);
  const Line line = read_line(window);
  switch (line.state) {
    case Line::State::broken:
      return refuse(Reason::http_syntax, line.octets);
    case Line::State::partial:
      if (input.size() == window.size()) return NeedMore{};
      return refuse(Reason::http_line_long, window.size() + 1);
    case Line::State::whole:
      break;
  }
  if (const Reason reason = judge_start(line.text); reason != Reason::none) return refuse(reason, line.octets);
  return read_fields(input, line.octets, HttpLines{.start = line.text, .fields = {}});
}

}  // namespace stile::wire
