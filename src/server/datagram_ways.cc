#include "server/datagram_ways.h"

#include <algorithm>

#include "base/limits.h"
#include "base/session_id.h"

namespace stile::server {

DatagramWays::DatagramWays(engine::Engine& engine, resolve::Resolver& resolver, const route::Upstreams& upstreams,
                           DatagramWaysOwner& owner)
    : engine_(engine), resolver_(resolver), upstreams_(upstreams), owner_(owner) {}

relay::Detour& DatagramWays::towards(const policy::Options& options) {
  const auto found = std::ranges::find_if(ways_, [&](const One& one) { return one.leads(options); });
  return found == ways_.end() ? ways_.emplace_back(*this, options) : *found;
}

void DatagramWays::reconsider() noexcept {
  for (One& one : ways_) {
    if (!one.way().is_current()) one.close();
  }
}

void DatagramWays::close_all() noexcept {
  for (One& one : ways_) one.close();
}

bool DatagramWays::pending() const noexcept {
  return std::ranges::any_of(ways_, [](const One& one) { return one.way().pending(); });
}

std::string DatagramWays::text() const {
  std::string text;
  for (const One& one : ways_) {
    const std::string servers = one.way().text();
    if (!text.empty() && !servers.empty()) text += ", ";
    text += servers;
  }
  return text;
}

DatagramWays::One::One(DatagramWays& of, const policy::Options& options)
    : ways_(of), via_(options.via), egress_(options.egress), way_(of.engine_, of.resolver_, of.upstreams_) {
  way_.bind<&One::on_changed>(this);
}

bool DatagramWays::One::leads(const policy::Options& options) const noexcept {
  return via_ == options.via && egress_ == options.egress;
}

std::optional<relay::Detour::Path> DatagramWays::One::path() noexcept {
  if (!way_.is_open()) return std::nullopt;
  return Path{.relay = way_.relay(), .from = way_.from(), .headers = way_.headers(), .layers = way_.layers()};
}

std::optional<UdpDrop> DatagramWays::One::open(const Target& first) {
  if (!way_.is_closed()) return std::nullopt;
  const Instant now = ways_.engine_.now();
  if (way_.pending() || (closed_ && now - *closed_ < limits::udp_way_pause)) return failure();
  const Traveller traveller = ways_.owner_.traveller();
  session_text_ = session_text(traveller.session);
  user_text_ = traveller.user;
  route::Ask ask;
  ask.client = traveller.client;
  ask.tlvs = {.authority = {}, .unique_id = session_text_, .user = user_text_};
  ask.egress = egress_;
  way_.start(via_, ask, keys_of(traveller, first), ways_.owner_.way_limit());
  return std::nullopt;
}

UdpDrop DatagramWays::One::failure() const noexcept {
  return way_.reason() == Reason::upstream_command ? UdpDrop::upstream_command : UdpDrop::upstream;
}

void DatagramWays::One::on_changed(engine::Status) {
  const bool gave_up = way_.reason() == Reason::client_reset;  // nobody used it
  if (way_.is_closed() && !gave_up) closed_ = ways_.engine_.now();
  ways_.owner_.way_changed(*this);
}

}  // namespace stile::server
