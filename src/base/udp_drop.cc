#include "base/udp_drop.h"

#include <array>
#include <cstddef>

namespace stile {
namespace {

struct Row {
  UdpDrop drop;
  std::string_view token;
};

// In the order of the enumeration, which the static_assert below holds.
constexpr std::array<Row, udp_drop_count> table{{
    {UdpDrop::source, "udp.src"},
    {UdpDrop::port, "udp.port"},
    {UdpDrop::header, "udp.header"},
    {UdpDrop::fragment, "udp.frag"},
    {UdpDrop::denied, "udp.deny"},
    {UdpDrop::name, "udp.dns"},
    {UdpDrop::send, "udp.send"},
    {UdpDrop::reply, "udp.reply"},
    {UdpDrop::too_big, "udp.toobig"},
    {UdpDrop::token, "udp.gss"},
    {UdpDrop::limit, "udp.limit"},
    {UdpDrop::rate, "udp.rate"},
    {UdpDrop::quota, "udp.quota"},
    {UdpDrop::upstream, "udp.upstream"},
    {UdpDrop::upstream_command, "udp.upstream.command"},
    {UdpDrop::icmp_port, "udp.icmp.port"},
    {UdpDrop::icmp_host, "udp.icmp.host"},
    {UdpDrop::icmp_network, "udp.icmp.net"},
    {UdpDrop::icmp_prohibited, "udp.icmp.prohibited"},
    {UdpDrop::icmp_expired, "udp.icmp.expired"},
    {UdpDrop::icmp_too_big, "udp.icmp.toobig"},
    {UdpDrop::icmp_other, "udp.icmp.other"},
}};

constexpr bool in_enumeration_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].drop) != i) return false;
  }
  return true;
}
static_assert(in_enumeration_order());

}  // namespace

std::string_view token(UdpDrop drop) noexcept {
  return table[static_cast<std::size_t>(drop)].token;
}

}  // namespace stile
