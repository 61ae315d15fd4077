// A stream as its driver sees it: a socket, and where the stream is protected the transform between the two. Everybody
// who may meet a protected stream holds a Line in the place of a socket, and reads and writes plain octets. Without a
// transform each call is the engine's own, behind one comparison.
//
// What a driver has to know: `wait` also sends what the transform holds back, and completes at once where plain octets
// can be had without the network. `shutdown_write` may say would_block; it is repeated when the stream is writable.
// A stream that was cut short is an error of kind reset, never a FIN.
// Refuses: to splice, for plain octets of a protected stream exist in user space only; `is_plain` tells.
// Threading: one engine's thread. Tested in line_test.cc on the simulation, each call failing in turn.
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.h"
#include "base/error.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "protect/transform.h"

namespace stile::protect {

class Line {
 public:
  Line() noexcept = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  /// As of engine::Socket.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    socket_.bind<Method>(owner);
  }
  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  [[nodiscard]] bool pending() const noexcept { return socket_.pending(); }
  /// For calls that do not concern its octets.
  [[nodiscard]] engine::Socket& socket() noexcept { return socket_; }
  [[nodiscard]] const engine::Socket& socket() const noexcept { return socket_; }

  /// Hands the open, not pending stream over, with what protects it.
  void take(engine::Engine& engine, engine::Socket& from) noexcept;
  void take(engine::Engine& engine, Line& from) noexcept;
  /// Hands it on as a socket; it is plain (asserted).
  void give(engine::Engine& engine, engine::Socket& to) noexcept;
  /// From now on it is protected; where it is already, by this inside of that. `received`: octets of it that came
  /// already.
  void protect(std::unique_ptr<Transform> transform, ConstBytes received = {});
  /// And from now on it no longer is: what protected it, with what it has to send and has not opened.
  [[nodiscard]] std::unique_ptr<Transform> unprotect() noexcept { return std::move(transform_); }
  [[nodiscard]] bool is_plain() const noexcept { return transform_ == nullptr; }
  /// What it is protected by; nullptr where it is plain.
  [[nodiscard]] const Transform* transform() const noexcept { return transform_.get(); }
  [[nodiscard]] Transform* innermost() noexcept { return transform_ == nullptr ? nullptr : &transform_->innermost(); }
  /// The handshake, as far as it goes without waiting: would_block until it is complete, and `wait` tells when to go
  /// on.
  [[nodiscard]] Result<void> establish(engine::Engine& engine);
  /// What is wrong with its protection; Reason::none where nothing is.
  [[nodiscard]] Reason failure() const noexcept;
  /// Octets that the socket has not taken yet.
  [[nodiscard]] std::size_t output_held() const noexcept {
    return transform_ == nullptr ? 0 : transform_->to_send().size();
  }

  // As the calls of engine::Engine are, but for what is said above.
  [[nodiscard]] Result<std::size_t> receive(engine::Engine& engine, MutableBytes into) {
    return transform_ == nullptr ? engine.receive(socket_, into) : receive_protected(engine, into);
  }
  [[nodiscard]] Result<std::size_t> send(engine::Engine& engine, ConstBytes octets) {
    return transform_ == nullptr ? engine.send(socket_, octets) : send_protected(engine, octets);
  }
  [[nodiscard]] Result<void> shutdown_write(engine::Engine& engine);
  void wait(engine::Engine& engine, engine::Interest interest) {
    if (transform_ == nullptr) return engine.wait(socket_, interest);
    wait_protected(engine, interest);
  }
  /// The same for what nobody will look at: what follows a failure of the protection comes as it is.
  [[nodiscard]] Result<std::size_t> discard(engine::Engine& engine, MutableBytes into);
  void cancel(engine::Engine& engine) noexcept { engine.cancel(socket_); }
  /// Tells the peer of the end where that is possible at once.
  void close(engine::Engine& engine) noexcept;
  void abort(engine::Engine& engine) noexcept;

 private:
  [[nodiscard]] Result<std::size_t> receive_protected(engine::Engine& engine, MutableBytes into);
  [[nodiscard]] Result<std::size_t> send_protected(engine::Engine& engine, ConstBytes octets);
  void wait_protected(engine::Engine& engine, engine::Interest interest);
  [[nodiscard]] Result<std::size_t> receive_more(engine::Engine& engine);
  [[nodiscard]] bool output_is_full() const noexcept;
  [[nodiscard]] Result<void> flush(engine::Engine& engine);

  engine::Socket socket_;
  std::unique_ptr<Transform> transform_;
};

}  // namespace stile::protect
