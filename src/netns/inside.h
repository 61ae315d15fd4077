// What a private network is like inside, as text: its packet rules, and the files by which programs find names. Pure.
// Tested in inside_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stile::netns {

/// Where names are asked for, by datagrams and by TCP.
inline constexpr std::uint16_t name_port = 53;
/// Where connections are diverted to, at the network's own addresses; of no other use, and outside of the range that
/// ports are chosen from.
inline constexpr std::uint16_t entrance_port = 61080;

/// nft(8). Connections to others go to the entrance and questions to the name server; what remains is refused at once,
/// so that its sender need not wait for it.
[[nodiscard]] std::string packet_rules();

/// resolv.conf(5): names are asked of the network itself, as they are.
[[nodiscard]] std::string resolv_conf();

/// nsswitch.conf(5): this host's own, but hosts are found in /etc/hosts and by DNS alone, not by asking a process
/// outside.
[[nodiscard]] std::string nsswitch_conf(std::string_view own);

}  // namespace stile::netns
