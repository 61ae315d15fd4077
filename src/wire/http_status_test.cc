// What HTTP clients are told: the outcome table of the protocol reference (its sections 2.5 and 7), and the responses.
#include "wire/http_status.h"

#include <gtest/gtest.h>

#include <set>

#include "wire/codec_test_support.h"
#include "wire/http_head.h"

namespace stile::wire::testing {
namespace {

using namespace std::chrono_literals;

/// RFC 9209 section 2.3, as far as a forward proxy meets them.
const std::set<std::string_view> registered = {"http_request_error",
                                               "http_request_denied",
                                               "destination_ip_prohibited",
                                               "destination_ip_unroutable",
                                               "destination_unavailable",
                                               "dns_error",
                                               "dns_timeout",
                                               "connection_refused",
                                               "connection_terminated",
                                               "connection_timeout",
                                               "connection_read_timeout",
                                               "connection_limit_reached",
                                               "http_protocol_error",
                                               "http_response_incomplete",
                                               "http_response_timeout",
                                               "proxy_internal_error"};

TEST(HttpOutcome, EveryReasonHasAStatusThatCanBeSent) {
  for (int i = 0; i < reason_count; ++i) {
    const HttpOutcome& outcome = http_outcome(static_cast<Reason>(i));
    EXPECT_EQ(outcome.reason, static_cast<Reason>(i));
    EXPECT_FALSE(http_phrase(outcome.status).empty()) << token(outcome.reason);
    EXPECT_EQ(outcome.status == 200, outcome.reason == Reason::none) << token(outcome.reason);
    const bool silent = outcome.status == 200 || outcome.status == 407;
    EXPECT_EQ(outcome.error.empty(), silent) << token(outcome.reason);
    EXPECT_TRUE(silent || registered.contains(outcome.error)) << outcome.error;
  }
}

TEST(HttpOutcome, RowsOfTheReference) {
  const std::vector<std::tuple<Reason, int, std::string_view>> rows = {
      {Reason::dial_refused, 502, "connection_refused"},
      {Reason::dial_network_unreachable, 502, "destination_ip_unroutable"},
      {Reason::dial_host_unreachable, 502, "destination_ip_unroutable"},
      {Reason::dial_timeout, 504, "connection_timeout"},
      {Reason::dial_ttl_expired, 502, "destination_ip_unroutable"},
      {Reason::dial_forbidden, 403, "http_request_denied"},
      {Reason::dial_family_off, 502, "destination_ip_unroutable"},
      {Reason::dial_no_ports, 503, "connection_limit_reached"},
      {Reason::dial_egress, 503, "connection_limit_reached"},
      {Reason::limit_sessions, 503, "connection_limit_reached"},
      {Reason::limit_listener, 503, "connection_limit_reached"},
      {Reason::limit_source, 403, "http_request_denied"},
      {Reason::limit_user, 403, "http_request_denied"},
      {Reason::limit_rule, 403, "http_request_denied"},
      {Reason::limit_quota, 403, "http_request_denied"},
      {Reason::deny_policy, 403, "http_request_denied"},
      {Reason::dns_not_found, 502, "dns_error"},
      {Reason::dns_failed, 504, "dns_timeout"},
      {Reason::request_name, 400, "http_request_error"},
      {Reason::name_impossible, 400, "http_request_error"},
      {Reason::request_port, 400, "http_request_error"},
      {Reason::http_syntax, 400, "http_request_error"},
      {Reason::http_host, 400, "http_request_error"},
      {Reason::http_target, 400, "http_request_error"},
      {Reason::http_framing, 400, "http_request_error"},
      {Reason::http_method, 405, "http_request_error"},
      {Reason::http_line_long, 414, "http_request_error"},
      {Reason::http_fields_large, 431, "http_request_error"},
      {Reason::http_scheme, 501, "http_request_error"},
      {Reason::http_coding, 501, "http_request_error"},
      {Reason::http_version, 505, "http_request_error"},
      {Reason::http_response, 502, "http_protocol_error"},
      {Reason::http_incomplete, 502, "http_response_incomplete"},
      {Reason::http_unavailable, 504, "http_response_timeout"},
      {Reason::drain, 503, "destination_unavailable"}};
  for (const auto& [reason, status, error] : rows) {
    EXPECT_EQ(http_outcome(reason).status, status) << token(reason);
    EXPECT_EQ(http_outcome(reason).error, error) << token(reason);
  }
  EXPECT_EQ(http_outcome(Reason::auth_failed).status, 407);
}

// P9: nobody learns from the answer that the target was Stile itself.
TEST(HttpOutcome, DenialIsUniform) {
  EXPECT_EQ(http_outcome(Reason::deny_self).status, http_outcome(Reason::deny_policy).status);
  EXPECT_EQ(http_outcome(Reason::deny_self).error, http_outcome(Reason::deny_policy).error);
}

TEST(HttpConnectEstablished, HasNeitherLengthNorCoding) {
  EXPECT_EQ(http_connect_established(), "HTTP/1.1 200 Connection established\r\n\r\n");
}

TEST(HttpRefusal, OctetForOctet) {
  EXPECT_EQ(encode_http_refusal({.status = 403, .error = "http_request_denied"}),
            "HTTP/1.1 403 Forbidden\r\nProxy-Status: stile; error=http_request_denied\r\nContent-Type: text/plain\r\n"
            "Content-Length: 14\r\nConnection: close\r\n\r\n403 Forbidden\n");
  EXPECT_EQ(encode_http_refusal({.status = 407, .close = false, .basic_challenge = true, .negotiate_challenge = true}),
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n"
            "Proxy-Authenticate: Basic realm=\"stile\", charset=\"UTF-8\"\r\nContent-Type: text/plain\r\n"
            "Content-Length: 34\r\n\r\n407 Proxy Authentication Required\n");
  EXPECT_EQ(
      encode_http_refusal({.status = 503, .error = "connection_limit_reached", .to_head_request = true, .retry = 5s}),
      "HTTP/1.1 503 Service Unavailable\r\nProxy-Status: stile; error=connection_limit_reached\r\n"
      "Retry-After: 5\r\nContent-Type: text/plain\r\nContent-Length: 24\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(encode_http_refusal({.status = 405, .error = "http_request_error", .allow = "CONNECT"}),
            "HTTP/1.1 405 Method Not Allowed\r\nProxy-Status: stile; error=http_request_error\r\nAllow: CONNECT\r\n"
            "Content-Type: text/plain\r\nContent-Length: 23\r\nConnection: close\r\n\r\n405 Method Not Allowed\n");
}

TEST(HttpRefusal, IsAResponseWithItsBody) {
  for (int i = 1; i < reason_count; ++i) {
    const HttpOutcome& outcome = http_outcome(static_cast<Reason>(i));
    const std::string text = encode_http_refusal({.status = outcome.status, .error = outcome.error});
    const Octets octets(text.begin(), text.end());
    const auto result = decode_http_response(octets, HttpAsked::ordinary);
    const HttpResponseHead head = parsed(result);
    EXPECT_EQ(head.status, outcome.status);
    EXPECT_EQ(std::get<Parsed<HttpResponseHead>>(result).consumed + head.body.octets, octets.size());
    EXPECT_FALSE(head.persistent);
  }
}

}  // namespace
}  // namespace stile::wire::testing
