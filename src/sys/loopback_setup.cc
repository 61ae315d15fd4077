#include "sys/loopback_setup.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

constexpr unsigned loopback = 1;  // the index of `lo` in every network (Linux, LOOPBACK_IFINDEX)

/// One request of rtnetlink with its attributes.
class Request {
 public:
  template <class Body>
  Request(std::uint16_t type, std::uint16_t flags, const Body& body) noexcept {
    auto& header = *reinterpret_cast<nlmsghdr*>(octets_.data());
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header.nlmsg_len = NLMSG_LENGTH(sizeof body);
    std::memcpy(NLMSG_DATA(&header), &body, sizeof body);
  }

  void add(std::uint16_t type, ConstBytes value) noexcept {
    auto& header = *reinterpret_cast<nlmsghdr*>(octets_.data());
    const std::size_t at = NLMSG_ALIGN(header.nlmsg_len);
    STILE_ASSERT(at + RTA_SPACE(value.size()) <= octets_.size());
    auto& attribute = *reinterpret_cast<rtattr*>(octets_.data() + at);
    attribute.rta_type = type;
    attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size()));
    std::memcpy(RTA_DATA(&attribute), value.data(), value.size());
    header.nlmsg_len = static_cast<std::uint32_t>(at + RTA_SPACE(value.size()));
  }

  /// Sends it and waits for the kernel's word.
  [[nodiscard]] Result<void> ask() const noexcept {
    const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd) return std::unexpected(make_error(errno));
    const auto& header = *reinterpret_cast<const nlmsghdr*>(octets_.data());
    if (retry([&] { return ::send(fd.get(), octets_.data(), header.nlmsg_len, 0); }) < 0) {
      return std::unexpected(make_error(errno));
    }
    alignas(nlmsghdr) std::array<char, 1024> answer;
    const ssize_t received = retry([&] { return ::recv(fd.get(), answer.data(), answer.size(), 0); });
    if (received < 0) return std::unexpected(make_error(errno));
    const auto& told = *reinterpret_cast<const nlmsghdr*>(answer.data());
    if (static_cast<std::size_t>(received) < NLMSG_LENGTH(sizeof(nlmsgerr)) || told.nlmsg_type != NLMSG_ERROR) {
      return std::unexpected(make_error(EPROTO));
    }
    nlmsgerr error;
    std::memcpy(&error, NLMSG_DATA(&told), sizeof error);
    if (error.error != 0) return std::unexpected(make_error(-error.error));
    return {};
  }

 private:
  alignas(nlmsghdr) std::array<char, 256> octets_{};
};

}  // namespace

Result<void> bring_loopback_up() {
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = loopback;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  return Request(RTM_NEWLINK, 0, link).ask();
}

Result<void> add_loopback_address(const Address& address) {
  ifaddrmsg body{};
  body.ifa_family = static_cast<std::uint8_t>(address_family(address));
  body.ifa_prefixlen = static_cast<std::uint8_t>(address.octets().size() * 8);
  body.ifa_flags = IFA_F_NODAD;  // nobody else could have it, and a route may name it at once
  body.ifa_index = loopback;
  body.ifa_scope = RT_SCOPE_UNIVERSE;
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
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
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  const std::uint32_t device = loopback;
  request.add(RTA_OIF, {reinterpret_cast<const std::uint8_t*>(&device), sizeof device});
  request.add(RTA_PREFSRC, source.octets());
  return request.ask();
}

}  // namespace stile::sys
