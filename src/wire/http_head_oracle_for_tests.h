// The naive oracle of HTTP heads: the same rules as http_head.h, read octet by octet and word by word, without Beast.
// For tests only. Threading: none shared. Tested by its use in http_head_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "wire/codec_test_support.h"
#include "wire/http_head.h"

namespace stile::wire::testing {

inline std::string naive_lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

inline bool naive_token(const std::string& text) {
  const std::string symbols = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!word && (c == '\0' || symbols.find(c) == std::string::npos)) return false;
  }
  return !text.empty();
}

inline std::vector<std::string> naive_split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline std::string naive_trim(std::string text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.erase(0, 1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
  return text;
}

inline bool naive_digits(const std::string& text) {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

/// Host and port as texts; the port is absent without a colon.
struct NaiveAuthority {
  bool sound = false;
  std::string host;
  std::optional<std::string> port;
};

inline NaiveAuthority naive_authority(const std::string& text) {
  NaiveAuthority authority;
  std::size_t at = 0;
  for (const char c : text) {
    if (c == '@') return authority;
  }
  if (!text.empty() && text[0] == '[') {
    while (at < text.size() && text[at] != ']') authority.host += text[at++];
    if (at == text.size()) return authority;
    authority.host += text[at++];
  } else {
    while (at < text.size() && text[at] != ':') authority.host += text[at++];
  }
  if (authority.host.empty() || (at < text.size() && text[at] != ':')) return authority;
  if (at < text.size()) authority.port = text.substr(at + 1);
  authority.sound = true;
  return authority;
}

/// Reason::none, or why not.
inline Reason naive_destination(const std::string& text, int port_default, AddressField& destination) {
  const NaiveAuthority authority = naive_authority(text);
  if (!authority.sound) return Reason::http_target;
  int port = port_default;
  if (authority.port && !authority.port->empty()) {
    if (!naive_digits(*authority.port) || authority.port->size() > 5) return Reason::http_target;
    port = std::stoi(*authority.port);
    if (port > 65535) return Reason::http_target;
    if (port == 0) return Reason::request_port;
  }
  if (port == 0) return Reason::http_target;
  destination.type = AddressType::name;
  destination.received_name = authority.host;
  destination.host = canonical_host(authority.host);
  destination.port = static_cast<std::uint16_t>(port);
  return Reason::none;
}

inline Reason naive_version(const std::string& text, std::uint8_t& minor) {
  const std::string shape = "HTTP/d.d";
  if (text.size() != shape.size()) return Reason::http_syntax;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool fits = shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i];
    if (!fits) return Reason::http_syntax;
  }
  if (text[5] != '1') return Reason::http_version;
  minor = text[7] == '0' ? 0 : 1;
  return Reason::none;
}

inline Reason naive_absolute(HttpRequestHead& head) {
  const std::string& target = head.target;
  const std::size_t marks = target.find("://");
  if (marks == std::string::npos || marks == 0 || target.find('#') != std::string::npos) return Reason::http_target;
  const std::string scheme = naive_lower(target.substr(0, marks));
  for (std::size_t i = 0; i < scheme.size(); ++i) {
    const bool letter = scheme[i] >= 'a' && scheme[i] <= 'z';
    const bool other = naive_digits(scheme.substr(i, 1)) || std::string("+-.").find(scheme[i]) != std::string::npos;
    if (!letter && (i == 0 || !other)) return Reason::http_target;
  }
  if (scheme != "http") return Reason::http_scheme;
  std::string authority;
  std::size_t at = marks + 3;
  while (at < target.size() && target[at] != '/' && target[at] != '?') authority += target[at++];
  if (const Reason reason = naive_destination(authority, 80, head.destination); reason != Reason::none) return reason;
  head.path = target.substr(at);
  if (head.path.empty() && head.method == "OPTIONS") {
    head.path = "*";
  } else if (head.path.empty() || head.path[0] == '?') {
    head.path = "/" + head.path;
  }
  return Reason::none;
}

inline Reason naive_request_line(const std::string& line, HttpRequestHead& head) {
  const std::vector<std::string> words = naive_split(line, ' ');
  if (words.size() != 3 || !naive_token(words[0]) || words[1].empty()) return Reason::http_syntax;
  for (const char c : words[1]) {
    if ((c > '\0' && c < ' ') || c == '\x7F') return Reason::http_syntax;
  }
  if (const Reason reason = naive_version(words[2], head.minor); reason != Reason::none) return reason;
  head.method = words[0];
  head.target = words[1];
  if (head.method == "CONNECT") return naive_destination(head.target, 0, head.destination);
  return naive_absolute(head);
}

