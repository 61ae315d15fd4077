// What the caching resolver asks when it does not know: one question a name, answered a family at a time, so that a
// slow family does not hold up a fast one; or the name of an address. Threading: one engine's thread. Refuses: caching,
// ordering, deadlines; these are the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"

namespace stile::resolve {

/// The addresses of one family. An IPv4-mapped IPv6 address in an AAAA record is an IPv4 address here.
struct FamilyAnswer {
  Reason reason = Reason::dns_failed;  // none exactly when there are addresses; dns_not_found or dns_failed
  std::vector<Address> addresses;      // at most limits::candidates_max
  std::chrono::seconds ttl{0};         // as the source said, negative answers included
};

/// The name of an address.
struct NameAnswer {
  Reason reason = Reason::dns_failed;  // none exactly when there is a name; dns_not_found or dns_failed
  std::optional<HostName> name{};
  std::chrono::seconds ttl{0};  // as the source said, negative answers included
};

/// Who asked.
class Asker {
 public:
  /// Once a family and `ask`.
  virtual void on_family(Family family, FamilyAnswer answer) = 0;
  /// Once an `ask_name`.
  virtual void on_name(NameAnswer answer) = 0;

 protected:
  ~Asker() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  /// Asks for both families of `name`. `asker` hears once of each, possibly before this call returns, and must stay in
  /// place until then or until `forget(id)`. `id` is the caller's own, different for each open question.
  virtual void ask(std::uint64_t id, const HostName& name, Asker& asker) = 0;
  /// Asks for the name of `address`; `id` and `asker` as above.
  virtual void ask_name(std::uint64_t id, const Address& address, Asker& asker) = 0;
  /// The asker of this question hears nothing more. A no-op when the question is answered.
  virtual void forget(std::uint64_t id) noexcept = 0;
  /// Which back end this question goes to, where several stand behind this face. Questions are bounded for each.
  [[nodiscard]] virtual const Backend& part_for(const Host& /*subject*/) const { return *this; }
  /// True where the operator has named a suffix of this name: of the reserved names, those below "local" are asked
  /// then.
  [[nodiscard]] virtual bool claims(const HostName& /*name*/) const { return false; }
  /// True where this host has a route for global IPv6, so that IPv6 is tried first.
  [[nodiscard]] virtual bool prefers_ipv6() = 0;
  /// Forgets all questions; `closed` is posted once the back end has nothing pending in the engine and may be
  /// destroyed. No questions after this.
  virtual void close(engine::Operation& closed) noexcept = 0;

 protected:
  Backend() noexcept = default;
};

}  // namespace stile::resolve
