// A GSSAPI security context that stands (RFC 2743, Kerberos' in RFC 4121), as far as octets are concerned: it wraps and
// unwraps messages. Who makes one: at a server the helper process, which hands it over as octets; at a client
// GssInitiation. Where the build has no GSSAPI (gss_absent.cc), none can be made.
// Threading: a context belongs to one thread. Tested by tests/e2e/gssapi_test.py against a real realm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"

namespace stile::protect {

/// Whether this build speaks it.
[[nodiscard]] bool has_gssapi() noexcept;
/// Loads what the library loads when it is first used: before a process shuts itself away from files.
void prepare_gssapi() noexcept;
/// What it reads again with each context.
[[nodiscard]] std::vector<std::string> files_of_gssapi();

class GssContext {
 public:
  /// Where a message stands among those before it.
  enum class Order : std::uint8_t { next, gap, late, duplicate, old };

  struct Unwrapped {
    Order order = Order::next;
    bool confidential = false;  // it was encrypted as well
  };

  /// What GssAcceptor exported; nullptr where it is none.
  [[nodiscard]] static std::unique_ptr<GssContext> import(ConstBytes exported);
  virtual ~GssContext() = default;
  GssContext(const GssContext&) = delete;
  GssContext& operator=(const GssContext&) = delete;

  [[nodiscard]] virtual bool can_encrypt() const noexcept = 0;
  /// Appends what the token holds; absent where it is not the peer's, or was changed on the way.
  [[nodiscard]] virtual std::optional<Unwrapped> unwrap(ConstBytes token, std::vector<std::uint8_t>& plain) = 0;
  /// Appends the token; false where the context wraps no longer (it has expired).
  [[nodiscard]] virtual bool wrap(ConstBytes plain, bool encrypt, std::vector<std::uint8_t>& token) = 0;
  /// How many plain octets make a token of at most so many (gss_wrap_size_limit).
  [[nodiscard]] virtual std::size_t plain_octets_max(bool encrypt, std::size_t token_octets) = 0;

 protected:
  GssContext() noexcept = default;
};

/// The making of one at a client: by the ticket of whoever runs this process, for a service on a host.
class GssInitiator {
 public:
  /// nullptr: this build has none, or nothing can be called so. `service`: "rcmd", as most servers have it, or "socks".
  [[nodiscard]] static std::unique_ptr<GssInitiator> create(const std::string& service, const Host& host);
  virtual ~GssInitiator() = default;
  GssInitiator(const GssInitiator&) = delete;
  GssInitiator& operator=(const GssInitiator&) = delete;

  /// The first token, of none of the server's; then of each. Empty: nothing is to be sent. Absent: there is no ticket,
  /// or the server is not who it should be. May wait for the KDC.
  [[nodiscard]] virtual std::optional<std::vector<std::uint8_t>> step(ConstBytes token) = 0;
  [[nodiscard]] virtual bool complete() const noexcept = 0;
  /// Once complete, once.
  [[nodiscard]] virtual std::unique_ptr<GssContext> take() = 0;

 protected:
  GssInitiator() noexcept = default;
};

}  // namespace stile::protect
