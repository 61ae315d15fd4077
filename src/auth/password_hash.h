// Password hashes as crypt(5) writes them, through libxcrypt: made with yescrypt, verified by whatever scheme the
// record has. Each costs milliseconds and megabytes on purpose: a thread that serves connections never makes one
// (asserted). Threading: any thread; to verify, one that is marked as a hashing thread. Tested in
// password_hash_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace stile::auth {

enum class HashFault : std::uint8_t { none, unknown, weak };

/// Whether libxcrypt verifies it, and would still make one of the kind.
[[nodiscard]] HashFault judge_hash(const std::string& hash) noexcept;

/// Scheme and cost, without the salt: "$y$j9T$", "$6$rounds=9999$", "$2b$12$".
[[nodiscard]] std::string cost_of(std::string_view hash);
/// "yescrypt", "sha512crypt", "bcrypt", or the scheme's own letters.
[[nodiscard]] std::string_view scheme_name(std::string_view hash) noexcept;

/// A hash that no password has, of the cost that new ones have.
[[nodiscard]] std::string decoy_hash();

/// A new hash, yescrypt at its default cost, with a random salt. The password is neither empty nor longer than 255
/// octets, and holds no NUL (asserted).
[[nodiscard]] Result<std::string> make_hash(const Secret& password);

/// Marks the thread that makes it as one that may verify, for as long as it lives.
class HashingThread {
 public:
  HashingThread() noexcept;
  ~HashingThread();
  HashingThread(const HashingThread&) = delete;
  HashingThread& operator=(const HashingThread&) = delete;
};

/// Always costs one hash. Asserted: the password as for make_hash, and the thread is a hashing one.
[[nodiscard]] bool verify_password(const Secret& password, const std::string& hash) noexcept;

}  // namespace stile::auth
