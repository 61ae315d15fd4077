#include "server/packet_source.h"

#include "sys/diverted_socket.h"
#include "wire/ip_packet.h"

namespace stile::server {
namespace {

// Every link of IPv6 takes so much, and none of IPv4 that anybody has takes less (RFC 8200 section 5).
constexpr std::size_t fragment_octets_max = 1280;

}  // namespace

void PacketSource::send(const Address& to, ConstBytes packet) const {
  const auto sent = sys::send_packet(fd_.get(), to, packet);
  if (sent || sent.error().kind != ErrorKind::message_too_big) return;
  for (const auto& fragment : wire::fragments_of(packet, fragment_octets_max, ++identification_)) {
    (void)sys::send_packet(fd_.get(), to, fragment);
  }
}

}  // namespace stile::server
