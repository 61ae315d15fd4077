#include "netns/datagrams.h"

#include <optional>
#include <utility>

#include "base/limits.h"
#include "server/packet_source.h"
#include "sys/diverted_socket.h"
#include "wire/ip_packet.h"

namespace stile::netns {
namespace {

// More than a socket holds.
constexpr std::size_t rest_max = 4096;
constexpr std::size_t payload_octets_max = wire::udp_packet_payload_octets_max;

}  // namespace

/// Where the datagrams of one family come in, and their answers go.
class Datagrams::Entrance final : public server::DatagramEntrance {
 public:
  Entrance(Datagrams& of, sys::UniqueFd diverted, sys::UniqueFd source)
      : of_(of), diverted_(std::move(diverted)), source_(std::move(source)) {
    watch_.bind<&Entrance::on_ready>(this);
    of_.engine_.adopt(watch_, diverted_.get());
    of_.engine_.wait(watch_, engine::Interest::readable);
  }
  [[nodiscard]] std::optional<Target> meant_by(const Endpoint& called) override {
    if (of_.names_.is_lost(called.address)) return std::nullopt;
    return Target{of_.names_.host_of(called.address), called.port};
  }
  [[nodiscard]] bool hears_strangers() const noexcept override { return true; }
  void answer(const Endpoint& from, const Endpoint& client, ConstBytes payload) override {
    if (from.address.family() != client.address.family() || payload.size() > payload_octets_max) return;
    source_.send(client.address, wire::encode_udp_packet(from, client, payload));
  }
  /// What is there, but for what goes on coming.
  void take_rest() {
    for (std::size_t i = 0; i < rest_max && take_one(); ++i) {
    }
  }
  void stop() noexcept {
    if (watch_.is_open()) of_.engine_.release(watch_);
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    for (std::size_t i = 0; i < limits::udp_batch_datagrams_max && take_one(); ++i) {
    }
    of_.engine_.wait(watch_, engine::Interest::readable);
  }
  bool take_one() {
    const MutableBytes room(of_.room_.get(), payload_octets_max);
    const auto received = sys::receive_addressed(diverted_.get(), room);
    if (!received) return received.error().kind != ErrorKind::would_block;  // else the fault of one that was sent
    const ConstBytes payload = room.first(received->octets);
    Traces* const traces = of_.traces_;
    if (traces == nullptr || !traces->take(received->from, received->called, received->hops, payload)) {
      of_.flows_.arrived(*this, received->from, received->called, payload);
    }
    return true;
  }

  Datagrams& of_;
  sys::UniqueFd diverted_;
  server::PacketSource source_;
  engine::Socket watch_;
};

Datagrams::Datagrams(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
                     resolve::StandInNames& names, server::Reporter* reporter)
    : engine_(engine),
      names_(names),
      flows_(engine, resolver, std::move(way), reporter),
      room_(std::make_unique<std::uint8_t[]>(payload_octets_max)) {}

Datagrams::~Datagrams() = default;

void Datagrams::serve(sys::UniqueFd diverted, sys::UniqueFd source) {
  entrances_.push_back(std::make_unique<Entrance>(*this, std::move(diverted), std::move(source)));
}

void Datagrams::finish() {
  for (const auto& entrance : entrances_) entrance->take_rest();
  for (const auto& entrance : entrances_) entrance->stop();
  flows_.finish();
}

}  // namespace stile::netns