struct NaiveLines {
  std::vector<std::string> lines;  // the start line, then those of fields
  std::variant<NeedMore, Malformed, std::size_t> end = NeedMore{};
};

/// `judge` is asked about the start line.
template <class Judge>
NaiveLines naive_lines(const Octets& input, std::size_t skip, Judge judge) {
  NaiveLines read;
  std::string line;
  std::size_t begin = skip;  // of the start line, then of the fields
  bool cr = false;
  const auto fail = [&](Reason reason, std::size_t at) {
    read.end = Malformed{reason, at + 1};
    return read;
  };
  for (std::size_t i = skip; i < input.size(); ++i) {
    const auto c = static_cast<char>(input[i]);
    if (read.lines.empty() && i - begin >= 8192) return fail(Reason::http_line_long, i);
    if (!read.lines.empty() && i - begin >= 65536) return fail(Reason::http_fields_large, i);
    if (c == '\0' || (cr && c != '\n')) return fail(Reason::http_syntax, i);
    cr = c == '\r';
    if (cr) continue;
    if (c != '\n') {
      line += c;
      continue;
    }
    if (read.lines.empty()) {
      if (const Reason reason = judge(line); reason != Reason::none) return fail(reason, i);
      begin = i + 1;
    } else if (line.empty()) {
      read.end = i + 1;
      return read;
    } else if (read.lines.size() == 101) {
      return fail(Reason::http_fields_large, i);
    } else if (line.find(':') == std::string::npos || !naive_token(line.substr(0, line.find(':')))) {
      return fail(Reason::http_syntax, i);
    }
    read.lines.push_back(line);
    line.clear();
  }
  return read;
}

/// What the fields say about themselves, each judged with those before it.
struct NaiveFields {
  HttpFields fields;
  Reason fault = Reason::none;
  std::vector<std::string> lengths;
  std::vector<std::string> codings;
  bool chunked = false;
  bool close = false;
  std::vector<std::string> hosts;
};

inline Reason naive_field(NaiveFields& all, const std::string& name, const std::string& value) {
  for (const char c : value) {
    if ((c >= '\0' && c < ' ' && c != '\t') || c == '\x7F') return Reason::http_syntax;
  }
  const std::string lower = naive_lower(name);
  std::vector<std::string> elements = naive_split(value, ',');
  for (std::string& element : elements) element = naive_trim(element);
  if (lower == "host") all.hosts.push_back(value);
  if (lower == "connection" || lower == "proxy-connection") {
    for (const std::string& element : elements) {
      if (!element.empty() && !naive_token(element)) return Reason::http_syntax;
      if (naive_lower(element) == "close") all.close = true;
    }
  }
  if (lower == "content-length") {
    if (all.chunked) return Reason::http_framing;
    for (const std::string& element : elements) {
      if (element.empty() || !naive_digits(element)) return Reason::http_framing;
      std::string number = element;
      while (number.size() > 1 && number[0] == '0') number.erase(0, 1);
      const std::string largest = "18446744073709551615";
      if (number.size() > largest.size() || (number.size() == largest.size() && number > largest)) {
        return Reason::http_framing;
      }
      all.lengths.push_back(number);
      if (number != all.lengths[0]) return Reason::http_framing;
    }
  }
  if (lower == "transfer-encoding") {
    if (all.chunked || !all.lengths.empty()) return Reason::http_framing;
    for (const std::string& element : elements) all.codings.push_back(naive_lower(element));
    all.chunked = all.codings.back() == "chunked";
  }
  return Reason::none;
}

inline NaiveFields naive_fields(const std::vector<std::string>& lines) {
  NaiveFields all;
  for (std::size_t i = 1; i < lines.size() && all.fault == Reason::none; ++i) {
    const std::size_t colon = lines[i].find(':');
    const std::string name = lines[i].substr(0, colon);
    const std::string value = naive_trim(lines[i].substr(colon + 1));
    all.fault = naive_field(all, name, value);
    all.fields.push_back({name, value});
  }
  return all;
}

/// After all fields are known.
inline Reason naive_framing(const NaiveFields& all, int minor) {
  int chunked = 0;
  bool empty = false;
  for (const std::string& coding : all.codings) {
    chunked += coding == "chunked" ? 1 : 0;
    empty = empty || coding.empty();
  }
  if (!all.codings.empty() && (empty || all.codings.back() != "chunked" || chunked > 1)) return Reason::http_framing;
  if (all.codings.size() > 1) return Reason::http_coding;
  if (!all.codings.empty() && (minor == 0 || !all.lengths.empty())) return Reason::http_framing;
  return Reason::none;
}

