// The bulk modes: streams down, up or both ways over long-lived tunnels.
#include <memory>
#include <vector>

#include "loadgen/bulk_end.h"
#include "loadgen/load.h"
#include "loadgen/opening.h"
#include "loadgen/tunnel.h"

namespace stile::loadgen {
namespace {

constexpr std::uint8_t streams_of(Mode mode) noexcept {
  if (mode == Mode::down) return stream_down;
  if (mode == Mode::up) return stream_up;
  return stream_up | stream_down;
}

class BulkTunnel;

class BulkOwner {
 public:
  virtual void stands() = 0;
  /// It is closed: the stream's end was reached, or the tally knows why not.
  virtual void over(BulkTunnel& tunnel) = 0;

 protected:
  BulkOwner() noexcept = default;
  ~BulkOwner() = default;
};

class BulkTunnel final : public Tunnel {
 public:
  BulkTunnel(Course& course, BulkOwner& owner, const Preamble& preamble) noexcept
      : Tunnel(course, wire::Command::connect),
        owner_(owner),
        preamble_(encode(preamble)),
        end_(course.pattern, preamble, BulkEnd::Side::client) {}

  /// Behind the handshake, once.
  void start() {
    started_ = true;
    move();
  }
  void finish() {
    end_.finish();
    move();
  }
  [[nodiscard]] std::uint64_t sent() const noexcept { return end_.sent(); }
  [[nodiscard]] bool started() const noexcept { return started_; }

 private:
  void on_open() override {
    wait(engine::Interest::none);
    owner_.stands();
  }
  void on_ready() override {
    if (!started_) return fail("the tunnel was closed early");
    move();
  }
  void on_failed() override { owner_.over(*this); }

  void move() {
    if (preamble_sent_ < preamble_.size()) {
      if (!send(ConstBytes(preamble_).subspan(preamble_sent_), preamble_sent_)) return;
      if (preamble_sent_ < preamble_.size()) return wait(engine::Interest::writable);
    }
    const std::uint64_t before = end_.received();
    const BulkEnd::State state = end_.turn(course().engine, line(), course().scratch);
    course().tally.octets += end_.received() - before;
    course().tally.operations = course().tally.octets;
    if (state == BulkEnd::State::moving) return;
    if (state == BulkEnd::State::over) return conclude();
    if (end_.error()) return fail(*end_.error());
    fail("the tunnel was closed early");
  }

  void conclude() {
    if (!end_.was_right()) return found_wrong("wrong octets");
    close();
    owner_.over(*this);
  }

  BulkOwner& owner_;
  std::array<std::uint8_t, preamble_octets> preamble_;
  std::size_t preamble_sent_ = 0;
  BulkEnd end_;
  bool started_ = false;
};

class BulkLoad final : public Load, private BulkOwner {
 public:
  BulkLoad(Course& course, const Options& options, Milestones& milestones)
      : course_(course), milestones_(milestones), opening_(course.engine, milestones.opened) {
    for (std::size_t i = 0; i < options.connections; ++i) {
      const Preamble preamble{.kind = Kind::bulk,
                              .streams = streams_of(options.mode),
                              .verify = options.verify,
                              .start = Pattern::start_of(i)};
      tunnels_.push_back(std::make_unique<BulkTunnel>(course, static_cast<BulkOwner&>(*this), preamble));
    }
  }

  void open() override {
    opening_.start(tunnels_.size(), [this](std::size_t number) { tunnels_[number]->open(); });
  }
  void start() override {
    for (const auto& tunnel : tunnels_) {
      if (tunnel->stands()) tunnel->start();
    }
  }
  void stop() override {
    stopping_ = true;
    for (const auto& tunnel : tunnels_) {
      if (tunnel->stands()) tunnel->finish();
    }
    end_if_drained();
  }
  void close() override {
    stopping_ = false;
    for (const auto& tunnel : tunnels_) {
      if (tunnel->is_open()) course_.tally.failed(unanswered);
      tunnel->close();
    }
  }
  [[nodiscard]] std::size_t standing() const noexcept override {
    std::size_t count = 0;
    for (const auto& tunnel : tunnels_) count += tunnel->stands() ? 1 : 0;
    return count;
  }
  [[nodiscard]] std::uint64_t octets_sent() const noexcept override {
    std::uint64_t octets = 0;
    for (const auto& tunnel : tunnels_) octets += tunnel->sent();
    return octets;
  }

 private:
  void stands() override { opening_.one_done(); }
  void over(BulkTunnel& tunnel) override {
    if (!tunnel.started() && !opening_.complete()) return opening_.one_done();
    end_if_drained();
  }
  void end_if_drained() {
    if (!stopping_ || standing() > 0) return;
    stopping_ = false;
    course_.engine.post(milestones_.drained);
  }

  Course& course_;
  Milestones& milestones_;
  Opening opening_;
  std::vector<std::unique_ptr<BulkTunnel>> tunnels_;
  bool stopping_ = false;
};

}  // namespace

std::unique_ptr<Load> make_bulk_load(Course& course, const Options& options, Load::Milestones& milestones) {
  return std::make_unique<BulkLoad>(course, options, milestones);
}

}  // namespace stile::loadgen
