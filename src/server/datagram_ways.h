// The ways through upstreams that the datagrams of one association take: one for each `via` and address to leave from
// that its rules name, however many rules share it. Joins the relay, which knows no upstreams, with the ways
// (route/datagram_way.h), which know no datagrams. Behind a way that failed or broke the next one is opened after
// limits::udp_way_pause at the earliest.
// Threading: one engine's thread. Tested in tests/e2e/chain_udp_test.py.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/egress.h"
#include "base/time.h"
#include "base/udp_drop.h"
#include "engine/engine.h"
#include "policy/options.h"
#include "relay/detour.h"
#include "resolve/resolver.h"
#include "route/datagram_way.h"
#include "server/reach.h"

namespace stile::server {

/// Whose datagrams they are. Outlives the ways.
class DatagramWaysOwner {
 public:
  virtual ~DatagramWaysOwner() = default;
  [[nodiscard]] virtual Traveller traveller() const = 0;
  /// How long opening one may take.
  [[nodiscard]] virtual Duration way_limit() const noexcept = 0;
  /// It is open, or closed; or nothing of it is pending in the engine any longer.
  virtual void way_changed(relay::Detour& way) = 0;
};

class DatagramWays {
 public:
  /// All outlive the ways.
  DatagramWays(engine::Engine& engine, resolve::Resolver& resolver, const route::Upstreams& upstreams,
               DatagramWaysOwner& owner);
  DatagramWays(const DatagramWays&) = delete;
  DatagramWays& operator=(const DatagramWays&) = delete;
  /// Not while pending (asserted by its parts).
  ~DatagramWays() = default;

  /// By which a rule with these options, `via` among them, leads. Stays as long as this.
  [[nodiscard]] relay::Detour& towards(const policy::Options& options);
  /// The upstreams are others: ways that were opened through what they were are closed.
  void reconsider() noexcept;
  void close_all() noexcept;
  [[nodiscard]] bool pending() const noexcept;
  /// The servers that were tried last, of each way that was ever opened; separated by ", ".
  [[nodiscard]] std::string text() const;

 private:
  class One final : public relay::Detour {
   public:
    One(DatagramWays& of, const policy::Options& options);

    [[nodiscard]] std::optional<Path> path() noexcept override;
    [[nodiscard]] std::optional<UdpDrop> open(const Target& first) override;
    [[nodiscard]] UdpDrop failure() const noexcept override;
    void close() noexcept override { way_.close(); }

    [[nodiscard]] bool leads(const policy::Options& options) const noexcept;
    [[nodiscard]] route::DatagramWay& way() noexcept { return way_; }
    [[nodiscard]] const route::DatagramWay& way() const noexcept { return way_; }

   private:
    void on_changed(engine::Status status);

    DatagramWays& ways_;
    std::vector<std::string> via_;
    EgressSettings egress_;
    route::DatagramWay way_;
    std::string session_text_;
    std::string user_text_;
    std::optional<Instant> closed_;  // when it last came to its end
  };

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  const route::Upstreams& upstreams_;
  DatagramWaysOwner& owner_;
  std::deque<One> ways_;  // in place
};

}  // namespace stile::server
