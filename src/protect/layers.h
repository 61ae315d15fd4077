// One protection inside another, as a chain of proxies has them: what the inner one sends, the outer one protects once
// more. To a Line it is one transform.
// Threading: one engine's thread. Tested in layers_test.cc, over any split of the octets.
#pragma once

#include <memory>

#include "protect/transform.h"

namespace stile::protect {

class Layers final : public Transform {
 public:
  /// `outer` is established (asserted).
  Layers(std::unique_ptr<Transform> outer, std::unique_ptr<Transform> inner);

  [[nodiscard]] Result<void> handshake() override;
  [[nodiscard]] bool established() const noexcept override { return inner_->established(); }
  [[nodiscard]] bool waits() const noexcept override { return inner_->waits(); }

  void take(ConstBytes octets) override { outer_->take(octets); }
  [[nodiscard]] bool holds_input() const noexcept override { return inner_->holds_input() || outer_->holds_input(); }
  [[nodiscard]] Result<std::size_t> open(MutableBytes plain) override;
  [[nodiscard]] bool connection_ended() noexcept override;

  [[nodiscard]] Result<std::size_t> seal(ConstBytes plain) override;
  void finish() override;
  [[nodiscard]] ConstBytes to_send() const noexcept override { return outer_->to_send(); }
  void sent(std::size_t octets) noexcept override { outer_->sent(octets); }

  [[nodiscard]] Reason failure() const noexcept override;
  [[nodiscard]] Transform& innermost() noexcept override { return inner_->innermost(); }

 private:
  [[nodiscard]] Result<void> pull();
  [[nodiscard]] Result<void> push();

  std::unique_ptr<Transform> outer_;
  std::unique_ptr<Transform> inner_;
};

}  // namespace stile::protect
