#include "auth/password_hash.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "base/limits.h"

namespace stile::auth {
namespace {

thread_local bool may_hash = false;

/// A password as a C interface wants it: with a NUL behind it, in memory that is wiped.
class CPassword {
 public:
  explicit CPassword(const Secret& password) noexcept {
    const std::string_view octets = password.reveal();
    STILE_ASSERT(!octets.empty() && octets.size() < octets_.size() && octets.find('\0') == std::string_view::npos);
    std::ranges::copy(octets, octets_.begin());
  }
  ~CPassword() { wipe({reinterpret_cast<std::uint8_t*>(octets_.data()), octets_.size()}); }
  CPassword(const CPassword&) = delete;
  CPassword& operator=(const CPassword&) = delete;

  [[nodiscard]] const char* get() const noexcept { return octets_.data(); }

 private:
  std::array<char, limits::credential_octets_max + 1> octets_{};
};

/// libxcrypt's working memory, which holds the password and what was made of it.
class Workspace {
 public:
  ~Workspace() { wipe({reinterpret_cast<std::uint8_t*>(data_.get()), sizeof *data_}); }
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// nullptr where the setting is none, or there is no memory.
  [[nodiscard]] const char* hash(const CPassword& password, const char* setting) noexcept {
    const char* const made = ::crypt_r(password.get(), setting, data_.get());
    return made == nullptr || made[0] == '*' ? nullptr : made;
  }

 private:
  std::unique_ptr<crypt_data> data_ = std::make_unique<crypt_data>();
};

std::string_view prefix_of(std::string_view hash) noexcept {
  return hash.substr(0, hash.find('$', 1) + 1);
}

}  // namespace

HashFault judge_hash(const std::string& hash) noexcept {
  const bool plain = hash.size() < CRYPT_OUTPUT_SIZE && hash.starts_with('$') &&
                     std::ranges::all_of(hash, [](char octet) { return octet > ' ' && octet <= '~'; });
  if (!plain) return HashFault::unknown;
  switch (::crypt_checksalt(hash.c_str())) {
    case CRYPT_SALT_OK:
      break;
    case CRYPT_SALT_METHOD_LEGACY:
      return HashFault::weak;
    default:
      return HashFault::unknown;
  }
  // A setting alone, without the hash behind it, passes as a salt.
  const std::size_t octets = hash.size() - hash.rfind('$') - 1;
  return octets >= 31 ? HashFault::none : HashFault::unknown;
}

std::string cost_of(std::string_view hash) {
  const std::string_view scheme = prefix_of(hash);
  const std::string_view rest = hash.substr(scheme.size());
  const std::string_view next = rest.substr(0, rest.find('$') + 1);
  const bool sha = scheme == "$5$" || scheme == "$6$";
  // The SHA schemes need not say a cost; what follows at once is the salt then.
  const bool says_cost = !sha || next.starts_with("rounds=");
  return std::string(scheme).append(says_cost ? next : std::string_view());
}

std::string_view scheme_name(std::string_view hash) noexcept {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> names{{{"$y$", "yescrypt"},
                                                                                {"$gy$", "gost-yescrypt"},
                                                                                {"$7$", "scrypt"},
                                                                                {"$2b$", "bcrypt"},
                                                                                {"$2a$", "bcrypt"},
                                                                                {"$2y$", "bcrypt"},
                                                                                {"$6$", "sha512crypt"},
                                                                                {"$5$", "sha256crypt"}}};
  const std::string_view prefix = prefix_of(hash);
  const auto found = std::ranges::find(names, prefix, &std::pair<std::string_view, std::string_view>::first);
  return found == names.end() ? prefix : found->second;
}

std::string decoy_hash() {
  return "$y$j9T$ieSxsZEJMkERmKtoAeNSc.$yLlVwVlGDkjfNXWQTRUSZDvNwIxvPONPTlEQbEtQe67";
}

Result<std::string> make_hash(const Secret& password) {
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  if (::crypt_gensalt_rn("$y$", 0, nullptr, 0, setting.data(), static_cast<int>(setting.size())) == nullptr) {
    return std::unexpected(Error{ErrorKind::other, errno});
  }
  const CPassword text(password);
  Workspace workspace;
  const char* const made = workspace.hash(text, setting.data());
  if (made == nullptr) return std::unexpected(Error{ErrorKind::no_memory, ENOMEM});
  return std::string(made);
}

HashingThread::HashingThread() noexcept {
  may_hash = true;
}

HashingThread::~HashingThread() {
  may_hash = false;
}

bool verify_password(const Secret& password, const std::string& hash) noexcept {
  STILE_ASSERT(may_hash);
  const CPassword text(password);
  Workspace workspace;
  const char* const made = workspace.hash(text, hash.c_str());
  return made != nullptr && std::strlen(made) == hash.size() && CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
}

}  // namespace stile::auth
