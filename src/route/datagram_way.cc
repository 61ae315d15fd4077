#include "route/datagram_way.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::route {

namespace {

/// What wraps the datagrams of an association: what the stream to its hop is protected by in the end, where that is
/// Kerberos.
protect::GssStream* protection_of(const Hop& hop, protect::Line& stream) {
  if (hop.url.protection != wire::ProxyProtection::gssapi) return nullptr;
  auto* const protection = dynamic_cast<protect::GssStream*>(stream.innermost());
  STILE_ASSERT(protection != nullptr);
  return protection;
}

}  // namespace

DatagramWay::DatagramWay(engine::Engine& engine, resolve::Resolver& resolver, const Upstreams& upstreams)
    : engine_(engine), resolver_(resolver), upstreams_(upstreams) {}

DatagramWay::~DatagramWay() {
  STILE_ASSERT(!pending());
}

void DatagramWay::start(std::span<const std::string> via, const Ask& ask, const WayKeys& keys, Duration total) {
  STILE_ASSERT(is_closed() && !via.empty() && via.size() <= limits::chain_hops_max);
  ask_ = ask;
  ask_.command = wire::Command::udp_associate;
  ask_.target = Target{};  // we send from a port that is not open yet
  ask_.flags = 0;
  end_ = engine_.now() + total;
  legs_.clear();
  leg_ = 0;
  state_ = State::opening;
  reason_ = Reason::none;
  for (const std::string& name : via) {
    auto upstream = upstreams_.find(name);
    if (upstream == nullptr) return end(Reason::upstream_failed);  // a reload took it away
    Leg leg(std::move(upstream), keys, engine_.now(), engine_.random());
    const bool fit = take_fit(leg);
    legs_.emplace_back(*this, name, std::move(leg));
    if (!fit) return end(Reason::upstream_command);
  }
  next();
}

/// Nothing but SOCKS5 knows datagrams.
bool DatagramWay::take_fit(Leg& leg) noexcept {
  const auto fit = std::ranges::find_if(leg.untried, [&leg](std::uint8_t member) {
    return leg.plan->hops[member].url.protocol == wire::ProxyProtocol::socks5;
  });
  leg.untried.erase(leg.untried.begin(), fit);
  if (leg.untried.empty()) return false;
  leg.take_next();
  return true;
}

/// An association at the hop in hand, through those before it.
void DatagramWay::next() {
  std::array<const Hop*, limits::chain_hops_max> hops{};
  Duration greeting{};
  for (std::size_t i = 0; i <= leg_; ++i) {
    Leg& leg = legs_[i];
    hops[i] = &leg.hop();
    leg.begin(engine_.now());
    greeting = std::max(greeting, leg.plan->settings.timeout);
  }
  const Leg& first = legs_.front();
  const ChainLimits limits{
      .dial = dial_limits(first.hop(), first.plan->settings.timeout), .greeting = greeting, .conversation = greeting};
  chain_.emplace(engine_, resolver_, std::span(hops).first(leg_ + 1), ask_, limits);
  chain_->bind<&DatagramWay::on_chain>(this);
  chain_->watch(*this);
  chain_->start();
}

void DatagramWay::hop_met(std::size_t hop, Duration latency) noexcept {
  legs_[hop].met(engine_.now(), latency);
}

void DatagramWay::on_chain(engine::Status) {
  const Trouble trouble = chain_->trouble();
  const std::optional<std::size_t> blamed = blamed_hop(trouble, leg_ + 1);
  learn(blamed, trouble);
  if (state_ == State::closing) {
    chain_.reset();
    return close_when_quiet();
  }
  if (trouble.obstacle == Obstacle::none && associated()) {
    ++leg_;
    return leg_ == legs_.size() ? opened() : next();
  }
  // What the hop in hand refuses, another server of its upstream may grant.
  if (try_another(blamed.value_or(leg_))) return next();
  end(trouble.obstacle == Obstacle::none ? Reason::upstream_failed : reason_of(trouble, leg_ + 1));
}

