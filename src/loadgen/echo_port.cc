#include "loadgen/echo_port.h"

#include "loadgen/origin_messages.h"

namespace stile::loadgen {

Result<Endpoint> EchoPort::open(const Endpoint& local, bool offload) {
  auto endpoint = port_.open(local, offload);
  if (endpoint) port_.wait(engine::Interest::readable);
  return endpoint;
}

void EchoPort::on_ready(engine::Status status) {
  if (status == engine::Status::canceled) return;
  constexpr int batches_per_turn_max = 4;
  for (int i = 0; i < batches_per_turn_max && echo_batch(); ++i) {
  }
  port_.wait(engine::Interest::readable);
}

/// False where nothing is left. What cannot be sent at once is lost, as datagrams are.
bool EchoPort::echo_batch() {
  const auto received = port_.receive(room_);
  if (!received) return received.error().kind != ErrorKind::would_block;
  std::size_t ours = 0;
  for (engine::Datagram& datagram : *received) {
    if (!datagram.truncated && decode_datagram_head(datagram.payload)) (*received)[ours++] = datagram;
  }
  if (ours > 0) (void)port_.send(received->first(ours));
  return true;
}

}  // namespace stile::loadgen
