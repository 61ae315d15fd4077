#include "loadgen/datagram_port.h"

#include <algorithm>

#include "sys/sockaddr.h"

namespace stile::loadgen {

DatagramRoom::DatagramRoom(std::size_t datagram_octets_max)
    : stride_(datagram_octets_max + 1),  // one more shows what is too long
      octets_(std::max(stride_ * datagrams_per_batch_max, std::size_t{65'536})) {}

std::span<engine::Datagram> DatagramRoom::datagrams() noexcept {
  for (std::size_t i = 0; i < datagrams_.size(); ++i) {
    datagrams_[i].payload = MutableBytes(octets_).subspan(i * stride_, stride_);
  }
  return datagrams_;
}

std::span<engine::Datagram> DatagramRoom::split(const sys::Segments& segments) noexcept {
  MutableBytes rest = MutableBytes(octets_).first(segments.octets);
  std::size_t count = 0;
  do {
    engine::Datagram& datagram = datagrams_[count++];
    datagram.peer = segments.peer;
    datagram.payload = rest.first(std::min(rest.size(), segments.segment));
    datagram.truncated = false;
    rest = rest.subspan(datagram.payload.size());
  } while (!rest.empty() && count < datagrams_.size());
  return std::span(datagrams_).first(count);
}

Result<Endpoint> DatagramPort::open(const Endpoint& local, bool offload) {
  if (!offload) {
    if (auto opened = engine_.open_udp(socket_, local); !opened) return std::unexpected(opened.error());
    return engine_.local_endpoint(socket_);
  }
  auto fd = sys::open_segmented_udp(local);
  if (!fd) return std::unexpected(fd.error());
  segmented_ = *std::move(fd);
  engine_.adopt(socket_, segmented_.get());
  return engine_.local_endpoint(socket_);
}

void DatagramPort::close() noexcept {
  if (!socket_.is_open()) return;
  if (!segmented_.is_open()) return engine_.close(socket_);
  engine_.release(socket_);
  segmented_.reset();
}

Result<std::span<engine::Datagram>> DatagramPort::receive(DatagramRoom& room) {
  if (segmented_.is_open()) {
    const auto segments = sys::receive_segments(segmented_.get(), room.whole());
    if (!segments) return std::unexpected(segments.error());
    return room.split(*segments);
  }
  const std::span<engine::Datagram> datagrams = room.datagrams();
  const auto count = engine_.receive_datagrams(socket_, datagrams);
  if (!count) return std::unexpected(count.error());
  return datagrams.first(*count);
}

Result<std::size_t> DatagramPort::send(std::span<const engine::Datagram> datagrams) {
  if (!segmented_.is_open()) return engine_.send_datagrams(socket_, datagrams);
  std::size_t sent = 0;
  while (sent < datagrams.size()) {
    const auto count = send_run(datagrams.subspan(sent));
    if (!count && sent == 0) return count;
    if (!count) break;
    sent += *count;
  }
  return sent;
}

Result<std::size_t> DatagramPort::send_run(std::span<const engine::Datagram> datagrams) {
  const engine::Datagram& first = datagrams.front();
  const std::size_t size = first.payload.size();
  std::size_t count = 1;
  std::size_t octets = size;
  while (count < std::min(datagrams.size(), sys::segments_max)) {
    const engine::Datagram& next = datagrams[count];
    const bool follows = next.payload.data() == first.payload.data() + octets && next.payload.size() == size;
    if (!follows || next.peer != first.peer || octets + size > sys::segmented_octets_max) break;
    octets += size;
    ++count;
  }
  const ConstBytes run(first.payload.data(), octets);
  if (auto done = sys::send_segments(segmented_.get(), first.peer, run, size); !done) {
    return std::unexpected(done.error());
  }
  return count;
}

}  // namespace stile::loadgen
