// A tunnel that sends a message and waits for its echo, as often as its owner says. Used by all modes of messages.
// Threading: one engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "loadgen/origin_messages.h"
#include "loadgen/pacer.h"
#include "loadgen/tunnel.h"

namespace stile::loadgen {

class EchoTunnel final : public Tunnel, public Pacer::Slot {
 public:
  class Owner {
   public:
    virtual void begin(EchoTunnel& tunnel) = 0;
    virtual void opened(EchoTunnel& tunnel) = 0;
    virtual void echoed(EchoTunnel& tunnel) = 0;
    /// It is closed; the tally knows why.
    virtual void failed(EchoTunnel& tunnel) = 0;

   protected:
    Owner() noexcept = default;
    ~Owner() = default;
  };

  /// The stream's number says where in the pattern it begins.
  EchoTunnel(Course& course, Owner& owner, std::uint64_t stream) noexcept;

  /// Behind `opened`: sends the next `size` octets of the pattern, with the preamble before a connection's first ones,
  /// and `echoed` follows. At least one octet.
  void exchange(std::size_t size);
  /// A failure shows as soon as it comes, also between two messages.
  void listen() { wait(engine::Interest::readable); }

  void begin(Instant due) override;
  /// When the operation that has begun, or was the last one to, was due.
  [[nodiscard]] Instant due() const noexcept { return due_; }
  [[nodiscard]] bool busy() const noexcept { return busy_; }
  /// The operation has ended without an exchange.
  void rest() noexcept { busy_ = false; }

 private:
  void on_open() override {
    spoken_ = false;
    owner_.opened(*this);
  }
  void on_ready() override;
  void on_failed() override;

  [[nodiscard]] bool push();
  [[nodiscard]] bool take(ConstBytes octets);

  Owner& owner_;
  Preamble preamble_;
  std::uint64_t position_ = 0;  // of the message, in the stream
  std::size_t size_ = 0;
  std::size_t head_ = 0;  // octets of the preamble before the message
  std::size_t sent_ = 0;  // of both
  std::size_t echoed_ = 0;
  Instant due_{};
  bool spoken_ = false;  // the preamble is under way or sent
  bool exchanging_ = false;
  bool busy_ = false;  // an operation has begun
};

}  // namespace stile::loadgen
