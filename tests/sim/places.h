// The town's addresses, the policy that holds in it, and the octets that go there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "engine/prng.h"
#include "resolve/table_resolver.h"

namespace stile::sim_test {

inline const Address client_address = Address::v4(203, 0, 113, 9);
inline const Address client_address6 = Address::parse("2001:db8:c::9").value();
inline const Address origin_address = Address::v4(192, 0, 2, 10);  // "reserved" for documentation: the policy names it
inline const Address origin_address6 = Address::parse("2001:db8:a::10").value();
inline const Address other_address = Address::v4(192, 0, 2, 77);  // admitted as well, but not whom anybody asks for
inline const Address other_address6 = Address::parse("2001:db8:a::77").value();
inline const Address near_address = Address::v4(203, 0, 113, 20);  // reached by the client's own server in any case
inline const Address stranger_address = Address::v4(203, 0, 113, 200);  // admitted nowhere
inline const Address stranger_address6 = Address::parse("2001:db8:f::200").value();
inline const Address dead_address = Address::v4(192, 0, 2, 66);  // allowed, but nothing answers
inline const Address denied_address = Address::v4(169, 254, 169, 254);
// On the way to 192.0.2.0/24. The policy shows the first to the client.
inline const Address router = Address::v4(198, 51, 100, 2);
inline const Address hidden_router = Address::v4(198, 51, 100, 3);
inline const Address unreachable_address = Address::v4(192, 0, 2, 99);  // as the hidden router says

/// Who may log in, and its password.
inline constexpr std::string_view user = "alice";
inline constexpr std::string_view password = "secret";

/// The server's own.
inline const Endpoint server_endpoint{Address::v4(198, 51, 100, 1), 1080};
inline const Endpoint server_endpoint6{Address::parse("2001:db8:5::1").value(), 1080};

inline constexpr std::string_view rules = R"(
tcp:  allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to tcp 192.0.2.0/24
bind: allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to bind 192.0.2.0/24, 2001:db8:a::/48
udp:  allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to udp 192.0.2.0/24, 2001:db8:a::/48
probes: allow anyone from 203.0.113.0/24 to ping 192.0.2.0/24, 198.51.100.2
)";

/// The same with numbers that hold everybody back and forbid nobody.
inline constexpr std::string_view metered_rules = R"(
tcp:  allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to tcp 192.0.2.0/24 rate 1MB/s rate per tunnel up 300KB/s sessions 1000 quota 1TB/day idle 10m
bind: allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to bind 192.0.2.0/24, 2001:db8:a::/48 rate per user 2MB/s
udp:  allow anyone from 203.0.113.0/24, 2001:db8:c::/48 to udp 192.0.2.0/24, 2001:db8:a::/48 rate 1GB/s quota 1TB/month
probes: allow anyone from 203.0.113.0/24 to ping 192.0.2.0/24, 198.51.100.2
)";

/// 0 to nearly a megabyte.
[[nodiscard]] std::string random_octets(engine::Prng& prng);
[[nodiscard]] bool is_prefix(const std::string& part, const std::string& whole);
/// Names of the conversation of this number.
[[nodiscard]] std::string name_of(std::string_view who, std::size_t number);
/// What resolves names, for each server there is.
using Names = std::vector<resolve::TableResolver*>;
/// All of them resolve `name` to these from the start on.
void add_name(const Names& names, const std::string& name, const std::vector<Address>& addresses);

}  // namespace stile::sim_test
