#include "server/icmp_meaning.h"

#include <array>

namespace stile::server {
namespace {

using wire::PingTrouble;
using wire::TraceMark;

constexpr IcmpMeaning expired{PingTrouble::ttl_expired, TraceMark::none};
constexpr IcmpMeaning network{PingTrouble::net_unreachable, TraceMark::network};
constexpr IcmpMeaning host{PingTrouble::host_unreachable, TraceMark::host};
constexpr IcmpMeaning protocol{PingTrouble::host_unreachable, TraceMark::protocol};
constexpr IcmpMeaning prohibited{PingTrouble::admin_prohibited, TraceMark::prohibited};

struct Row {
  Family family;
  std::uint8_t type;
  std::uint8_t first_code;
  std::uint8_t last_code;
  IcmpMeaning meaning;
};

// The first row that fits.
constexpr std::array rows{
    Row{Family::ipv4, 11, 0, 255, expired},   Row{Family::ipv4, 3, 0, 0, network},
    Row{Family::ipv4, 3, 2, 3, protocol},     Row{Family::ipv4, 3, 6, 6, network},  // unknown
    Row{Family::ipv4, 3, 9, 10, prohibited},                                        // network, host
    Row{Family::ipv4, 3, 11, 11, network},                                          // for this type of service
    Row{Family::ipv4, 3, 13, 15, prohibited},                                       // by a filter, by precedence
    Row{Family::ipv4, 3, 0, 255, host},       Row{Family::ipv4, 12, 0, 255, protocol},
    Row{Family::ipv6, 3, 0, 255, expired},    Row{Family::ipv6, 1, 0, 0, network},
    Row{Family::ipv6, 1, 1, 1, prohibited},   Row{Family::ipv6, 1, 4, 4, protocol},
    Row{Family::ipv6, 1, 5, 6, prohibited},                                        // by source address, by route
    Row{Family::ipv6, 1, 0, 255, host},       Row{Family::ipv6, 2, 0, 255, host},  // too big
    Row{Family::ipv6, 4, 0, 255, protocol},
};

}  // namespace

std::optional<IcmpMeaning> meaning_of(const engine::IcmpReport& report) noexcept {
  for (const Row& row : rows) {
    const bool fits = row.family == report.family && row.type == report.type && row.first_code <= report.code &&
                      report.code <= row.last_code;
    if (fits) return row.meaning;
  }
  return std::nullopt;
}

std::optional<IcmpMeaning> meaning_of(const Error& error) noexcept {
  switch (error.kind) {
    case ErrorKind::net_unreachable:
    case ErrorKind::address_unavailable:
    case ErrorKind::invalid:  // a blackhole route
      return network;
    case ErrorKind::host_unreachable:
      return host;
    case ErrorKind::not_permitted:
      return prohibited;
    default:
      return std::nullopt;
  }
}

}  // namespace stile::server
