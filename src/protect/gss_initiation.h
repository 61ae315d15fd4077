// The client's side of RFC 1961: its tokens by the ticket of whoever runs this process, then the level of protection,
// then the encapsulation of GssStream. It asks for confidentiality (level 2) or for integrity (level 1), and takes
// nothing less. Refuses: a proxy that does not prove itself (mutual authentication), one that grants less, messages out
// of turn. Threading: as Transform; `handshake` may wait for the realm's KDC, so not for a thread that serves others.
// Tested in gss_initiation_test.cc; against a real realm by tests/e2e/gssapi_connect_test.py.
#pragma once

#include <memory>

#include "protect/gss_stream.h"

namespace stile::protect {

class GssInitiation final : public GssStream {
 public:
  /// For the server that `initiator` names; null: there is no ticket. `encrypted`: level 2 is asked for.
  explicit GssInitiation(std::unique_ptr<GssInitiator> initiator, bool encrypted = true) noexcept
      : initiator_(std::move(initiator)), asked_(encrypted ? confidentiality : integrity) {}

  [[nodiscard]] Result<void> handshake() override;

 private:
  static constexpr std::uint8_t integrity = 1;  // section 4
  static constexpr std::uint8_t confidentiality = 2;

  enum class Stage : std::uint8_t { begin, context, level };

  [[nodiscard]] Result<void> step(ConstBytes token);
  [[nodiscard]] Result<void> take_frame(const wire::GssFrame& frame);
  [[nodiscard]] Result<void> take_level(ConstBytes token);
  [[nodiscard]] Result<void> ask_level();

  std::unique_ptr<GssInitiator> initiator_;
  std::uint8_t asked_;  // which level
  Stage stage_ = Stage::begin;
  int rounds_ = 0;
};

}  // namespace stile::protect
