#include "wire/http_request_scanner.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/limits.h"
#include "wire/http_fields.h"

namespace stile::wire {
namespace {

bool is_visible(char octet) noexcept {
  const auto value = static_cast<unsigned char>(octet);
  return value > 0x20 && value != 0x7F;
}

/// RFC 9112 section 3.2: what a target says of host and path. Userinfo is a secret, a fragment never sent.
void split_target(std::string_view target, HttpSighting& request, bool& absolute) {
  const std::size_t scheme = target.find("://");
  absolute = !target.starts_with('/') && scheme != std::string_view::npos;
  if (absolute) {
    target.remove_prefix(scheme + 3);
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    const std::string_view authority = target.substr(0, end);
    const std::size_t user_end = authority.rfind('@');
    request.host = user_end == std::string_view::npos ? authority : authority.substr(user_end + 1);
    target.remove_prefix(end);
    if (target.starts_with('?')) request.path = "/";
  }
  request.path += target == "*" ? std::string_view() : target;
}

}  // namespace

std::string describe(const HttpSighting& request, bool with_query) {
  std::string text = request.method + " ";
  if (request.method != "CONNECT" && !request.host.empty()) text += "http://";
  text += request.host;
  const std::string_view path = request.path;
  text += with_query ? path : path.substr(0, path.find('?'));
  constexpr std::string_view cut = "...";
  if (text.size() > limits::record_url_octets_max) {
    text.resize(limits::record_url_octets_max - cut.size());
    text += cut;
  }
  return text;
}

std::optional<HttpSighting> HttpRequestScanner::next(ConstBytes& rest) {
  while (!rest.empty()) {
    switch (state_) {
      case State::request_line:
      case State::field:
      case State::passed_field:
        take_line(rest);
        break;
      case State::body:
      case State::chunks:
        take_body(rest);
        break;
      case State::over:
        rest = {};
        break;
    }
    if (std::exchange(complete_, false)) return std::exchange(request_, {});
  }
  return std::nullopt;
}

void HttpRequestScanner::take_line(ConstBytes& rest) {
  if (state_ == State::request_line && line_.empty() && !may_begin_request(rest.front())) {
    state_ = State::over;
    return;
  }
  const void* const found = std::memchr(rest.data(), '\n', rest.size());
  const std::size_t size =
      found == nullptr ? rest.size() : static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - rest.data());
  if (state_ != State::passed_field) {
    const std::size_t room = limits::http_line_octets_max - line_.size();
    line_.append(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(std::min(size, room)));
    if (size > room) state_ = state_ == State::field && line_.find(':') < room ? State::passed_field : State::over;
  }
  rest = rest.subspan(found == nullptr ? size : size + 1);
  if (found != nullptr && state_ != State::over) end_line();
}

/// A method in capitals, or the blank line that some clients send behind a body (RFC 9112 section 2.2).
bool HttpRequestScanner::may_begin_request(std::uint8_t octet) const noexcept {
  return (octet >= 'A' && octet <= 'Z') || octet == '\r' || octet == '\n';
}

void HttpRequestScanner::end_line() {
  const std::string line = std::exchange(line_, {});
  std::string_view text = line;
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (state_ == State::request_line) {
    line_ = text;
    read_request_line();
    line_.clear();
    return;
  }
  if (text.empty() && state_ == State::field) return end_head();
  const std::size_t colon = text.find(':');
  const bool held_whole = state_ == State::field;
  state_ = State::field;
  if (colon == std::string_view::npos || !is_token(text.substr(0, colon))) {
    state_ = State::over;
  } else {
    read_field(text.substr(0, colon), held_whole ? std::optional(trim(text.substr(colon + 1))) : std::nullopt);
  }
}

void HttpRequestScanner::read_request_line() {
  if (line_.empty()) return;
  const std::string_view text = line_;
  const std::size_t first = text.find(' ');
  const std::size_t last = text.rfind(' ');
  state_ = State::over;
  if (first == last) return;  // no space, or one
  const std::string_view method = text.substr(0, first);
  const std::string_view target = text.substr(first + 1, last - first - 1);
  const std::string_view version = text.substr(last + 1);
  if (!is_token(method) || target.empty() || !std::ranges::all_of(target, is_visible)) return;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return;
  request_ = {.method = std::string(method), .host = {}, .path = {}};
  absolute_ = has_host_ = has_length_ = chunked_ = false;
  left_ = 0;
  if (method == "CONNECT") {
    request_.host = target;
    complete_ = true;  // and over: what comes behind it is a tunnel
    return;
  }
  split_target(target, request_, absolute_);
  state_ = State::field;
}

/// `given` is absent where the line was too long to be held, which none of these may be.
void HttpRequestScanner::read_field(std::string_view name, const std::optional<std::string_view>& given) {
  const std::string_view value = given.value_or(std::string_view());
  bool understood = true;
  if (equals_ignoring_case(name, "host")) {
    understood = given && !std::exchange(has_host_, true) && std::ranges::all_of(value, is_visible);
    if (!absolute_) request_.host = value;
  } else if (equals_ignoring_case(name, "content-length")) {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), left_);
    understood = !std::exchange(has_length_, true) && !value.empty() && error == std::errc{} &&
                 end == value.data() + value.size();
  } else if (equals_ignoring_case(name, "transfer-encoding")) {
    understood = !std::exchange(chunked_, true) && equals_ignoring_case(value, "chunked");
  }
  if (!understood) state_ = State::over;
}

void HttpRequestScanner::end_head() {
  complete_ = true;
  if (chunked_ && has_length_) {
    state_ = State::over;
  } else if (chunked_) {
    chunks_ = {};
    state_ = State::chunks;
  } else {
    state_ = left_ > 0 ? State::body : State::request_line;
  }
}

void HttpRequestScanner::take_body(ConstBytes& rest) {
  if (state_ == State::body) {
    const auto run = static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size()));
    left_ -= run;
    rest = rest.subspan(run);
    if (left_ == 0) state_ = State::request_line;
    return;
  }
  rest = rest.subspan(chunks_.next(rest).octets);
  if (chunks_.finished()) state_ = State::request_line;
  if (chunks_.broken()) state_ = State::over;
}

}  // namespace stile::wire
