#include "sim/places.h"

#include <chrono>

namespace stile::sim_test {
namespace {

std::string port_octets(std::uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xFF)};
}

}  // namespace

std::string random_octets(engine::Prng& prng) {
  const std::size_t sizes[] = {0, 1, 10, 1000, 20'000, 300'000, 900'000};
  std::string octets(sizes[prng.next() % 7], '\0');
  for (char& octet : octets) octet = static_cast<char>(prng.next());
  return octets;
}

bool is_prefix(const std::string& part, const std::string& whole) {
  return whole.compare(0, part.size(), part) == 0;
}

std::string name_of(std::string_view who, std::size_t number) {
  return std::string(who) + std::to_string(number) + ".example";
}

void add_name(resolve::TableResolver& names, const std::string& name, const std::vector<Address>& addresses) {
  std::vector<Address> ipv4;
  std::vector<Address> ipv6;
  for (const Address& address : addresses) (address.is_v4() ? ipv4 : ipv6).push_back(address);
  names.add(std::get<HostName>(*canonical_host(name)),
            {.ipv4 = resolve::TableResolver::half(ipv4, std::chrono::seconds(60)),
             .ipv6 = resolve::TableResolver::half(ipv6, std::chrono::seconds(60))});
}

std::string socks5_request(std::uint8_t command, const Address& address, std::uint16_t port) {
  std::string request{5, static_cast<char>(command), 0, static_cast<char>(address.is_v4() ? 1 : 4)};
  for (const std::uint8_t octet : address.octets()) request += static_cast<char>(octet);
  return request + port_octets(port);
}

std::string socks5_request(std::uint8_t command, const std::string& name, std::uint16_t port) {
  std::string request{5, static_cast<char>(command), 0, 3, static_cast<char>(name.size())};
  return request + name + port_octets(port);
}

}  // namespace stile::sim_test
