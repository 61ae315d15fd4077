// One request of rtnetlink(7) with its attributes, in the network of the calling process. Blocking. Threading: one
// thread. Tested in private_network_test.cc and policy_route_test.cc.
#pragma once

#include <linux/netlink.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"

namespace stile::sys {

class RouteRequest {
 public:
  template <class Body>
  RouteRequest(std::uint16_t type, std::uint16_t flags, const Body& body) noexcept {
    auto& header = *reinterpret_cast<nlmsghdr*>(octets_.data());
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header.nlmsg_len = NLMSG_LENGTH(sizeof body);
    std::memcpy(NLMSG_DATA(&header), &body, sizeof body);
  }

  void add(std::uint16_t type, ConstBytes value) noexcept;
  void add(std::uint16_t type, std::uint32_t value) noexcept {
    add(type, ConstBytes(reinterpret_cast<const std::uint8_t*>(&value), sizeof value));
  }

  /// Sends it and waits for the kernel's word.
  [[nodiscard]] Result<void> ask() const noexcept;

 private:
  alignas(nlmsghdr) std::array<char, 256> octets_{};
};

}  // namespace stile::sys
