// What the simulated kernel and network remember. Only for sim_*.cc and sim_engine.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace stile::engine::sim {

/// Octets in order, appended behind and taken in front.
class OctetQueue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return octets_.size() - head_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] ConstBytes all() const noexcept { return ConstBytes(octets_).subspan(head_); }
  void append(ConstBytes octets) { octets_.insert(octets_.end(), octets.begin(), octets.end()); }
  void drop(std::size_t count) noexcept {
    head_ += count;
    if (head_ == octets_.size()) {
      octets_.clear();
      head_ = 0;
    } else if (head_ > octets_.size() / 2) {
      octets_.erase(octets_.begin(), octets_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

 private:
  std::vector<std::uint8_t> octets_;
  std::size_t head_ = 0;
};

using ConnectionId = std::uint64_t;

/// One end of a connection.
struct Side {
  int handle = -1;      // -1: not accepted yet, or closed
  bool closed = false;  // its owner has let go
  bool fin_sent = false;
  bool wants_room = false;  // tell it when the peer has read
  bool reset_sent = false;  // towards this side, perhaps still under way
  // What has arrived here.
  OctetQueue unread;
  std::size_t under_way = 0;  // octets towards this side
  bool fin_arrived = false;
  bool reset_arrived = false;
  Instant last_arrival{};    // a direction keeps its order
  std::uint32_t flight = 0;  // grows when what is under way is lost
  Endpoint local;
};

struct Connection {
  enum class State : std::uint8_t { connecting, established, failed };

  State state = State::connecting;
  Duration delay{};
  std::optional<ConnectFailure> failure;
  Side sides[2];                      // 0 connected, 1 accepted
  std::optional<std::uint32_t> user;  // over a Unix-domain socket: who connected
};

struct Packet {
  Endpoint from;
  std::vector<std::uint8_t> octets;
  std::uint32_t lost = 0;  // of its socket's, before
};

/// An answer to an echo request.
struct Echo {
  Address from;
  Address probed;
  std::uint16_t sequence = 0;
  std::uint8_t ttl = 0;
  std::optional<IcmpReport> error;
  std::vector<std::uint8_t> octets;
  Instant at{};
};

/// What stands behind a handle.
struct Node {
  enum class Kind : std::uint8_t { free, listener, stream, udp, icmp, pipe_read, pipe_write };

  Kind kind = Kind::free;
  std::uint32_t generation = 0;
  bool bystander = false;  // opened by the test's own actors: beside the descriptor limit
  Socket* socket = nullptr;
  Endpoint local;
  // listener
  std::deque<ConnectionId> backlog;
  std::size_t backlog_max = 0;
  // stream
  ConnectionId connection = 0;
  int side = 0;
  // udp
  std::deque<Packet> packets;
  std::size_t packet_octets = 0;
  std::uint32_t packets_lost = 0;  // for want of room
  bool takes_trains = false;
  bool leftover_told = false;  // the last call failed as udp_leftover says: the next one does not
  bool keeps_errors = false;
  std::deque<DatagramError> errors;
  std::optional<Error> left_behind;  // by such an error, for the next call
  // icmp
  std::deque<Echo> echoes;
  // pipe_read
  OctetQueue pipe;
};

/// Something that happens in the network.
struct Event {
  Instant at;
  std::uint64_t sequence;  // breaks ties, so that equal seeds give equal runs
  std::function<void()> act;

  /// For a heap whose front is the earliest.
  friend bool operator<(const Event& a, const Event& b) noexcept {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  }
};

}  // namespace stile::engine::sim
