#include "sys/loopback_setup.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "sys/route_request.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

constexpr unsigned loopback = 1;  // the index of `lo` in every network (Linux, LOOPBACK_IFINDEX)

}  // namespace

Result<void> bring_loopback_up() {
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = loopback;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  return RouteRequest(RTM_NEWLINK, 0, link).ask();
}

Result<void> add_loopback_address(const Address& address) {
  ifaddrmsg body{};
  body.ifa_family = static_cast<std::uint8_t>(address_family(address));
  body.ifa_prefixlen = static_cast<std::uint8_t>(address.octets().size() * 8);
  body.ifa_flags = IFA_F_NODAD;  // nobody else could have it, and a route may name it at once
  body.ifa_index = loopback;
  body.ifa_scope = RT_SCOPE_UNIVERSE;
  RouteRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
  request.add(IFA_LOCAL, address.octets());
  request.add(IFA_ADDRESS, address.octets());
  return request.ask();
}

Result<void> make_every_address_local(const Address& source) {
  rtmsg route{};
  route.rtm_family = static_cast<std::uint8_t>(address_family(source));
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = RT_SCOPE_HOST;
  route.rtm_type = RTN_LOCAL;
  RouteRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  request.add(RTA_OIF, std::uint32_t{loopback});
  request.add(RTA_PREFSRC, source.octets());
  return request.ask();
}

}  // namespace stile::sys
