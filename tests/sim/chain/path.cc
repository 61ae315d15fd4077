#include "sim/chain/path.h"

#include "base/assert.h"
#include "sim/places.h"

namespace stile::sim_test {
namespace {

constexpr std::uint16_t port = 1080;
constexpr std::string_view schemes[] = {"socks5h", "socks5", "socks4a", "http"};

std::string upstream_name(std::size_t place) {
  return "to" + std::to_string(place);
}

}  // namespace

Path::Path(engine::Prng prng) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  const bool binds = chance(2);  // else HTTP, which knows no BIND, may be among them
  for (std::size_t place = 1; place < chain_length; ++place) {
    Link& link = links_[place];
    link.spoken = static_cast<Spoken>(prng.next() % (binds ? 3 : 4));
    link.pipelined = link.spoken <= Spoken::socks5 && chance(3);
    link.announces = chance(2);
  }
  if (chance(3)) leap_ = prng.next() % (chain_length - 2);
  if (chance(2)) twin_ = 1 + prng.next() % (chain_length - 1);
  group_.pick = static_cast<config::Pick>(prng.next() % config::pick_words.size());
  if (chance(2)) group_.probe = std::chrono::seconds(1 + prng.next() % 20);
  group_.failures = static_cast<std::uint32_t>(1 + prng.next() % 3);
}

Address Path::address_of(std::size_t place, bool twin) {
  if (place == 0) return server_endpoint.address;
  return Address::v4(198, 51, 100, static_cast<std::uint8_t>((twin ? 40 : 20) + place));
}

Address Path::address6_of(std::size_t place, bool twin) {
  if (place == 0) return server_endpoint6.address;
  return Address::parse("2001:db8:5::" + std::to_string((twin ? 40 : 20) + place)).value();
}

std::vector<Address> Path::callers_of(std::size_t place) const {
  std::vector<Address> callers;
  for (std::size_t from = source_of(place); from < place; ++from) {
    callers.push_back(address_of(from, false));
    if (from > 0 && from == twin_) callers.push_back(address_of(from, true));
  }
  return callers;
}

Node::Settings Path::settings(std::size_t place, bool twin) const {
  Node::Settings settings;
  settings.places = {{address_of(place, twin), port}};
  if (place == 0) settings.places.push_back(server_endpoint6);
  if (place > 0 && links_[place].announces) {
    for (const Address& address : callers_of(place)) settings.proxy_protocol_from.push_back(Cidr::host(address));
  }
  settings.rules = rules(place, false);
  settings.upstreams = upstreams(place);
  return settings;
}

std::string Path::rules(std::size_t place, bool comment) const {
  std::string text = comment ? "deny anyone from 203.0.113.99 to any\n" : "";
  if (is_passed_over(place)) text += "hop: allow anyone to tcp 198.51.100.0/24\n";
  if (place + 1 == chain_length) {
    return text + "tcp: allow anyone to tcp 192.0.2.0/24\nbind: allow anyone to bind 192.0.2.0/24, 2001:db8:a::/48\n";
  }
  const std::string far = upstream_name(place + 1) + (leaps(place) ? " > " + upstream_name(place + 2) : "");
  text += "never: deny anyone to tcp bind 169.254.0.0/16\n";
  text += "tcp: allow anyone to tcp 192.0.2.0/24, *.example via " + far + "\n";
  text += "bind: allow anyone to bind 192.0.2.0/24, 2001:db8:a::/48, *.example via " + far + "\n";
  if (place == 0) text += "near: allow anyone to bind " + near_address.to_string() + "\n";
  return text;
}

route::UpstreamPlans Path::upstreams(std::size_t place, bool astray) const {
  route::UpstreamPlans plans;
  for (std::size_t to = place + 1; to <= next_of(place) && to < chain_length; ++to) {
    const Link& link = links_[to];
    auto plan = std::make_shared<route::UpstreamPlan>();
    plan->settings = group_;
    plan->settings.name = upstream_name(to);
    plan->settings.pipelined = link.pipelined;
    plan->settings.announces = link.announces;
    for (const bool twin : {false, true}) {
      if (twin && to != twin_) continue;
      const std::string url = std::string(schemes[static_cast<std::size_t>(link.spoken)]) + "://" +
                              Endpoint{astray ? dead_address : address_of(to, twin), port}.to_string();
      plan->settings.servers.push_back(wire::parse_proxy_url(url).value());
      plan->hops.push_back(
          {.url = plan->settings.servers.back(), .pipelined = link.pipelined, .announces = link.announces});
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

// SOCKS4 says yes or no. HTTP tells who may not (403) from what is out of reach (502, 504), which all else is to it.
std::uint8_t Path::told_through(std::size_t place, std::uint8_t code) const {
  if (code == 0 || links_[place].spoken <= Spoken::socks5) return code;
  if (links_[place].spoken == Spoken::socks4a) return 1;
  return code == 2 ? 2 : 4;
}

/// What the client's server says where the one at `teller` says it.
Between::Told Path::told_by(std::size_t teller) const {
  std::vector<std::size_t> through;
  for (std::size_t place = 0; place < teller; place = through.back()) through.push_back(next_of(place));
  Between::Told told{};
  for (std::uint8_t code = 0; code < told.size(); ++code) {
    told[code] = code;
    for (auto place = through.rbegin(); place != through.rend(); ++place) told[code] = told_through(*place, told[code]);
  }
  return told;
}

std::size_t Path::resolving_place() const {
  std::size_t place = 0;
  while (place + 1 < chain_length && links_[next_of(place)].takes_names()) place = next_of(place);
  return place;
}

Between Path::between() const {
  Between between{.servers = true};
  between.by_last = told_by(chain_length - 1);
  between.by_resolving = told_by(resolving_place());
  std::size_t last = 0;
  for (std::size_t place = 0; place + 1 < chain_length; place = next_of(place)) {
    last = next_of(place);
    if (links_[last].spoken == Spoken::socks4a) between.ipv4_only = true;
    if (links_[last].spoken == Spoken::http && between.bind_refusal == 0) between.bind_refusal = told_by(place)[7];
  }
  between.stranger_ends = links_[last].spoken == Spoken::socks4a;
  return between;
}

std::string Path::text() const {
  std::string text = "0";
  for (std::size_t place = 1; place < chain_length; ++place) {
    const Link& link = links_[place];
    text += leaps(place - 1) ? " (>" : is_passed_over(place - 1) ? " >) " : " > ";
    text += std::string(schemes[static_cast<std::size_t>(link.spoken)]) + (link.pipelined ? " pipelined" : "") +
            (link.announces ? " announced" : "") + (place == twin_ ? " twin" : "");
  }
  return "path " + text + ", " + std::string(config::pick_words[static_cast<std::size_t>(group_.pick)]) + "\n";
}

}  // namespace stile::sim_test
