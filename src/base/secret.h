// A password on its way to who checks it: held in memory of its own, wiped when it goes. Refuses: to be copied by
// accident, compared, printed or formatted (principle P6). Pure; a plain object, used by one thread at a time.
// Tested in secret_test.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace stile {

/// Overwrites octets that held a secret; no optimiser takes it away.
void wipe(MutableBytes octets) noexcept;

class Secret {
 public:
  Secret() noexcept = default;
  /// Copies the octets; whoever holds the originals wipes those.
  explicit Secret(std::string_view octets);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(); }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// The octets, for as long as this object holds them. Named so that each use is seen.
  [[nodiscard]] std::string_view reveal() const noexcept { return {octets_.get(), size_}; }
  [[nodiscard]] Secret copy() const { return Secret(reveal()); }
  void clear() noexcept;

 private:
  std::unique_ptr<char[]> octets_;
  std::size_t size_ = 0;
};

}  // namespace stile
