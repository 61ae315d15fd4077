// One tunnel of the TCP relay; see tcp_relay.h. Kept small: a server holds tens of thousands of them idle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "relay/tcp_relay.h"

namespace stile::relay {

class Tunnel {
 public:
  Tunnel(Relay& relay, void* context, std::unique_ptr<Terms> terms);
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /// `watched`: the relay holds a watch for it.
  void start(protect::Line& client, protect::Line& target, ConstBytes early, bool watched);
  /// Ends the tunnel from outside, in order where nothing is in flight. A no-op on one that has ended.
  void end_gently(Reason reason) noexcept;
  [[nodiscard]] bool has_exceeded() const noexcept;

 private:
  friend class Relay;

  /// Octets received that the other side has not taken yet.
  struct Parked {
    std::vector<std::uint8_t> octets;
    std::size_t sent = 0;
  };

  /// One way: octets read from one socket, written to the other.
  struct Direction {
    std::uint64_t octets = 0;  // delivered
    std::unique_ptr<Parked> parked;
    std::unique_ptr<engine::Pipe> pipe;
    std::uint8_t full_reads = 0;   // in a row, while copying
    std::uint8_t small_reads = 0;  // in a row, while splicing
    bool splicing = false;
    bool fin_received = false;
    bool fin_sent = false;
    bool blocked = false;  // the writer side takes nothing at present
    bool paused = false;   // its rate lets nothing be read before the flow's turn
  };

  /// What few tunnels have. Made when it is first needed.
  struct Extra {
    engine::Timer idle;  // where an idle limit is set, or one side has finished
    engine::Timer turn;  // of the direction that is paused for the shortest time
    std::unique_ptr<Terms> terms;
  };

  enum class Progress : std::uint8_t {
    idle,     // everything that came was delivered
    blocked,  // the writer side is full
    paused,   // the reader side waits for its turn
    more,     // the turn's budget is used up
    failed,   // one side is gone; the tunnel has ended
  };

  void on_client_ready(engine::Status status);
  void on_target_ready(engine::Status status);
  void on_idle(engine::Status status);
  void on_turn(engine::Status status);

  void advance(protect::Line& woken);
  Progress pump(Direction& way, protect::Line& from, protect::Line& to);
  Progress move_some(Direction& way, protect::Line& from, protect::Line& to, std::size_t& budget);
  Progress charge(std::uint64_t octets, Progress progress) noexcept;
  Result<bool> flush(Direction& way, protect::Line& to);
  Progress copy(Direction& way, protect::Line& from, protect::Line& to, std::size_t& budget);
  Progress splice(Direction& way, protect::Line& from, std::size_t& budget);
  Progress finish(Direction& way, protect::Line& to);
  Progress lost(const protect::Line& side, const Error& error) noexcept;
  void salvage(Direction& way, protect::Line& from, protect::Line& to) noexcept;
  void look(ConstBytes octets);
  void park(Direction& way, ConstBytes rest);
  void unpark(Direction& way) noexcept;
  void stop_splicing(Direction& way) noexcept;
  void consider_splicing(Direction& way, bool full);
  [[nodiscard]] Flow* flow_of(const Direction& way) noexcept;
  void count_sealed() noexcept;
  void rearm();
  [[nodiscard]] Extra& extra();
  [[nodiscard]] Duration idle_limit() const noexcept;
  void arm_idle_timer();
  void arm_turn_timer();
  [[nodiscard]] bool both_finished() const noexcept { return up_.fin_sent && down_.fin_sent; }
  [[nodiscard]] bool half_closed() const noexcept { return up_.fin_received || down_.fin_received; }
  void end(Reason reason, bool in_order) noexcept;
  void let_go_of_extra() noexcept;
  void release_when_quiet() noexcept;

  Relay& relay_;
  protect::Line client_;
  protect::Line target_;
  std::unique_ptr<Extra> extra_;
  Direction up_;
  Direction down_;
  Instant last_octet_{};
  void* context_;
  Tunnel* next_ = nullptr;
  Tunnel** previous_next_ = nullptr;
  std::uint32_t sealed_ = 0;  // octets of protected sides that are counted as parked
  Reason first_fin_ = Reason::none;
  bool splices_ = true;   // neither side is protected
  bool watched_ = false;  // what the client sends is looked at, and so not spliced
  bool ended_ = false;
};

}  // namespace stile::relay
