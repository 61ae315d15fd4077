// What a login is remembered by: an HMAC-SHA-256 (RFC 2104) over its parts, under a key that this process drew and
// never shows. Who reads the memory of a cache learns no password from it, and nobody can choose what collides.
// Threading: immutable once made; any thread. Tested in digest_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace stile::auth {

using Digest = std::array<std::uint8_t, 32>;

class DigestKey {
 public:
  /// With a random key.
  [[nodiscard]] static Result<std::unique_ptr<const DigestKey>> create();
  /// For tests: with this key, of 32 octets.
  [[nodiscard]] static Result<std::unique_ptr<const DigestKey>> create(const Digest& key);
  ~DigestKey();
  DigestKey(const DigestKey&) = delete;
  DigestKey& operator=(const DigestKey&) = delete;

  /// Each part with its length before it: {"ab", "c"} is not {"a", "bc"}.
  [[nodiscard]] Digest of(std::initializer_list<std::string_view> parts) const;

 private:
  struct Library;
  explicit DigestKey(std::unique_ptr<Library> library) noexcept;

  std::unique_ptr<Library> library_;
};

}  // namespace stile::auth
