// What a gateway asks of its host, as text: packet rules (nftables) in a table of their own, which take what machines
// of a network send and refuse to forward it, and the routing by which what is taken is delivered here. The rules stand
// while nobody serves what they take: nothing passes the gateway by. Pure. Tested in gateway_rules_test.cc.
#pragma once

#include <cstdint>
#include <string>

#include "config/gateway.h"

namespace stile::netns {

/// Where connections and datagrams are diverted to, and questions for names; outside of the range that ports are chosen
/// from. With tproxy on loopback, by redirect on every address.
inline constexpr std::uint16_t gateway_port = 61080;
inline constexpr std::uint16_t gateway_name_port = 61053;

/// What is taken has this mark, by which it is delivered here.
inline constexpr std::uint32_t gateway_mark = 0x73746c01;
/// And whole packets that are answers have this one: connection tracking must not take them for the begin of something.
inline constexpr std::uint32_t gateway_answer_mark = 0x73746c02;
/// The number of the routing table, and of the rule that leads there.
inline constexpr std::uint32_t gateway_route_number = 7374;

/// nft(8). They begin by clearing their own table, so that they take the place of what an earlier run left behind.
[[nodiscard]] std::string gateway_rules(const config::Gateway& gateway);
/// nft(8): nothing of them is left, whether or not they were there.
[[nodiscard]] std::string no_gateway_rules();

/// nft(8): fails where there are none.
[[nodiscard]] std::string look_for_gateway_rules();

/// For sh(1): puts the rules and routes in force, and says in comments how they are taken back.
[[nodiscard]] std::string gateway_script(const config::Gateway& gateway);

}  // namespace stile::netns
