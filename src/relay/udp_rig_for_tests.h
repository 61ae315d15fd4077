// Associations of one relay, their owner with a scripted policy, and datagram peers around them, on any engine. For
// tests only. It leans on no test library, so that the fuzz target has it too: what cannot be is thrown.
#pragma once

#include <algorithm>
#include <array>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "engine/sim/sim_engine.h"
#include "relay/live_sockets.h"
#include "relay/udp_association.h"
#include "relay/udp_relay.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "wire/udp_header.h"

namespace stile::relay {

inline Address ip(const std::string& text) {
  return Address::parse(text).value();
}
inline Endpoint at(const std::string& text) {
  return Endpoint::parse(text).value();
}
inline HostName host_name(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}
inline Target target_of(const std::string& host, std::uint16_t port) {
  return {.host = canonical_host(host).value(), .port = port};
}
inline Target target_of(const Endpoint& endpoint) {
  return {.host = endpoint.address, .port = endpoint.port};
}
/// A payload with the header of RFC 1928 section 7 in front.
inline std::string packet(const Target& target, const std::string& payload, std::uint8_t fragment = 0) {
  const auto header = wire::encode_udp_header(target, {fragment});
  return std::string(header.octets().begin(), header.octets().end()) + payload;
}

/// In the simulation, the test's own calls are neither counted nor failed.
class Aside {
 public:
  explicit Aside(engine::Engine& engine) {
    if (auto* const sim = dynamic_cast<engine::SimEngine*>(&engine)) bystander_.emplace(*sim);
  }

 private:
  std::optional<engine::SimEngine::Bystander> bystander_;
};

/// A datagram socket that remembers what came.
class UdpPeer {
 public:
  struct Received {
    Endpoint from;
    std::string octets;
    friend bool operator==(const Received&, const Received&) = default;
  };

  UdpPeer(engine::Engine& engine, const Endpoint& local)
      : engine_(engine), buffer_(std::make_unique<std::array<std::uint8_t, 70'000>>()) {
    const Aside aside(engine_);
    socket_.bind<&UdpPeer::on_ready>(this);
    const auto opened = engine_.open_udp(socket_, local);
    if (!opened) throw std::runtime_error("no datagram peer at " + local.to_string());
    where_ = engine_.local_endpoint(socket_).value();
    engine_.wait(socket_, engine::Interest::readable);
  }
  ~UdpPeer() { close(); }

  void send(const Endpoint& to, std::string octets) {
    const Aside aside(engine_);
    const std::array datagrams{
        engine::Datagram{to, {reinterpret_cast<std::uint8_t*>(octets.data()), octets.size()}, false}};
    // An ICMP error about an earlier datagram may be told first.
    for (int tries = 0; tries < 3 && !engine_.send_datagrams(socket_, datagrams); ++tries) continue;
  }
  void close() { engine_.close(socket_); }

  [[nodiscard]] const Endpoint& where() const { return where_; }
  [[nodiscard]] bool busy() const { return socket_.pending(); }
  [[nodiscard]] std::vector<Received>& received() { return received_; }
  [[nodiscard]] std::vector<std::string> payloads() const {
    std::vector<std::string> all;
    for (const Received& one : received_) all.push_back(one.octets);
    return all;
  }

 private:
  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    const Aside aside(engine_);
    for (;;) {
      std::array datagrams{engine::Datagram{{}, *buffer_, false}};
      const auto count = engine_.receive_datagrams(socket_, datagrams);
      if (!count) break;
      received_.push_back({datagrams[0].peer, std::string(datagrams[0].payload.begin(), datagrams[0].payload.end())});
    }
    engine_.wait(socket_, engine::Interest::readable);
  }

  engine::Engine& engine_;
  engine::Socket socket_;
  Endpoint where_;
  std::unique_ptr<std::array<std::uint8_t, 70'000>> buffer_;
  std::vector<Received> received_;
};

/// The driver's part: a policy that is a function, and everything an owner is told.
class ScriptedOwner final : public AssociationOwner {
 public:
  std::function<bool(const Target&, const std::optional<Address>&)> admits =
      [](const Target&, const std::optional<Address>&) { return true; };
  /// What leads there; nullptr: directly. And for whom.
  DatagramTerms* led_by = nullptr;
  std::function<bool(const Target&)> leads = [](const Target&) { return true; };
  bool by_name = false;  // to a proxy that takes names
  std::uint64_t generation = 1;
  std::size_t decisions = 0;
  std::vector<std::pair<UdpDrop, std::string>> first_drops;
  std::uint64_t drops = 0;
  std::optional<AssociationEnd> end;
  std::size_t ends = 0;

