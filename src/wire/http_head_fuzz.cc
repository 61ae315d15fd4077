// HTTP heads on arbitrary octets: every verdict comes at one octet, whatever follows, and what is sent on for a head
// that was accepted is a head again, with one Host, one length and nothing of the hop before.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/assert.h"
#include "wire/codec_fuzz_support.h"
#include "wire/http_head.h"
#include "wire/http_rewrite.h"

namespace stile::wire {
namespace {

ConstBytes as_octets(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// What a second reader gets is what we read: decoded again, the message is the same.
void check_request_goes_on(const HttpRequestHead& head) {
  if (head.is_connect() || !head.destination.host || max_forwards(head) == 0U) return;
  const std::string sent = rewrite_http_request(head, {.to_proxy = true});
  const auto result = decode_http_request(as_octets(sent));
  const auto* again = std::get_if<Parsed<HttpRequestHead>>(&result);
  // The target's authority and a few fields are longer in canonical form, so that limits may be passed.
  if (again == nullptr) {
    STILE_ASSERT(sent.size() > limits::http_line_octets_max / 2 || head.fields.size() + 4 > limits::http_fields_max);
    return;
  }
  STILE_ASSERT(again->consumed == sent.size());
  STILE_ASSERT(again->value.method == head.method && again->value.path == head.path);
  STILE_ASSERT(again->value.destination.target() == head.destination.target());
  STILE_ASSERT(again->value.body == head.body);
  STILE_ASSERT(count_fields(again->value.fields, "Host") == 1);
  STILE_ASSERT(count_fields(again->value.fields, "Content-Length") <= 1);
  for (const std::string_view gone :
       {"Proxy-Authorization", "Keep-Alive", "Proxy-Connection", "Upgrade", "Forwarded"}) {
    STILE_ASSERT(count_fields(again->value.fields, gone) == 0);
  }
}

void check_response_goes_on(const HttpResponseHead& head, HttpAsked asked) {
  const std::string sent = rewrite_http_response(head, {});
  const auto result = decode_http_response(as_octets(sent), asked);
  const auto* again = std::get_if<Parsed<HttpResponseHead>>(&result);
  if (again == nullptr) {
    STILE_ASSERT(sent.size() > limits::http_line_octets_max / 2 || head.fields.size() + 4 > limits::http_fields_max);
    return;
  }
  STILE_ASSERT(again->consumed == sent.size());
  STILE_ASSERT(again->value.status == head.status && again->value.body == head.body);
  STILE_ASSERT(count_fields(again->value.fields, "Proxy-Authenticate") == 0);
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  const ConstBytes input(data, size);
  // Every prefix is tried: of long inputs the first octets only.
  constexpr std::size_t prefixes_max = 300;
  const ConstBytes tried = input.first(size < prefixes_max ? size : prefixes_max);
  const auto first = [](ConstBytes octets) { return decode_http_request(octets); };
  const auto later = [](ConstBytes octets) { return decode_http_request(octets, HttpTurn::later); };
  assert_one_verdict<HttpRequestHead>(first, tried);
  const auto own = [](ConstBytes octets) { return decode_http_request(octets, HttpTurn::later, HttpOwn::pac); };
  assert_one_verdict<HttpRequestHead>(later, tried);
  assert_one_verdict<HttpRequestHead>(own, tried);
  const auto request = later(input);
  if (const auto* parsed = std::get_if<Parsed<HttpRequestHead>>(&request)) check_request_goes_on(parsed->value);
  for (const HttpAsked asked : {HttpAsked::ordinary, HttpAsked::head, HttpAsked::connect}) {
    const auto decode = [&](ConstBytes octets) { return decode_http_response(octets, asked); };
    assert_one_verdict<HttpResponseHead>(decode, tried);
    const auto response = decode(input);
    if (const auto* parsed = std::get_if<Parsed<HttpResponseHead>>(&response)) {
      check_response_goes_on(parsed->value, asked);
    }
  }
  return 0;
}
