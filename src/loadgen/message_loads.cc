// The modes of messages: round trips over long-lived tunnels, short connections, and tunnels that are only held.
#include <memory>
#include <vector>

#include "loadgen/echo_tunnel.h"
#include "loadgen/load.h"
#include "loadgen/opening.h"

namespace stile::loadgen {
namespace {

using Tunnels = std::vector<std::unique_ptr<EchoTunnel>>;

Tunnels make_tunnels(Course& course, EchoTunnel::Owner& owner, std::size_t count) {
  Tunnels tunnels;
  tunnels.reserve(count);
  for (std::size_t i = 0; i < count; ++i) tunnels.push_back(std::make_unique<EchoTunnel>(course, owner, i));
  return tunnels;
}

std::size_t count_standing(const Tunnels& tunnels) noexcept {
  std::size_t count = 0;
  for (const auto& tunnel : tunnels) count += tunnel->stands() ? 1 : 0;
  return count;
}

void close_all(Tally& tally, const Tunnels& tunnels) {
  for (const auto& tunnel : tunnels) {
    const bool unfinished = tunnel->busy() || (tunnel->is_open() && !tunnel->stands());
    if (unfinished) tally.failed(unanswered);
    tunnel->close();
  }
}

// ── round trips ─────────────────────────────────────────────────────────────────────────────────────────────────────

class RoundTripLoad final : public Load, private EchoTunnel::Owner {
 public:
  RoundTripLoad(Course& course, const Options& options, Milestones& milestones)
      : course_(course),
        size_(options.size),
        opening_(course.engine, milestones.opened),
        pacer_(course.engine, options.rate, milestones.drained),
        tunnels_(make_tunnels(course, *this, options.connections)) {}

  void open() override {
    opening_.start(tunnels_.size(), [this](std::size_t number) { tunnels_[number]->open(); });
  }
  void start() override { pacer_.start(); }
  void stop() override { pacer_.stop(); }
  void close() override {
    pacer_.abandon();
    close_all(course_.tally, tunnels_);
  }
  [[nodiscard]] std::size_t standing() const noexcept override { return count_standing(tunnels_); }
  [[nodiscard]] std::uint64_t behind(Instant now) const noexcept override { return pacer_.behind(now); }

 private:
  void opened(EchoTunnel& tunnel) override {
    tunnel.listen();
    pacer_.add(tunnel);
    opening_.one_done();
  }
  void begin(EchoTunnel& tunnel) override {
    if (tunnel.is_open()) return tunnel.exchange(size_);
    pacer_.lost();  // it failed while it was free
  }
  void echoed(EchoTunnel& tunnel) override {
    const Instant now = precise_now();
    course_.tally.done(now - tunnel.due(), size_);
    pacer_.done(tunnel, now);
    if (!tunnel.busy()) tunnel.listen();
  }
  void failed(EchoTunnel& tunnel) override {
    if (!opening_.complete()) return opening_.one_done();
    if (tunnel.busy()) pacer_.lost();
  }

  Course& course_;
  std::size_t size_;
  Opening opening_;
  Pacer pacer_;
  Tunnels tunnels_;
};

// ── short connections ───────────────────────────────────────────────────────────────────────────────────────────────

class ConnectionLoad final : public Load, private EchoTunnel::Owner {
 public:
  ConnectionLoad(Course& course, const Options& options, Milestones& milestones)
      : course_(course),
        size_(options.mode == Mode::handshakes ? 0 : options.size),
        milestones_(milestones),
        pacer_(course.engine, options.rate, milestones.drained),
        tunnels_(make_tunnels(course, *this, options.connections)) {}

  void open() override {
    for (const auto& tunnel : tunnels_) pacer_.add(*tunnel);
    course_.engine.post(milestones_.opened);
  }
  void start() override { pacer_.start(); }
  void stop() override { pacer_.stop(); }
  void close() override {
    pacer_.abandon();
    close_all(course_.tally, tunnels_);
  }
  [[nodiscard]] std::size_t standing() const noexcept override { return tunnels_.size(); }
  [[nodiscard]] std::uint64_t behind(Instant now) const noexcept override { return pacer_.behind(now); }

 private:
  void begin(EchoTunnel& tunnel) override { tunnel.open(); }
  void opened(EchoTunnel& tunnel) override {
    if (size_ == 0) return complete(tunnel);
    tunnel.exchange(size_);
  }
  void echoed(EchoTunnel& tunnel) override { complete(tunnel); }
  void complete(EchoTunnel& tunnel) {
    tunnel.close();
    tunnel.rest();
    const Instant now = precise_now();
    course_.tally.done(now - tunnel.due(), size_);
    pacer_.done(tunnel, now);
  }
  void failed(EchoTunnel& tunnel) override { pacer_.failed(tunnel); }

  Course& course_;
  std::size_t size_;
  Milestones& milestones_;
  Pacer pacer_;
  Tunnels tunnels_;
};

// ── idle tunnels ────────────────────────────────────────────────────────────────────────────────────────────────────

class IdleLoad final : public Load, private EchoTunnel::Owner {
 public:
  IdleLoad(Course& course, const Options& options, Milestones& milestones)
      : course_(course),
        size_(options.size),
        milestones_(milestones),
        opening_(course.engine, milestones.opened),
        tunnels_(make_tunnels(course, *this, options.connections)) {}

  void open() override {
    opening_.start(tunnels_.size(), [this](std::size_t number) { tunnels_[number]->open(); });
  }
  void start() override {}
  /// Every one that stands must still echo.
  void stop() override {
    ++unanswered_;  // this call itself, or the first failure would end it
    for (const auto& tunnel : tunnels_) {
      if (!tunnel->stands()) continue;
      ++unanswered_;
      tunnel->begin(precise_now());
    }
    answered();
  }
  void close() override { close_all(course_.tally, tunnels_); }
  [[nodiscard]] std::size_t standing() const noexcept override { return count_standing(tunnels_); }

 private:
  void opened(EchoTunnel& tunnel) override {
    tunnel.listen();
    opening_.one_done();
  }
  void begin(EchoTunnel& tunnel) override { tunnel.exchange(size_); }
  void echoed(EchoTunnel& tunnel) override {
    course_.tally.done(precise_now() - tunnel.due(), size_);
    tunnel.listen();
    answered();
  }
  void failed(EchoTunnel& tunnel) override {
    if (!opening_.complete()) return opening_.one_done();
    if (tunnel.busy()) answered();
  }
  void answered() {
    if (--unanswered_ == 0) course_.engine.post(milestones_.drained);
  }

  Course& course_;
  std::size_t size_;
  Milestones& milestones_;
  Opening opening_;
  Tunnels tunnels_;
  std::size_t unanswered_ = 0;
};

}  // namespace

std::unique_ptr<Load> make_round_trip_load(Course& course, const Options& options, Load::Milestones& milestones) {
  return std::make_unique<RoundTripLoad>(course, options, milestones);
}

std::unique_ptr<Load> make_connection_load(Course& course, const Options& options, Load::Milestones& milestones) {
  return std::make_unique<ConnectionLoad>(course, options, milestones);
}

std::unique_ptr<Load> make_idle_load(Course& course, const Options& options, Load::Milestones& milestones) {
  return std::make_unique<IdleLoad>(course, options, milestones);
}

}  // namespace stile::loadgen
