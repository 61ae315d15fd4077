// The contract of what protects a stream: TLS (tls.h), and whatever wraps messages, as GSSAPI does (RFC 1961). It turns
// octets as they cross the network into plain ones and back, and sees neither sockets nor time. protect/line.h puts one
// beneath a driver, which then meets plain octets only.
//
// Octets in: `take`, then `open` until it says would_block. Octets out: `seal` or `finish`, then `to_send` until it is
// empty. Until `established`, only `handshake` may be called in the place of `open` and `seal` (asserted).
// Bounds: the caller takes no more than limits::protected_read_octets before it opens what it took, and seals nothing
// while `to_send` holds limits::protected_send_octets. Idle, it holds no buffer of its own.
// Threading: one engine's thread. Tested in line_test.cc by the transform of transform_for_tests.h, in tls_test.cc.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/error.h"
#include "base/reason.h"

namespace stile::protect {

class Transform {
 public:
  virtual ~Transform() = default;
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;

  /// Goes as far as what was taken allows. would_block: it needs more octets of the peer. Any other error is final.
  [[nodiscard]] virtual Result<void> handshake() = 0;
  [[nodiscard]] virtual bool established() const noexcept = 0;
  /// `handshake` would block for an answer that is not the peer's: it is called again when there is one.
  [[nodiscard]] virtual bool waits() const noexcept { return false; }

  /// Octets as they were received. Copied as far as they are not used at once.
  virtual void take(ConstBytes octets) = 0;
  /// What was taken and not opened is more than part of a message: `open` may have something without more octets.
  [[nodiscard]] virtual bool holds_input() const noexcept = 0;
  /// Plain octets, at least one of the at least one there is room for; 0: the peer has ended its stream. would_block:
  /// it needs more octets of the peer. Any other error is final, and said every time: what follows cannot be trusted.
  [[nodiscard]] virtual Result<std::size_t> open(MutableBytes plain) = 0;
  /// The connection has ended. True where that ends the stream in order; false where somebody may have cut it short,
  /// and then it has failed.
  [[nodiscard]] virtual bool connection_ended() noexcept = 0;

  /// Protects plain octets: how many, at least one of the at least one given.
  [[nodiscard]] virtual Result<std::size_t> seal(ConstBytes plain) = 0;
  /// Tells the peer that nothing more comes, where the protocol has a word for it. Only the first time.
  virtual void finish() = 0;
  /// What is to be sent, a handshake's and an alert's octets included; `sent` takes it away.
  [[nodiscard]] virtual ConstBytes to_send() const noexcept = 0;
  virtual void sent(std::size_t octets) noexcept = 0;

  /// Why it failed; Reason::none where it did not.
  [[nodiscard]] virtual Reason failure() const noexcept = 0;

  /// Of several, one inside the other, the one that meets the plain octets.
  [[nodiscard]] virtual Transform& innermost() noexcept { return *this; }

 protected:
  Transform() noexcept = default;
};

}  // namespace stile::protect
