#include "sys/policy_route.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "sys/route_request.h"

namespace stile::sys {
namespace {

constexpr std::uint32_t loopback = 1;  // the index of `lo` in every network (Linux, LOOPBACK_IFINDEX)
constexpr int rules_max = 16;          // of ours that may have been left behind, one for each run that was killed

std::uint8_t family_number(Family family) noexcept {
  return family == Family::ipv4 ? AF_INET : AF_INET6;
}

RouteRequest rule_request(std::uint16_t type, std::uint16_t flags, Family family, const MarkedDelivery& delivery) {
  fib_rule_hdr rule{};
  rule.family = family_number(family);
  rule.action = FR_ACT_TO_TBL;
  RouteRequest request(type, flags, rule);
  request.add(FRA_PRIORITY, delivery.preference);
  request.add(FRA_FWMARK, delivery.mark);
  request.add(FRA_FWMASK, UINT32_MAX);
  request.add(FRA_TABLE, delivery.table);
  return request;
}

RouteRequest route_request(std::uint16_t type, std::uint16_t flags, Family family, const MarkedDelivery& delivery) {
  rtmsg route{};
  route.rtm_family = family_number(family);
  route.rtm_table = RT_TABLE_UNSPEC;  // see RTA_TABLE
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = RT_SCOPE_HOST;
  route.rtm_type = RTN_LOCAL;
  RouteRequest request(type, flags, route);
  request.add(RTA_TABLE, delivery.table);
  request.add(RTA_OIF, loopback);
  return request;
}

bool failed(const Result<void>& done) noexcept {
  return !done && done.error().os_code != EEXIST;
}

}  // namespace

Result<void> deliver_marked(Family family, const MarkedDelivery& delivery) {
  auto done = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, family, delivery).ask();
  if (failed(done)) return done;
  done = rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, delivery).ask();
  if (failed(done)) return done;
  return {};
}

void undo_deliver_marked(Family family, const MarkedDelivery& delivery) {
  for (int i = 0; i < rules_max && rule_request(RTM_DELRULE, 0, family, delivery).ask(); ++i) {
  }
  (void)route_request(RTM_DELROUTE, 0, family, delivery).ask();
}

}  // namespace stile::sys
