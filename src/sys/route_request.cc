#include "sys/route_request.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/unique_fd.h"

namespace stile::sys {

void RouteRequest::add(std::uint16_t type, ConstBytes value) noexcept {
  auto& header = *reinterpret_cast<nlmsghdr*>(octets_.data());
  const std::size_t at = NLMSG_ALIGN(header.nlmsg_len);
  STILE_ASSERT(at + RTA_SPACE(value.size()) <= octets_.size());
  auto& attribute = *reinterpret_cast<rtattr*>(octets_.data() + at);
  attribute.rta_type = type;
  attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size()));
  std::memcpy(RTA_DATA(&attribute), value.data(), value.size());
  header.nlmsg_len = static_cast<std::uint32_t>(at + RTA_SPACE(value.size()));
}

Result<void> RouteRequest::ask() const noexcept {
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

}  // namespace stile::sys
