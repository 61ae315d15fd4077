#include "client/datagrams.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sys/process.h"
#include "sys/wait_any.h"
#include "wire/udp_header.h"

namespace stile::client {
namespace {

constexpr std::size_t datagram_octets_max = 65'535;

Failure ended() {
  return {.code = STILE_ERROR_CLOSED, .system_error = ENOTCONN, .text = "the proxy has ended the association"};
}

Failure too_long() {
  return {.code = STILE_ERROR_TOO_LONG, .system_error = EMSGSIZE, .text = "the datagram is too long"};
}

}  // namespace

Datagrams::Datagrams(sys::DatagramLink link, std::span<const Target> further,
                     std::unique_ptr<protect::GssStream> protection)
    : link_(std::move(link)),
      headers_(further),
      protection_(std::move(protection)),
      process_(sys::own_process_id()),
      buffer_(datagram_octets_max) {}

bool Datagrams::forked() const noexcept {
  return process_ != sys::own_process_id();
}

Failure Datagrams::send(ConstBytes datagram, const Target& to) {
  if (link_.ended()) return ended();
  plain_.clear();
  const auto append = [this](ConstBytes octets) { plain_.insert(plain_.end(), octets.begin(), octets.end()); };
  append(headers_.outer());
  append(wire::encode_udp_header(to).octets());
  if (plain_.size() + datagram.size() > datagram_octets_max) return too_long();
  append(datagram);
  if (protection_ != nullptr) {
    std::vector<std::uint8_t> wrapped;
    if (!protection_->wrap_datagram(plain_, wrapped)) return too_long();
    plain_ = std::move(wrapped);
  }
  const auto sent = link_.send(plain_);
  if (sent) return {};
  if (sent.error().kind == ErrorKind::message_too_big) return too_long();
  return system_failure("the datagram was not sent", sent.error());
}

std::expected<Datagrams::Received, Failure> Datagrams::receive(MutableBytes into, std::optional<Duration> longest) {
  std::optional<Duration> end;
  if (longest) end = sys::monotonic_now() + *longest;
  for (;;) {
    const auto octets = link_.receive(buffer_);
    if (octets) {
      if (const auto received = take(ConstBytes(buffer_).first(*octets), into)) return *received;
      continue;
    }
    if (octets.error().kind != ErrorKind::would_block) {
      return std::unexpected(system_failure("no datagram was received", octets.error()));
    }
    if (link_.ended()) return std::unexpected(ended());
    std::optional<Duration> left;
    if (end) left = std::max(*end - sys::monotonic_now(), Duration::zero());
    const auto ready = link_.wait(left);
    if (!ready) return std::unexpected(system_failure("no datagram was received", ready.error()));
    if (!*ready) return std::unexpected(timeout_failure("no datagram came in time"));
  }
}

/// Absent: it is to be dropped.
std::optional<Datagrams::Received> Datagrams::take(ConstBytes datagram, MutableBytes into) {
  if (protection_ != nullptr) {
    plain_.clear();
    if (!protection_->unwrap_datagram(datagram, plain_)) return std::nullopt;
    datagram = plain_;
  }
  const auto answer = headers_.peel(datagram);
  if (!answer) return std::nullopt;
  datagram = datagram.subspan(answer->consumed);
  Received received{.octets = std::min(datagram.size(), into.size()), .from = {}};
  std::ranges::copy(datagram.first(received.octets), into.begin());
  if (const Address* const address = answer->from.address()) received.from = Endpoint{*address, answer->from.port};
  return received;
}

}  // namespace stile::client
