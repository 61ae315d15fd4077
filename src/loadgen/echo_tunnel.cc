#include "loadgen/echo_tunnel.h"

#include <algorithm>

namespace stile::loadgen {

EchoTunnel::EchoTunnel(Course& course, Owner& owner, std::uint64_t stream) noexcept
    : Tunnel(course, wire::Command::connect),
      owner_(owner),
      preamble_{.kind = Kind::echo, .verify = course.verify, .start = Pattern::start_of(stream)} {}

void EchoTunnel::begin(Instant due) {
  due_ = due;
  busy_ = true;
  owner_.begin(*this);
}

void EchoTunnel::exchange(std::size_t size) {
  size_ = size;
  head_ = !spoken_ ? preamble_octets : 0;
  spoken_ = true;
  sent_ = 0;
  echoed_ = 0;
  exchanging_ = true;
  if (push()) wait(sent_ < head_ + size_ ? engine::Interest::both : engine::Interest::readable);
}

/// Sends what the socket takes of preamble and message, in one piece. False: the tunnel failed.
bool EchoTunnel::push() {
  const std::uint64_t start = preamble_.start + position_;
  if (sent_ >= head_) {
    const std::size_t sent_of_message = sent_ - head_;
    return send(course().pattern.at(start + sent_of_message, size_ - sent_of_message), sent_);
  }
  const MutableBytes scratch = course().scratch.first(head_ + size_);
  std::ranges::copy(encode(preamble_), scratch.begin());
  std::ranges::copy(course().pattern.at(start, size_), scratch.begin() + static_cast<std::ptrdiff_t>(head_));
  return send(scratch.subspan(sent_), sent_);
}

void EchoTunnel::on_ready() {
  if (sent_ < head_ + size_ && !push()) return;
  const auto received = receive();
  if (!received || !take(*received)) return;
  const bool sent = sent_ == head_ + size_;
  if (!exchanging_ || !sent || echoed_ < size_) {
    return wait(sent ? engine::Interest::readable : engine::Interest::both);
  }
  exchanging_ = false;
  busy_ = false;
  position_ += size_;
  owner_.echoed(*this);
}

bool EchoTunnel::take(ConstBytes octets) {
  if (octets.empty()) return true;
  if (!exchanging_ || octets.size() > size_ - echoed_) {
    found_wrong("superfluous octets");
    return false;
  }
  const std::uint64_t at = preamble_.start + position_ + echoed_;
  if (course().pattern.first_wrong(at, octets, course().verify)) {
    found_wrong("wrong octets");
    return false;
  }
  echoed_ += octets.size();
  return true;
}

void EchoTunnel::on_failed() {
  exchanging_ = false;
  size_ = sent_ = head_ = echoed_ = 0;
  owner_.failed(*this);
  busy_ = false;
}

}  // namespace stile::loadgen