/// Takes the stream and reads where the relay is; false where that is no place to send to.
bool DatagramWay::associated() {
  Associated& leg = legs_[leg_];
  const auto told = chain_->bound().target();
  const Address* const address = told ? told->address() : nullptr;
  const bool elsewhere = address != nullptr && !address->is_unspecified();
  leg.relay.port = chain_->bound().port;
  if (leg.relay.port == 0) return false;
  if (leg_ == 0) {
    relay_ = {elsewhere ? *address : chain_->peer().address, leg.relay.port};
    const bool allowed = relay_.address == chain_->peer().address ||
                         std::ranges::any_of(leg.plan->settings.relays,
                                             [&](const Cidr& network) { return network.contains(relay_.address); });
    if (!allowed) return false;
  } else {
    leg.relay.host = elsewhere ? Host(*address) : chain_->asked(leg_ - 1).host;
  }
  chain_->take(leg.stream);
  chain_.reset();
  leg.stream.wait(engine_, engine::Interest::readable);
  return true;
}

/// As a Way does.
void DatagramWay::learn(std::optional<std::size_t> blamed, const Trouble& trouble) {
  for (std::size_t i = 0; i <= leg_; ++i) legs_[i].ended(blamed == i, engine_.now(), trouble, i);
}

/// The associations behind it were those of another way.
bool DatagramWay::try_another(std::size_t index) {
  if (engine_.now() >= end_ || !take_fit(legs_[index])) return false;
  close_from(index);
  leg_ = index;
  return true;
}

void DatagramWay::opened() {
  const auto own = engine_.local_endpoint(legs_.front().stream.socket());
  if (!own) return end(Reason::upstream_failed);
  const EgressSettings egress = ask_.egress.or_else(legs_.front().hop().egress);
  from_ = {.address = own->address,
           .foreign = egress.from && *egress.from != Cidr::host(egress.from->base),
           .interface = egress.interface,
           .mark = egress.mark};
  std::vector<Target> behind;
  for (std::size_t i = 1; i < legs_.size(); ++i) behind.push_back(legs_[i].relay);
  headers_ = wire::NestedHeaders(behind);
  std::vector<protect::GssStream*> protections;
  for (Associated& leg : legs_) protections.push_back(protection_of(leg.hop(), leg.stream));
  layers_ = protect::DatagramLayers(std::move(protections));
  for (const Leg& leg : legs_) passage_.add(leg);
  state_ = State::open;
  tell();
}

// Nothing is expected to come but the end. What comes all the same is not kept.
void DatagramWay::on_stream(Associated& leg) {
  if (state_ == State::closing) return close_when_quiet();
  if (!leg.stream.is_open()) return;
  std::array<std::uint8_t, 512> discarded;
  const auto received = leg.stream.receive(engine_, discarded);
  const bool lost = received ? *received == 0 : received.error().kind != ErrorKind::would_block;
  if (!lost) return leg.stream.wait(engine_, engine::Interest::readable);
  end(state_ == State::open ? Reason::none : Reason::upstream_failed);
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void DatagramWay::close() noexcept {
  if (state_ == State::opening || state_ == State::open) end(Reason::client_reset);
}

void DatagramWay::end(Reason reason) noexcept {
  state_ = State::closing;
  reason_ = reason;
  passage_ = Passage{};
  layers_ = protect::DatagramLayers();
  if (chain_) chain_->cancel();
  close_from(0);
  close_when_quiet();
}

void DatagramWay::close_from(std::size_t first) noexcept {
  for (std::size_t i = first; i < legs_.size(); ++i) {
    if (legs_[i].stream.is_open()) legs_[i].stream.close(engine_);
  }
}

void DatagramWay::close_when_quiet() noexcept {
  if (chain_ && chain_->pending()) return;
  if (std::ranges::any_of(legs_, [](const Associated& leg) { return leg.stream.pending(); })) return;
  chain_.reset();
  state_ = State::closed;
  tell();
}

void DatagramWay::tell() noexcept {
  if (!done_.pending()) engine_.post(done_);
}

std::string DatagramWay::text() const {
  return text_of(legs_);
}

bool DatagramWay::is_current() const noexcept {
  return std::ranges::all_of(legs_,
                             [this](const Associated& leg) { return upstreams_.find(leg.name) == leg.upstream; });
}

}  // namespace stile::route
