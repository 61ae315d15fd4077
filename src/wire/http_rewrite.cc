#include "wire/http_rewrite.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/assert.h"

namespace stile::wire {
namespace {

using Names = std::span<const std::string_view>;

// RFC 9110 section 7.6.1, and what it adds to the fields that Connection names; the lengths are said anew.
constexpr std::array<std::string_view, 7> removed_always = {
    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Content-Length", "Upgrade"};
constexpr std::array<std::string_view, 4> removed_from_requests = {"Host", "Proxy-Authorization", "Forwarded",
                                                                   "X-Forwarded-For"};
constexpr std::array<std::string_view, 2> removed_from_responses = {"Proxy-Authenticate", "Proxy-Authentication-Info"};
constexpr std::array<std::string_view, 4> secret = {"Authorization", "Proxy-Authorization", "Cookie", "Cookie2"};

bool is_one_of(std::string_view name, Names names) noexcept {
  return std::ranges::any_of(names, [&](std::string_view other) { return equals_ignoring_case(name, other); });
}

void add_field(std::string& octets, std::string_view name, std::string_view value) {
  octets.append(name).append(": ").append(value).append("\r\n");
}

/// All fields of that name.
void add_fields_of(std::string& octets, const HttpFields& fields, std::string_view name) {
  for (const HttpField& field : fields) {
    if (equals_ignoring_case(field.name, name)) add_field(octets, name, field.value);
  }
}

/// RFC 9110 section 7.6.3: the version in which the message came, and who forwards it.
void add_via(std::string& octets, std::uint8_t minor) {
  add_field(octets, "Via", minor == 0 ? "1.0 stile" : "1.1 stile");
}

void add_connection(std::string& octets, const std::vector<std::string_view>& options) {
  std::string value;
  for (const std::string_view option : options) value.append(value.empty() ? "" : ", ").append(option);
  if (!value.empty()) add_field(octets, "Connection", value);
}

/// "host" or "host:port", as a URI and a Host field write it.
std::string authority_of(const AddressField& destination) {
  STILE_ASSERT(destination.host.has_value());
  const Address* address = std::get_if<Address>(&*destination.host);
  std::string text = to_string(*destination.host);
  if (address != nullptr && !address->is_v4()) text = "[" + text + "]";
  if (destination.port != 80) text.append(":").append(std::to_string(destination.port));
  return text;
}

void add_request_line(std::string& octets, const HttpRequestHead& head, bool to_proxy) {
  octets.append(head.method).append(" ");
  if (to_proxy) octets.append("http://").append(authority_of(head.destination));
  if (!to_proxy || head.path != "*") octets.append(head.path);
  octets.append(" HTTP/1.1\r\n");
}

/// What goes on as it came; Max-Forwards one less (RFC 9110 section 7.6.2).
void add_request_fields(std::string& octets, const HttpRequestHead& head) {
  const auto named = list_elements(head.fields, "Connection");
  const auto forwards = max_forwards(head);
  STILE_ASSERT(!forwards || *forwards > 0);
  for (const HttpField& field : head.fields) {
    if (is_one_of(field.name, removed_always) || is_one_of(field.name, removed_from_requests) ||
        is_one_of(field.name, named)) {
      continue;
    }
    // RFC 9110 section 10.1.1: of an HTTP/1.0 request the expectation is to be ignored; that client reads no 100.
    if (head.minor == 0 && equals_ignoring_case(field.name, "Expect")) continue;
    if (forwards && equals_ignoring_case(field.name, "Max-Forwards")) continue;
    add_field(octets, field.name, field.value);
  }
  if (forwards) add_field(octets, "Max-Forwards", std::to_string(*forwards - 1));
}

void add_body_fields(std::string& octets, const HttpBody& body) {
  if (body.kind == HttpBodyKind::chunked) add_field(octets, "Transfer-Encoding", "chunked");
  if (body.kind == HttpBodyKind::length) add_field(octets, "Content-Length", std::to_string(body.octets));
}

/// A declared length without a body says what a body would have had: RFC 9110 section 8.6 wants it on HEAD and 304, and
/// forbids it on 1xx and 204.
bool declares_length(const HttpResponseHead& head) noexcept {
  return head.body.kind == HttpBodyKind::none && head.content_length && head.status >= 200 && head.status != 204;
}

}  // namespace

std::string rewrite_http_request(const HttpRequestHead& head, const HttpRequestRewrite& rewrite) {
  STILE_ASSERT(!head.is_connect());
  const bool trailers = list_contains(head.fields, "TE", "trailers");
  const bool upgrade = rewrite.relay_upgrade && head.minor >= 1 && find_field(head.fields, "Upgrade") != nullptr;
  std::string octets;
  add_request_line(octets, head, rewrite.to_proxy);
  add_field(octets, "Host", authority_of(head.destination));
  add_request_fields(octets, head);
  std::vector<std::string_view> connection;
  if (rewrite.close) connection.emplace_back("close");
  if (trailers) {
    // RFC 9110 section 10.1.4: "A sender of TE MUST also send a "TE" connection option".
    add_field(octets, "TE", "trailers");
    connection.emplace_back("TE");
  }
  if (upgrade) {
    add_fields_of(octets, head.fields, "Upgrade");
    connection.emplace_back("Upgrade");
  }
  add_body_fields(octets, head.body);
  if (!rewrite.proxy_authorization.empty()) add_field(octets, "Proxy-Authorization", rewrite.proxy_authorization);
  if (!rewrite.forwarded.empty()) add_field(octets, "Forwarded", rewrite.forwarded);
  add_via(octets, head.minor);
  add_connection(octets, connection);
  return octets.append("\r\n");
}

std::string rewrite_http_response(const HttpResponseHead& head, const HttpResponseRewrite& rewrite) {
  const auto named = list_elements(head.fields, "Connection");
  const bool upgrade = rewrite.relay_upgrade && find_field(head.fields, "Upgrade") != nullptr;
  const bool old_client = rewrite.client_minor == 0;
  std::string octets("HTTP/1.1 ");
  octets.append(std::to_string(head.status)).append(" ").append(head.phrase).append("\r\n");
  for (const HttpField& field : head.fields) {
    if (is_one_of(field.name, removed_always) || is_one_of(field.name, removed_from_responses) ||
        is_one_of(field.name, named)) {
      continue;
    }
    add_field(octets, field.name, field.value);
  }
  if (head.body.kind != HttpBodyKind::chunked || !old_client) add_body_fields(octets, head.body);
  if (declares_length(head)) add_field(octets, "Content-Length", std::to_string(*head.content_length));
  add_via(octets, head.minor);
  std::vector<std::string_view> connection;
  const bool close = rewrite.close || old_client || head.body.kind == HttpBodyKind::until_close;
  if (close && head.status >= 200) connection.emplace_back("close");
  if (upgrade) {
    add_fields_of(octets, head.fields, "Upgrade");
    connection.emplace_back("Upgrade");
  }
  add_connection(octets, connection);
  return octets.append("\r\n");
}

std::string answer_http_request(const HttpRequestHead& head, bool close) {
  std::string body;
  if (head.method == "TRACE") {
    body.append("TRACE ").append(head.target).append(head.minor == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    for (const HttpField& field : head.fields) {
      if (!is_one_of(field.name, secret)) add_field(body, field.name, field.value);
    }
    body.append("\r\n");
  }
  std::string octets("HTTP/1.1 200 OK\r\n");
  if (!body.empty()) add_field(octets, "Content-Type", "message/http");
  add_field(octets, "Content-Length", std::to_string(body.size()));
  if (close) add_field(octets, "Connection", "close");
  return octets.append("\r\n").append(body);
}

}  // namespace stile::wire
