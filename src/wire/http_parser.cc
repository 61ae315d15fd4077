#include "wire/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <string>
#include <utility>

namespace stile::wire {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

/// Collects the fields; the start line was read before.
template <bool is_request>
class HeadParser final : public http::basic_parser<is_request> {
 public:
  HeadParser() {
    // The lines were held to our own limits, and a body never gets here.
    this->header_limit(std::numeric_limits<std::uint32_t>::max());
    this->body_limit(boost::none);
    this->eager(false);
  }

  [[nodiscard]] HttpFields take_fields() noexcept { return std::move(fields_); }

 private:
  using Text = beast::string_view;
  using Failure = beast::error_code;

  void on_request_impl(http::verb, Text, Text, int, Failure&) override {}
  void on_response_impl(int, Text, int, Failure&) override {}
  void on_field_impl(http::field, Text name, Text value, Failure&) override {
    fields_.push_back(
        {.name = std::string(name.data(), name.size()), .value = std::string(value.data(), value.size())});
  }
  void on_header_impl(Failure&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Failure&) override {}
  std::size_t on_body_impl(Text, Failure&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Failure&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Failure&) override { return 0; }
  void on_finish_impl(Failure&) override {}

  HttpFields fields_;
};

Reason reason_of(const beast::error_code& failure) noexcept {
  const bool framing = failure == http::error::bad_content_length || failure == http::error::multiple_content_length ||
                       failure == http::error::bad_transfer_encoding;
  return framing ? Reason::http_framing : Reason::http_syntax;
}

template <bool is_request>
std::expected<HttpParsedHead, Reason> parse(std::string head, std::span<const std::string_view> fields) {
  head += "\r\n";
  for (const std::string_view field : fields) head.append(field).append("\r\n");
  head += "\r\n";
  HeadParser<is_request> parser;
  beast::error_code failure;
  const std::size_t read = parser.put(boost::asio::buffer(head), failure);
  if (failure) return std::unexpected(reason_of(failure));
  // Beast must have found the blank line where we did, and as many fields.
  HttpParsedHead parsed{.fields = parser.take_fields(), .chunked = parser.chunked(), .content_length = {}};
  if (read != head.size() || !parser.is_header_done() || parsed.fields.size() != fields.size()) {
    return std::unexpected(Reason::http_syntax);
  }
  if (const auto length = parser.content_length()) parsed.content_length = *length;
  return parsed;
}

}  // namespace

std::expected<HttpParsedHead, Reason> parse_http_request_head(std::string_view method, std::string_view target,
                                                              std::span<const std::string_view> fields) {
  return parse<true>(std::string(method).append(" ").append(target).append(" HTTP/1.1"), fields);
}

std::expected<HttpParsedHead, Reason> parse_http_response_head(std::string_view status, std::string_view phrase,
                                                               std::span<const std::string_view> fields) {
  return parse<false>(std::string("HTTP/1.1 ").append(status).append(" ").append(phrase), fields);
}

}  // namespace stile::wire
