#include "auth/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <utility>

#include "base/assert.h"
#include "base/secret.h"

namespace stile::auth {
namespace {

struct FreeMac {
  void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }
};
struct FreeContext {
  void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MAC_CTX, FreeContext>;

}  // namespace

struct DigestKey::Library {
  std::unique_ptr<EVP_MAC, FreeMac> mac;
  Context keyed;  // what every digest begins as
};

DigestKey::DigestKey(std::unique_ptr<Library> library) noexcept : library_(std::move(library)) {}

DigestKey::~DigestKey() = default;

Result<std::unique_ptr<const DigestKey>> DigestKey::create() {
  Digest key;
  if (RAND_priv_bytes(key.data(), static_cast<int>(key.size())) != 1) return std::unexpected(Error{});
  auto made = create(key);
  wipe(key);
  return made;
}

Result<std::unique_ptr<const DigestKey>> DigestKey::create(const Digest& key) {
  auto library = std::make_unique<Library>();
  library->mac.reset(EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr));
  if (library->mac == nullptr) return std::unexpected(Error{});
  library->keyed.reset(EVP_MAC_CTX_new(library->mac.get()));
  char hash[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                                   OSSL_PARAM_construct_end()};
  if (library->keyed == nullptr || EVP_MAC_init(library->keyed.get(), key.data(), key.size(), parameters) != 1) {
    return std::unexpected(Error{});
  }
  return std::unique_ptr<const DigestKey>(new DigestKey(std::move(library)));
}

Digest DigestKey::of(std::initializer_list<std::string_view> parts) const {
  const Context context(EVP_MAC_CTX_dup(library_->keyed.get()));
  STILE_ASSERT(context != nullptr);
  const auto add = [&](const void* octets, std::size_t size) {
    STILE_ASSERT(EVP_MAC_update(context.get(), static_cast<const unsigned char*>(octets), size) == 1);
  };
  for (const std::string_view part : parts) {
    const std::uint64_t size = part.size();
    add(&size, sizeof size);
    add(part.data(), part.size());
  }
  Digest digest;
  std::size_t written = 0;
  STILE_ASSERT(EVP_MAC_final(context.get(), digest.data(), &written, digest.size()) == 1 && written == digest.size());
  return digest;
}

}  // namespace stile::auth
