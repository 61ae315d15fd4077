#include "sim/places.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace stile::sim_test {
std::string random_octets(engine::Prng& prng) {
  const std::size_t sizes[] = {0, 1, 10, 1000, 20'000, 300'000, 900'000};
  std::string octets(sizes[prng.next() % 7], '\0');
  for (std::size_t at = 0; at < octets.size(); at += 8) {
    const std::uint64_t word = prng.next();
    std::memcpy(&octets[at], &word, std::min<std::size_t>(8, octets.size() - at));
  }
  return octets;
}

bool is_prefix(const std::string& part, const std::string& whole) {
  return whole.compare(0, part.size(), part) == 0;
}

std::string name_of(std::string_view who, std::size_t number) {
  return std::string(who) + std::to_string(number) + ".example";
}

void add_name(const Names& names, const std::string& name, const std::vector<Address>& addresses) {
  std::vector<Address> ipv4;
  std::vector<Address> ipv6;
  for (const Address& address : addresses) (address.is_v4() ? ipv4 : ipv6).push_back(address);
  for (resolve::TableResolver* const table : names) {
    table->add(std::get<HostName>(*canonical_host(name)),
               {.ipv4 = resolve::TableResolver::half(ipv4, std::chrono::seconds(60)),
                .ipv6 = resolve::TableResolver::half(ipv6, std::chrono::seconds(60))});
  }
}

}  // namespace stile::sim_test
