// The server's side of RFC 1961: the context's tokens, each of which somebody else is asked about (the helper process,
// where the keys are), then the level of protection, then the encapsulation of GssStream.
// Refuses: messages out of turn, more rounds than limits::gss_rounds_max, levels that the rules forbid.
// Threading: as Transform. Tested in gss_acceptance_test.cc; fuzzed in gss_acceptance_fuzz.cc.
#pragma once

#include <cstdint>
#include <memory>

#include "protect/gss_stream.h"

namespace stile::protect {

/// What clients may ask for.
struct GssRules {
  bool encrypt = false;      // nothing but level 2
  bool clear = false;        // level 0 too, which is not in the RFC: the login alone, as curl has it
  bool bare_levels = false;  // the NEC dialect, whose level is not wrapped
};

class GssAcceptance final : public GssStream {
 public:
  explicit GssAcceptance(const GssRules& rules) noexcept : rules_(rules) {}

  [[nodiscard]] Result<void> handshake() override;
  [[nodiscard]] bool waits() const noexcept override { return waits_; }

  // Where it waits:
  /// The client's token that somebody is to be asked about; valid until the answer.
  [[nodiscard]] ConstBytes token() const noexcept { return token_; }
  /// The answer: a token for the client, who has to go on.
  void advance(ConstBytes answer);
  /// The answer: the context stands; the token for the client may be empty. nullptr: it cannot be used.
  void complete(ConstBytes answer, std::unique_ptr<GssContext> context);
  /// The answer: no.
  void refuse(Reason reason);

  /// Once established: nothing is wrapped (level 0), and this came behind the level.
  [[nodiscard]] bool is_clear() const noexcept { return clear_; }
  [[nodiscard]] ConstBytes received_behind() const noexcept { return unread(); }

 private:
  [[nodiscard]] Result<void> take_token(const wire::GssFrame& frame);
  [[nodiscard]] Result<void> take_level(const wire::GssFrame& frame);
  [[nodiscard]] Result<void> grant(std::uint8_t asked, bool bare);

  GssRules rules_;
  ConstBytes token_;
  int rounds_ = 0;
  bool waits_ = false;
  bool complete_ = false;  // the context stands
  bool clear_ = false;
};

}  // namespace stile::protect
