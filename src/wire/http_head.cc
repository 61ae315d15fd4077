#include "wire/http_head.h"

#include <algorithm>
#include <expected>
#include <utility>

#include "base/number.h"
#include "wire/http_lines.h"
#include "wire/http_parser.h"
#include "wire/http_target.h"

namespace stile::wire {
namespace {

/// RFC 9112 section 6.3: a list of equal lengths is one length; anything else is an unrecoverable error.
std::expected<std::optional<std::uint64_t>, Reason> read_content_length(const HttpFields& fields) {
  std::optional<std::uint64_t> length;
  for (const std::string_view element : list_elements(fields, "Content-Length")) {
    const auto number = whole_number<std::uint64_t>(element);
    if (!number || (length && *length != *number)) return std::unexpected(Reason::http_framing);
    length = number;
  }
  return length;
}

/// True when the body is chunked. RFC 9112 section 6.1: chunked is last and said once; a coding that is not understood
/// is answered by 501.
std::expected<bool, Reason> read_transfer_coding(const HttpFields& fields) {
  const auto codings = list_elements(fields, "Transfer-Encoding");
  if (codings.empty()) return false;
  const auto is_chunked = [](std::string_view coding) { return equals_ignoring_case(coding, "chunked"); };
  const bool gaps = std::ranges::any_of(codings, [](std::string_view coding) { return coding.empty(); });
  if (gaps || !is_chunked(codings.back()) || std::ranges::count_if(codings, is_chunked) != 1) {
    return std::unexpected(Reason::http_framing);
  }
  if (codings.size() > 1) return std::unexpected(Reason::http_coding);
  return true;
}

/// What both kinds of message have to say about their length. Beast must have come to the same.
struct Framing {
  bool chunked = false;
  std::optional<std::uint64_t> content_length;
};

std::expected<Framing, Reason> read_framing(const HttpParsedHead& head, std::uint8_t minor) {
  const auto length = read_content_length(head.fields);
  const auto chunked = read_transfer_coding(head.fields);
  if (!length) return std::unexpected(length.error());
  if (!chunked) return std::unexpected(chunked.error());
  // RFC 9112 section 6.1: a message with both may be an attempt at smuggling, and a coding under HTTP/1.0 is faulty.
  if (*chunked && (length->has_value() || minor == 0)) return std::unexpected(Reason::http_framing);
  if (*chunked != head.chunked || *length != head.content_length) return std::unexpected(Reason::http_framing);
  return Framing{.chunked = *chunked, .content_length = *length};
}

/// RFC 9112 section 9.3; Proxy-Connection is what some clients send to a proxy instead.
bool stays_open(const HttpFields& fields, std::uint8_t minor) {
  return minor >= 1 && !list_contains(fields, "Connection", "close") &&
         !list_contains(fields, "Proxy-Connection", "close");
}

template <HttpOwn Own>
Reason judge_request_line(std::string_view text) {
  const auto line = parse_http_request_line(text, Own);
  return line ? Reason::none : line.error();
}

/// RFC 9112 section 3.2: 400 for "any HTTP/1.1 request message that lacks a Host header field and … any request message
/// that contains more than one Host header field line or a Host header field with an invalid field value".
bool host_is_sound(const HttpFields& fields, std::uint8_t minor) noexcept {
  const std::size_t count = count_fields(fields, "Host");
  if (count == 0) return minor == 0;
  return count == 1 && is_host_value(find_field(fields, "Host")->value);
}

std::expected<HttpRequestHead, Reason> read_request(const HttpLines& lines, HttpOwn own) {
  auto line = parse_http_request_line(lines.start, own);
  if (!line) return std::unexpected(line.error());
  auto parsed = parse_http_request_head(line->method, line->target, lines.fields);
  if (!parsed) return std::unexpected(parsed.error());
  if (!host_is_sound(parsed->fields, line->minor)) return std::unexpected(Reason::http_host);
  const auto framing = read_framing(*parsed, line->minor);
  if (!framing) return std::unexpected(framing.error());
  HttpRequestHead head{.method = std::string(line->method),
                       .target = std::string(line->target),
                       .destination = std::move(line->destination),
                       .path = std::move(line->path),
                       .minor = line->minor,
                       .own = line->own,
                       .fields = std::move(parsed->fields),
                       .body = {},
                       .persistent = false};
  head.persistent = stays_open(head.fields, head.minor);
  if (framing->chunked) head.body.kind = HttpBodyKind::chunked;
  if (framing->content_length) head.body = {.kind = HttpBodyKind::length, .octets = *framing->content_length};
  // RFC 9110 section 9.3.6: "A CONNECT request message does not have content"; what follows it is the tunnel's.
  if (head.is_connect() && head.body.kind != HttpBodyKind::none) return std::unexpected(Reason::http_framing);
  return head;
}

struct StatusLine {
  std::string_view status;
  std::string_view phrase;
  std::uint8_t minor = 1;
};

/// RFC 9112 section 4. The space before an absent phrase is often left out.
std::optional<StatusLine> parse_status_line(std::string_view text) noexcept {
  const auto minor = parse_http_version(text.substr(0, 8));
  if (!minor || text.size() < 12 || text[8] != ' ') return std::nullopt;
  if (text.size() > 12 && text[12] != ' ') return std::nullopt;
  const StatusLine line{
      .status = text.substr(9, 3), .phrase = text.size() > 12 ? text.substr(13) : "", .minor = *minor};
  const auto status = whole_number<std::uint64_t>(line.status);
  if (!status || *status < 100 || *status > 599 || !is_field_text(line.phrase)) return std::nullopt;
  return line;
}

Reason judge_status_line(std::string_view text) {
  return parse_status_line(text) ? Reason::none : Reason::http_response;
}

/// RFC 9112 section 6.3.
HttpBody response_body(const HttpResponseHead& head, const Framing& framing, HttpAsked asked) noexcept {
  const bool tunnel = asked == HttpAsked::connect && head.status / 100 == 2;
  if (tunnel || asked == HttpAsked::head || head.status / 100 == 1 || head.status == 204 || head.status == 304)
    return {};
  if (framing.chunked) return {.kind = HttpBodyKind::chunked, .octets = 0};
  if (framing.content_length) return {.kind = HttpBodyKind::length, .octets = *framing.content_length};
  return {.kind = HttpBodyKind::until_close, .octets = 0};
}

std::expected<HttpResponseHead, Reason> read_response(const HttpLines& lines, HttpAsked asked) {
  const auto line = parse_status_line(lines.start);
  if (!line) return std::unexpected(Reason::http_response);
  auto parsed = parse_http_response_head(line->status, line->phrase, lines.fields);
  if (!parsed) return std::unexpected(parsed.error());
  const auto framing = read_framing(*parsed, line->minor);
  if (!framing) return std::unexpected(framing.error());
  HttpResponseHead head;
  head.status = static_cast<std::uint16_t>(*whole_number<std::uint64_t>(line->status));
  head.phrase = line->phrase;
  head.minor = line->minor;
  head.fields = std::move(parsed->fields);
  head.body = response_body(head, *framing, asked);
  head.content_length = framing->content_length;
  head.persistent = stays_open(head.fields, head.minor) && head.body.kind != HttpBodyKind::until_close;
  return head;
}

/// How many octets of a blank line begin the input; absent while that cannot be told.
std::optional<std::size_t> blank_octets(ConstBytes input) noexcept {
  if (input.empty()) return std::nullopt;
  if (input[0] == '\n') return 1;
  if (input[0] != '\r') return 0;
  if (input.size() < 2) return std::nullopt;
  return input[1] == '\n' ? 2 : 0;
}

}  // namespace

ParseResult<HttpRequestHead> decode_http_request(ConstBytes input, HttpTurn turn, HttpOwn own) {
  std::size_t skipped = 0;
  if (turn == HttpTurn::later) {
    const auto blank = blank_octets(input);
    if (!blank) return NeedMore{};
    skipped = *blank;
  }
  const auto judge = own == HttpOwn::pac ? judge_request_line<HttpOwn::pac> : judge_request_line<HttpOwn::nothing>;
  const auto lines = read_http_lines(input.subspan(skipped), judge);
  if (std::holds_alternative<NeedMore>(lines)) return NeedMore{};
  if (const auto* malformed = std::get_if<Malformed>(&lines)) {
    return Malformed{.reason = malformed->reason, .consumed = skipped + malformed->consumed};
  }
  const auto& whole = std::get<Parsed<HttpLines>>(lines);
  auto head = read_request(whole.value, own);
  if (!head) return Malformed{.reason = head.error(), .consumed = skipped + whole.consumed};
  return Parsed<HttpRequestHead>{.value = *std::move(head), .consumed = skipped + whole.consumed};
}

ParseResult<HttpResponseHead> decode_http_response(ConstBytes input, HttpAsked asked) {
  const auto lines = read_http_lines(input, judge_status_line);
  if (std::holds_alternative<NeedMore>(lines)) return NeedMore{};
  if (const auto* malformed = std::get_if<Malformed>(&lines)) {
    return Malformed{.reason = Reason::http_response, .consumed = malformed->consumed};
  }
  const auto& whole = std::get<Parsed<HttpLines>>(lines);
  auto head = read_response(whole.value, asked);
  if (!head) return Malformed{.reason = Reason::http_response, .consumed = whole.consumed};
  return Parsed<HttpResponseHead>{.value = *std::move(head), .consumed = whole.consumed};
}

std::optional<std::uint64_t> max_forwards(const HttpRequestHead& head) {
  if (head.method != "OPTIONS" && head.method != "TRACE") return std::nullopt;
  const HttpField* field = find_field(head.fields, "Max-Forwards");
  return field == nullptr ? std::nullopt : whole_number<std::uint64_t>(field->value);
}

}  // namespace stile::wire
