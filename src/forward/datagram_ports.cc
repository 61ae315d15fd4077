#include "forward/datagram_ports.h"

#include <optional>
#include <utility>

#include "base/limits.h"

namespace stile::forward {

class DatagramPorts::Port final : public server::DatagramEntrance {
 public:
  Port(DatagramPorts& of, sys::OwnDatagrams socket, const Target& target)
      : of_(of), fd_(std::move(socket.fd)), port_(socket.local.port), target_(target) {
    watch_.bind<&Port::on_ready>(this);
    of_.engine_.adopt(watch_, fd_.get());
    of_.engine_.wait(watch_, engine::Interest::readable);
  }

  [[nodiscard]] std::optional<Target> meant_by(const Endpoint&) override { return target_; }
  [[nodiscard]] bool hears_strangers() const noexcept override { return false; }
  void answer(const Endpoint& from, const Endpoint& client, ConstBytes payload) override {
    // A client that is gone is reported by ICMP to whatever is sent next.
    for (int tries = 0; tries < 2; ++tries) {
      const auto sent = sys::answer_addressed(fd_.get(), from.address, client, payload);
      if (sent || sent.error().kind == ErrorKind::would_block) return;
    }
  }
  void stop() noexcept {
    if (watch_.is_open()) of_.engine_.release(watch_);
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    const MutableBytes room(of_.room_.get(), limits::udp_payload_octets_max);
    for (std::size_t i = 0; i < limits::udp_batch_datagrams_max; ++i) {
      const auto received = sys::receive_addressed(fd_.get(), room);
      if (!received && received.error().kind == ErrorKind::would_block) break;
      if (!received) continue;  // the fault of one that was sent
      const Endpoint called{received->called.address, port_};
      of_.flows_.arrived(*this, received->from, called, room.first(received->octets));
    }
    of_.engine_.wait(watch_, engine::Interest::readable);
  }

  DatagramPorts& of_;
  sys::UniqueFd fd_;
  std::uint16_t port_;
  Target target_;
  engine::Socket watch_;
};

DatagramPorts::DatagramPorts(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
                             server::Reporter* reporter)
    : engine_(engine),
      flows_(engine, resolver, std::move(way), reporter),
      room_(std::make_unique<std::uint8_t[]>(limits::udp_payload_octets_max)) {}

DatagramPorts::~DatagramPorts() = default;

void DatagramPorts::serve(sys::OwnDatagrams socket, const Target& target) {
  ports_.push_back(std::make_unique<Port>(*this, std::move(socket), target));
}

void DatagramPorts::stop() noexcept {
  for (const auto& port : ports_) port->stop();
  flows_.stop();
}

}  // namespace stile::forward
