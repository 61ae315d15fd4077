// Datagrams through upstreams, `via one > two`: an association (UDP ASSOCIATE) at each hop, opened in turn, each over a
// stream of its own that leads through the hops before it. The first hop's relay is sent to from here; it is told in a
// header where the second one's relay is, and so on (wire/nested_headers.h). Whoever owns the way has the datagram
// socket; here are the streams, which have to stay open as long as the associations are to live (RFC 1928 section 6).
// A server of each upstream is chosen as for a Way; where one fails, or refuses, another takes its place.
//
// A relay at no particular address (0.0.0.0, ::, a name) is at the proxy's own. The first one is at that address in any
// case, or in a network that the upstream's `relays` names: else an upstream could have datagrams sent to hosts of our
// own network (threat TU6).
// Threading: one engine's thread. Tested in datagram_way_test.cc on the simulation, each call failing in turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/datagram_layers.h"
#include "protect/line.h"
#include "route/chain.h"
#include "route/leg.h"
#include "route/upstreams.h"
#include "wire/nested_headers.h"

namespace stile::route {

/// Owned by the caller, in place while pending. Used again as soon as it is closed.
class DatagramWay final : private ChainWatch {
 public:
  /// All outlive the way.
  DatagramWay(engine::Engine& engine, resolve::Resolver& resolver, const Upstreams& upstreams);
  DatagramWay(const DatagramWay&) = delete;
  DatagramWay& operator=(const DatagramWay&) = delete;
  /// Not while pending (asserted).
  ~DatagramWay() override;

  /// `void on_changed(engine::Status)`: it is open, or it is closed; it may be both, one behind the other, by the time
  /// that this is told.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    done_.bind<Method>(owner);
  }

  /// While it is closed. A change follows, never inline, after `total` at most and what the last hop takes to give up.
  /// Of `ask`, the command, target and flags do not matter.
  void start(std::span<const std::string> via, const Ask& ask, const WayKeys& keys, Duration total);
  /// Gives up, or ends what is open; it is closed when a change is told. A no-op on one that is closed.
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
  /// Neither open nor under way. What it said of the last way stays until the next start.
  [[nodiscard]] bool is_closed() const noexcept { return state_ == State::closed; }
  /// Something of it is pending in the engine.
  [[nodiscard]] bool pending() const noexcept { return state_ != State::closed || done_.pending(); }
  /// Why it is closed. Reason::upstream_command: a hop does not carry datagrams. Reason::none: it was open.
  [[nodiscard]] Reason reason() const noexcept { return reason_; }

  // While it is open:
  /// Of the first hop: where datagrams are sent, and from where all answers come.
  [[nodiscard]] const Endpoint& relay() const noexcept { return relay_; }
  /// Its address is the one by which the first hop knows us: its relay takes datagrams from no other.
  [[nodiscard]] const engine::Egress& from() const noexcept { return from_; }
  [[nodiscard]] wire::NestedHeaders& headers() noexcept { return headers_; }
  /// By which relays want them wrapped, those that we met with a Kerberos ticket; null: none does.
  [[nodiscard]] protect::DatagramLayers* layers() noexcept { return layers_.any() ? &layers_ : nullptr; }

  /// As of a Way; empty before the first start.
  [[nodiscard]] std::string text() const;
  /// The upstreams are those that it was opened through.
  [[nodiscard]] bool is_current() const noexcept;

 private:
  enum class State : std::uint8_t { closed, opening, open, closing };

  /// A leg with an association at its end.
  struct Associated : Leg {
    Associated(DatagramWay& of, std::string called, Leg leg) : Leg(std::move(leg)), way(of), name(std::move(called)) {
      stream.bind<&Associated::on_stream>(this);
    }
    void on_stream(engine::Status) { way.on_stream(*this); }

    DatagramWay& way;
    std::string name;
    protect::Line stream;  // of its association, while that stands
    Target relay;          // likewise
  };

  void hop_met(std::size_t hop, Duration latency) noexcept override;
  [[nodiscard]] static bool take_fit(Leg& leg) noexcept;
  void next();
  void on_chain(engine::Status status);
  [[nodiscard]] bool associated();
  void learn(std::optional<std::size_t> blamed, const Trouble& trouble);
  [[nodiscard]] bool try_another(std::size_t leg);
  void opened();
  void on_stream(Associated& leg);
  void end(Reason reason) noexcept;
  void close_from(std::size_t first) noexcept;
  void close_when_quiet() noexcept;
  void tell() noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  const Upstreams& upstreams_;
  engine::Operation done_;
  std::deque<Associated> legs_;  // in place
  std::size_t leg_ = 0;          // whose association is being opened
  std::optional<Chain> chain_;
  Ask ask_;
  Instant end_{};
  State state_ = State::closed;
  Reason reason_ = Reason::none;
  Endpoint relay_;
  engine::Egress from_;
  wire::NestedHeaders headers_;
  protect::DatagramLayers layers_;  // of streams of legs_
  Passage passage_;
};

}  // namespace stile::route
