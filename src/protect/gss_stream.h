// The encapsulation of RFC 1961 section 5, as a Transform: octets in frames of MTYP 03, each a wrapped message. What
// goes before (section 3 and 4) is a derived class's: GssAcceptance at a server. One context and one level hold until
// the end. Refuses: anything but data frames once it stands, tokens that do not unwrap, came twice, out of turn or
// after a gap, and at level 2 what is not encrypted. Before our side has said anything wrapped, the peer is told by the
// abort message. Threading: as Transform. Tested in gss_acceptance_test.cc.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/octet_queue.h"
#include "protect/gss.h"
#include "protect/transform.h"
#include "wire/gssapi_frame.h"

namespace stile::protect {

class GssStream : public Transform {
 public:
  [[nodiscard]] bool established() const noexcept override { return established_; }
  void take(ConstBytes octets) override { input_.append(octets); }
  [[nodiscard]] bool holds_input() const noexcept override;
  [[nodiscard]] Result<std::size_t> open(MutableBytes plain) override;
  [[nodiscard]] bool connection_ended() noexcept override;
  [[nodiscard]] Result<std::size_t> seal(ConstBytes plain) override;
  void finish() override {}
  [[nodiscard]] ConstBytes to_send() const noexcept override { return output_.view(); }
  void sent(std::size_t octets) noexcept override;
  [[nodiscard]] Reason failure() const noexcept override { return failure_; }

  // Datagrams are wrapped by the same context, each in a frame that is the whole of it; some may be missing, and they
  // may come in any order.
  /// Appends what it holds; false where it is to be dropped: it is none of the context's, or came before.
  [[nodiscard]] bool unwrap_datagram(ConstBytes datagram, std::vector<std::uint8_t>& plain);
  /// Appends the frame; false where it would be too long for one, or the context wraps no longer.
  [[nodiscard]] bool wrap_datagram(ConstBytes plain, std::vector<std::uint8_t>& datagram);

 protected:
  GssStream() noexcept = default;

  /// The first frame of what was taken, whose token lives until `drop_frame`; would_block where it is not whole.
  [[nodiscard]] Result<wire::GssFrame> frame();
  void drop_frame() noexcept;
  void send(wire::GssMessage message, ConstBytes token);
  [[nodiscard]] std::unexpected<Error> fail(Reason reason);
  [[nodiscard]] GssContext* context() noexcept { return context_.get(); }
  void hold(std::unique_ptr<GssContext> context) noexcept { context_ = std::move(context); }
  /// From here on everything is wrapped.
  void establish(bool encrypt);
  /// From here on nothing is; the context is gone. What came already is `unwrapped`.
  void establish_without_protection() noexcept;
  [[nodiscard]] ConstBytes unread() const noexcept { return input_.view(); }

 private:
  OctetQueue input_;
  OctetQueue output_;
  std::vector<std::uint8_t> plain_;  // of the last frame
  std::size_t given_ = 0;            // of plain_
  std::vector<std::uint8_t> token_;
  std::size_t frame_octets_ = 0;  // of the frame in hand
  std::size_t plain_octets_max_ = 0;
  std::unique_ptr<GssContext> context_;
  Reason failure_ = Reason::none;
  bool encrypts_ = false;
  bool established_ = false;
  bool has_sealed_ = false;
};

}  // namespace stile::protect
