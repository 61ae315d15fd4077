// The TCP data plane: tunnels that carry octets both ways between a client's and a target's socket, and nothing else.
// The contract: an idle tunnel holds no buffer; a slow reader stops its own writer and nobody else; FIN travels as FIN,
// RST as RST, in both directions; not one octet is lost, added or reordered.
// A side that is protected (protect/line.h) is carried likewise, in plain octets: its stream's own end is the FIN, a
// stream that is cut short ends the tunnel with RST, and its octets are copied, never spliced.
// Technique: octets are copied through one buffer a worker; a direction that keeps filling it is spliced through a
// pooled pipe instead, and gives the pipe back when it goes quiet (docs/decisions/0002-adaptive-splice.md). Refuses: to
// know why a tunnel exists, who uses it, or what the octets mean. Threading: everything here belongs to one engine's
// thread. Tested in tcp_relay_test.cc on both engines.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/line.h"
#include "relay/terms.h"
#include "relay/tunnel_watch.h"

namespace stile::relay {

/// How long a tunnel must have carried nothing to be ended by FIN when the server stops.
inline constexpr Duration quiet_before_fin = std::chrono::seconds(1);

struct RelayLimits {
  Duration idle = Duration::zero();  // no octet either way; zero: off
  Duration half_closed = limits::half_closed_idle;
  std::size_t parked_octets_max = limits::parked_octets_process_max;  // this worker's share
};

/// What one tunnel moved and why it ended.
struct TunnelEnd {
  Reason reason = Reason::none;
  std::uint64_t octets_up = 0;    // client to target
  std::uint64_t octets_down = 0;  // target to client
  void* context = nullptr;        // as given to Relay::start
};

/// What is looked at in a tunnel (tunnel_watch.h).
enum class Watch : std::uint8_t { nothing, requests_and_hello };

class TunnelOwner : public WatchOwner {
 public:
  /// Called once for each tunnel, after both its sockets were closed.
  virtual void tunnel_ended(const TunnelEnd& end) noexcept = 0;
  /// A tunnel has exceeded a quota, and ends. Others of that quota, here or elsewhere, may be idle and not know it:
  /// see Relay::end_exceeded. Called once for each tunnel that noticed by itself.
  virtual void quota_exceeded() noexcept {}
};

class Tunnel;

/// All tunnels of one worker, with what they share: the copy buffer, the pipes, the bound on parked octets.
class Relay {
 public:
  Relay(engine::Engine& engine, TunnelOwner& owner, const RelayLimits& limits);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  /// All tunnels must have ended and their completions run (asserted).
  ~Relay();

  /// Takes both open streams (neither pending) and carries octets between them from now on. `early` is delivered to the
  /// target before anything that is still to be received. `context` comes back in TunnelEnd. `terms` absent, the
  /// common case, costs nothing.
  void start(protect::Line& client, protect::Line& target, ConstBytes early, void* context,
             Watch watch = Watch::nothing, std::unique_ptr<Terms> terms = nullptr);

  /// Ends every tunnel: those that have been quiet for quiet_before_fin in order (FIN), all others with RST.
  void end_all(Reason reason) noexcept;
  /// Ends those that have exceeded a quota, which others may have used up.
  void end_exceeded() noexcept;

  /// Ends likewise every tunnel whose context `chosen` picks, and says how many those were.
  std::size_t end_if(const std::function<bool(void* context)>& chosen, Reason reason);
  /// Shows the octets of every tunnel that has not ended, so far.
  using See = std::function<void(void* context, std::uint64_t octets_up, std::uint64_t octets_down)>;
  void visit(const See& see) const;

  [[nodiscard]] std::size_t tunnels() const noexcept { return tunnels_; }
  /// No tunnels, and nothing of ended ones is pending in the engine.
  [[nodiscard]] bool quiet() const noexcept { return first_ == nullptr; }
  /// Octets held in user space, sealed ones among them, and the capacity of lent pipes: what slow readers cost.
  [[nodiscard]] std::size_t parked_octets() const noexcept { return parked_octets_; }
  /// For all tunnels; of live ones, time counts from their last octet on.
  void set_limits(const RelayLimits& limits);

 private:
  friend class Tunnel;

  [[nodiscard]] MutableBytes buffer() const noexcept { return {buffer_.get(), limits::relay_buffer_octets}; }
  [[nodiscard]] std::unique_ptr<engine::Pipe> borrow_pipe();
  void give_back_pipe(std::unique_ptr<engine::Pipe> pipe) noexcept;
  /// Near the bound every direction reads less at a time.
  [[nodiscard]] bool tight() const noexcept { return parked_octets_ > limits_.parked_octets_max / 2; }
  void ended(Tunnel& tunnel, const TunnelEnd& end) noexcept;
  void release(Tunnel& tunnel) noexcept;
  /// Shows the tunnel's watch what its client sent; false when that has seen enough.
  bool look(const Tunnel& tunnel, ConstBytes octets);

  engine::Engine& engine_;
  TunnelOwner& owner_;
  RelayLimits limits_;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::vector<std::unique_ptr<engine::Pipe>> idle_pipes_;
  std::size_t parked_octets_ = 0;
  std::size_t tunnels_ = 0;
  std::unordered_map<const Tunnel*, TunnelWatch> watches_;  // few tunnels have one, and none for long but HTTP's
  Tunnel* first_ = nullptr;  // every tunnel that is not released, the ending ones included
};

}  // namespace stile::relay
