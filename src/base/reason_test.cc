// Every reason, its token and its reply code: RFC 1928 section 6, and the protocol reference's section 2.5.
#include "base/reason.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string_view>
#include <vector>

namespace stile {
namespace {

std::vector<Reason> all_reasons() {
  std::vector<Reason> reasons;
  for (int i = 0; i < reason_count; ++i) reasons.push_back(static_cast<Reason>(i));
  return reasons;
}

TEST(Reason, EveryOneHasItsOwnToken) {
  std::set<std::string_view> tokens;
  for (const Reason reason : all_reasons()) {
    EXPECT_EQ(info(reason).reason, reason);
    EXPECT_FALSE(token(reason).empty());
    EXPECT_TRUE(tokens.insert(token(reason)).second) << token(reason) << " names two reasons";
  }
}

// Records are read by programs: tokens hold nothing that needs quoting.
TEST(Reason, TokensAreWords) {
  for (const Reason reason : all_reasons()) {
    EXPECT_EQ(token(reason).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_."), std::string_view::npos)
        << token(reason);
  }
}

TEST(Reason, OnlySuccessRepliesSuccess) {
  for (const Reason reason : all_reasons()) {
    EXPECT_EQ(reply_code(reason) == ReplyCode::succeeded, reason == Reason::none) << token(reason);
    EXPECT_LE(static_cast<int>(reply_code(reason)), 0x08) << token(reason);
  }
}

TEST(Reason, ReplyCodesOfTheOutcomeTable) {
  struct Row {
    ReplyCode code;
    std::vector<Reason> reasons;
  };
  const std::array<Row, 9> rows = {{
      {ReplyCode::succeeded, {Reason::none}},
      {ReplyCode::general_failure,
       {Reason::request_name, Reason::request_port, Reason::dns_failed, Reason::dial_no_ports, Reason::dial_egress,
        Reason::dial_failed, Reason::ping_no_socket, Reason::no_resources, Reason::limit_sessions,
        Reason::limit_accounting, Reason::limit_listener, Reason::upstream_failed, Reason::upstream_general}},
      {ReplyCode::not_allowed,
       {Reason::deny_unspecified, Reason::deny_policy, Reason::deny_self, Reason::dial_forbidden, Reason::limit_source,
        Reason::limit_user, Reason::limit_associations, Reason::limit_rule, Reason::limit_quota,
        Reason::upstream_denied}},
      {ReplyCode::network_unreachable, {Reason::dial_network_unreachable, Reason::upstream_network_unreachable}},
      {ReplyCode::host_unreachable,
       {Reason::name_impossible, Reason::dns_not_found, Reason::dns_reserved, Reason::dial_host_unreachable,
        Reason::dial_timeout, Reason::upstream_host_unreachable, Reason::upstream_timeout}},
      {ReplyCode::connection_refused, {Reason::dial_refused, Reason::upstream_refused}},
      {ReplyCode::ttl_expired, {Reason::dial_ttl_expired, Reason::upstream_ttl_expired}},
      {ReplyCode::command_not_supported, {Reason::command_unknown, Reason::upstream_command}},
      {ReplyCode::address_type_not_supported,
       {Reason::address_type_unknown, Reason::dial_family_off, Reason::upstream_address_type}},
  }};
  for (std::size_t code = 0; code < rows.size(); ++code) {
    EXPECT_EQ(static_cast<std::size_t>(rows[code].code), code) << "RFC 1928 section 6 numbers them 00 to 08";
    for (const Reason reason : rows[code].reasons) EXPECT_EQ(reply_code(reason), rows[code].code) << token(reason);
  }
}

// Those end a conversation without a reply, or end a relay; should one ever be told to a client, it is not specific.
TEST(Reason, AllOthersAreGeneralFailures) {
  for (const Reason reason : {Reason::protocol_unknown,
                              Reason::protocol_off,
                              Reason::method_none,
                              Reason::auth_version,
                              Reason::auth_failed,
                              Reason::auth_unavailable,
                              Reason::auth_crashed,
                              Reason::request_version,
                              Reason::request_user,
                              Reason::eof_greeting,
                              Reason::eof_auth,
                              Reason::eof_request,
                              Reason::timeout_handshake,
                              Reason::client_reset,
                              Reason::fin_client,
                              Reason::fin_target,
                              Reason::reset_client,
                              Reason::reset_target,
                              Reason::idle,
                              Reason::drain,
                              Reason::proxy_missing,
                              Reason::proxy_version,
                              Reason::proxy_syntax,
                              Reason::proxy_timeout,
                              Reason::gss_version,
                              Reason::gss_order,
                              Reason::gss_accept,
                              Reason::gss_token,
                              Reason::gss_ticket,
                              Reason::gss_level,
                              Reason::http_syntax,
                              Reason::http_host,
                              Reason::http_target,
                              Reason::http_framing,
                              Reason::http_method,
                              Reason::http_line_long,
                              Reason::http_fields_large,
                              Reason::http_scheme,
                              Reason::http_coding,
                              Reason::http_version,
                              Reason::http_response,
                              Reason::http_incomplete,
                              Reason::http_unavailable,
                              Reason::ping_line}) {
    EXPECT_EQ(reply_code(reason), ReplyCode::general_failure) << token(reason);
  }
}

// The tokens that the protocol reference writes out.
TEST(Reason, PublishedTokens) {
  EXPECT_EQ(token(Reason::protocol_unknown), "proto.unknown");
  EXPECT_EQ(token(Reason::protocol_off), "proto.off");
  EXPECT_EQ(token(Reason::method_none), "method.none");
  EXPECT_EQ(token(Reason::auth_version), "auth.version");
  EXPECT_EQ(token(Reason::auth_failed), "auth.failed");
  EXPECT_EQ(token(Reason::request_version), "request.version");
  EXPECT_EQ(token(Reason::request_name), "request.name");
  EXPECT_EQ(token(Reason::request_port), "request.port");
  EXPECT_EQ(token(Reason::name_impossible), "name.impossible");
  EXPECT_EQ(token(Reason::request_user), "request.user");
  EXPECT_EQ(token(Reason::proxy_missing), "pp.missing");
  EXPECT_EQ(token(Reason::proxy_version), "pp.version");
  EXPECT_EQ(token(Reason::proxy_syntax), "pp.syntax");
  EXPECT_EQ(token(Reason::proxy_timeout), "pp.timeout");
  EXPECT_EQ(token(Reason::gss_version), "gss.version");
  EXPECT_EQ(token(Reason::gss_order), "gss.order");
  EXPECT_EQ(token(Reason::gss_accept), "gss.accept");
  EXPECT_EQ(token(Reason::gss_token), "gss.token");
  EXPECT_EQ(token(Reason::gss_level), "gss.level");
  EXPECT_EQ(token(Reason::eof_greeting), "eof.greeting");
  EXPECT_EQ(token(Reason::eof_auth), "eof.auth");
  EXPECT_EQ(token(Reason::eof_request), "eof.request");
  EXPECT_EQ(token(Reason::timeout_handshake), "timeout.handshake");
  EXPECT_EQ(token(Reason::deny_unspecified), "deny.unspecified");
}

}  // namespace
}  // namespace stile