inline bool naive_host_is_sound(const NaiveFields& all, int minor) {
  if (all.hosts.size() != 1) return all.hosts.empty() && minor == 0;
  const std::string& host = all.hosts[0];
  if (host.empty()) return true;
  const NaiveAuthority authority = naive_authority(host);
  for (const char c : host) {
    if (std::string(" \t,/?#\\\"<>^`{|}").find(c) != std::string::npos) return false;
  }
  return authority.sound && (!authority.port || naive_digits(*authority.port));
}

inline ParseResult<HttpRequestHead> naive_request(const Octets& input, HttpTurn turn) {
  std::size_t skip = 0;
  if (turn == HttpTurn::later) {
    if (input.empty() || (input[0] == '\r' && input.size() == 1)) return NeedMore{};
    if (input[0] == '\n') skip = 1;
    if (input[0] == '\r' && input[1] == '\n') skip = 2;
  }
  HttpRequestHead head;
  const auto judge = [&](const std::string& line) { return naive_request_line(line, head); };
  const NaiveLines lines = naive_lines(input, skip, judge);
  if (std::holds_alternative<NeedMore>(lines.end)) return NeedMore{};
  if (const auto* malformed = std::get_if<Malformed>(&lines.end)) return *malformed;
  const std::size_t end = std::get<std::size_t>(lines.end);
  const NaiveFields fields = naive_fields(lines.lines);
  if (fields.fault != Reason::none) return Malformed{fields.fault, end};
  if (!naive_host_is_sound(fields, head.minor)) return Malformed{Reason::http_host, end};
  if (const Reason reason = naive_framing(fields, head.minor); reason != Reason::none) return Malformed{reason, end};
  if (!fields.lengths.empty()) head.body = {HttpBodyKind::length, std::stoull(fields.lengths[0])};
  if (fields.chunked) head.body = {HttpBodyKind::chunked, 0};
  if (head.method == "CONNECT" && head.body.kind != HttpBodyKind::none) return Malformed{Reason::http_framing, end};
  head.fields = fields.fields;
  head.persistent = head.minor == 1 && !fields.close;
  return Parsed<HttpRequestHead>{head, end};
}

inline Reason naive_status_line(const std::string& line, HttpResponseHead& head) {
  const Reason bad = Reason::http_response;
  if (line.size() < 12 || naive_version(line.substr(0, 8), head.minor) != Reason::none || line[8] != ' ') return bad;
  if (!naive_digits(line.substr(9, 3)) || line[9] < '1' || line[9] > '5') return bad;
  if (line.size() > 12 && line[12] != ' ') return bad;
  head.status = static_cast<std::uint16_t>(std::stoi(line.substr(9, 3)));
  head.phrase = line.size() > 12 ? line.substr(13) : "";
  for (const char c : head.phrase) {
    if ((c >= '\0' && c < ' ' && c != '\t') || c == '\x7F') return bad;
  }
  return Reason::none;
}

inline ParseResult<HttpResponseHead> naive_response(const Octets& input, HttpAsked asked) {
  HttpResponseHead head;
  const auto judge = [&](const std::string& line) { return naive_status_line(line, head); };
  const NaiveLines lines = naive_lines(input, 0, judge);
  if (std::holds_alternative<NeedMore>(lines.end)) return NeedMore{};
  if (const auto* malformed = std::get_if<Malformed>(&lines.end)) {
    return Malformed{Reason::http_response, malformed->consumed};
  }
  const std::size_t end = std::get<std::size_t>(lines.end);
  const NaiveFields fields = naive_fields(lines.lines);
  if (fields.fault != Reason::none || naive_framing(fields, head.minor) != Reason::none) {
    return Malformed{Reason::http_response, end};
  }
  if (!fields.lengths.empty()) head.content_length = std::stoull(fields.lengths[0]);
  const bool bare = head.status < 200 || head.status == 204 || head.status == 304 || asked == HttpAsked::head ||
                    (asked == HttpAsked::connect && head.status < 300);
  if (!bare) {
    head.body.kind = HttpBodyKind::until_close;
    if (head.content_length) head.body = {HttpBodyKind::length, *head.content_length};
    if (fields.chunked) head.body = {HttpBodyKind::chunked, 0};
  }
  head.fields = fields.fields;
  head.persistent = head.minor == 1 && !fields.close && head.body.kind != HttpBodyKind::until_close;
  return Parsed<HttpResponseHead>{head, end};
}

}  // namespace stile::wire::testing