 private:
  [[nodiscard]] policy::Verdict decide(const Target& asked, const std::optional<Address>& candidate) override {
    ++decisions;
    if (!admits(asked, candidate)) return {};
    const bool undecided = asked.host_name() != nullptr && !candidate && !by_name;
    return {undecided ? policy::Verdict::Decision::undecided : policy::Verdict::Decision::allow, Reason::none,
            leads(asked) ? 0 : 1};
  }
  [[nodiscard]] std::expected<DatagramTerms*, UdpDrop> terms_of(int rule) override {
    return rule == 0 ? led_by : nullptr;
  }
  [[nodiscard]] bool takes_names(int rule) const noexcept override { return rule == 0 && by_name; }
  [[nodiscard]] std::uint64_t policy_generation() const noexcept override { return generation; }
  void dropped(UdpDrop drop, const Target& about, std::uint64_t datagrams, bool first) noexcept override {
    drops += datagrams;
    if (first) first_drops.emplace_back(drop, about.to_string());
  }
  void association_ended(const AssociationEnd& ended) noexcept override {
    ++ends;
    end = ended;
  }
};

class UdpRig {
 public:
  /// `shared`: the sockets of a process of which this is one more worker.
  explicit UdpRig(engine::Engine& engine, std::size_t held_octets_max = limits::udp_held_octets_max,
                  LiveSockets* shared = nullptr)
      : engine_(engine),
        table(engine),
        resolver_(engine, table, {.hosts_path = {}}),
        live(shared != nullptr ? *shared : own_live_),
        relay(engine, resolver_, live, held_octets_max) {
    tick_.bind<&UdpRig::on_tick>(this);
    closed_.bind<&UdpRig::on_closed>(this);
  }
  ~UdpRig() {
    for (const auto& peer : peers_) peer->close();
    relay.end_all(Reason::drain);
    run_until(
        [&] { return relay.quiet() && std::ranges::none_of(peers_, [](const auto& peer) { return peer->busy(); }); });
    resolver_.close(closed_);
    while (!resolver_closed_) run_for(std::chrono::milliseconds(1));
  }

  UdpPeer& peer(const Endpoint& local) { return *peers_.emplace_back(std::make_unique<UdpPeer>(engine_, local)); }

  /// An association for clients on 127.0.0.1, unless `request` says otherwise.
  Association& open(AssociationRequest request = loopback()) {
    const auto opened = relay.open(request, owner);
    if (!opened) throw std::runtime_error("no association");
    return **opened;
  }
  [[nodiscard]] static AssociationRequest loopback() {
    AssociationRequest request;
    request.client = request.local = Address::v4(127, 0, 0, 1);
    return request;
  }

  /// A name with addresses that come after a while; never, where there is no delay.
  void add_name(const std::string& name, std::vector<Address> addresses,
                std::optional<Duration> delay = Duration::zero()) {
    resolve::TableResolver::Row row;
    std::vector<Address> v4;
    std::vector<Address> v6;
    for (const Address& one : addresses) (one.is_v4() ? v4 : v6).push_back(one);
    row.ipv4 = resolve::TableResolver::half(v4, std::chrono::seconds(60));
    row.ipv6 = resolve::TableResolver::half(v6, std::chrono::seconds(60));
    row.ipv4.delay = row.ipv6.delay = delay;
    table.add(host_name(name), std::move(row));
  }

  /// Turns the loop until the condition holds; a condition that never comes true fails the test.
  void run_until(const std::function<bool()>& condition) {
    for (int ticks = 0; !condition(); ++ticks) {
      if (ticks >= 20'000) throw std::runtime_error("what the test waits for does not happen");
      run_for(std::chrono::milliseconds(1));
    }
  }
  void run_for(Duration duration) {
    engine_.start_timer(tick_, engine_.now() + duration);
    while (tick_.pending()) {
      engine_.run();
      const auto* const sim = dynamic_cast<engine::SimEngine*>(&engine_);
      if (sim != nullptr && sim->spun()) throw std::runtime_error("the loop spins");
    }
  }
  /// Long enough for what is under way to arrive, in the simulation and on loopback.
  void settle() { run_for(std::chrono::milliseconds(5)); }

 private:
  void on_tick(engine::Status) { engine_.stop(); }
  void on_closed(engine::Status) { resolver_closed_ = true; }

  engine::Engine& engine_;
  engine::Timer tick_;
  engine::Operation closed_;
  bool resolver_closed_ = false;
  std::vector<std::unique_ptr<UdpPeer>> peers_;

 public:
  resolve::TableResolver table;

 private:
  resolve::CachingResolver resolver_;
  LiveSockets own_live_;

 public:
  LiveSockets& live;
  ScriptedOwner owner;
  UdpRelay relay;
};

}  // namespace stile::relay
