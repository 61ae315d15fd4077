// Names to addresses, and addresses to names, asynchronously. Behind this face stands caching_resolver.h: special
// names, hosts file, cache and the joining of equal questions. It asks one of two back ends (backend.h): c-ares
// (cares_resolver.h), or a fixed table (table_resolver.h) for the simulation and tests. Threading: one resolver a
// worker, used on its engine's thread only. Refuses: getaddrinfo, search lists, anything that is not a canonical
// absolute name. Tested in caching_resolver_test.cc and cares_resolver_test.cc.
#pragma once

#include <optional>
#include <vector>

#include "base/address.h"
#include "base/reason.h"
#include "engine/engine.h"

namespace stile::resolve {

/// What a name resolved to: addresses in the order to try them (families interleaved, RFC 8305 section 4; IPv6 first
/// where this host has a route for it), or none and why. For an address that was asked for its name: that name.
struct Answer {
  std::vector<Address> addresses;
  Reason reason = Reason::none;  // dns_not_found, dns_failed, dns_reserved when there is neither address nor name
  std::optional<HostName> name{};
};

/// One question, owned by the asker, which must stay in place until its completion. Bind it like an Operation.
class Lookup {
 public:
  Lookup() noexcept = default;
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() { STILE_ASSERT(!asked_); }

  /// `lookup.bind<&Connection::on_resolved>(this)`, with `void on_resolved(engine::Status)`.
  template <auto Method, class Owner>
  void bind(Owner* owner) noexcept {
    ready_.bind<Method>(owner);
  }
  [[nodiscard]] bool pending() const noexcept { return asked_ || ready_.pending(); }
  /// Valid from its completion until the next question.
  [[nodiscard]] const Answer& answer() const noexcept { return answer_; }
  /// True in the completion of a lookup that was cancelled.
  [[nodiscard]] bool canceled() const noexcept { return canceled_; }

 private:
  friend class LookupState;  // resolvers reach the fields through it

  engine::Operation ready_;
  Answer answer_;
  Lookup* next_ = nullptr;  // others who wait for the same answer
  Lookup** previous_next_ = nullptr;
  bool asked_ = false;
  bool canceled_ = false;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Asks for `name`; exactly one completion of the lookup follows, never inline.
  virtual void resolve(Lookup& lookup, const HostName& name) = 0;
  /// Asks for the name of `address`, as DNS keeps it under in-addr.arpa and ip6.arpa; completes like `resolve`. What
  /// comes back is whatever the keeper of that zone wrote there: good for showing, never for a decision.
  virtual void reverse(Lookup& lookup, const Address& address) = 0;
  /// The lookup completes soon with canceled(); other askers of the same question are not disturbed. A no-op when
  /// nothing is pending.
  virtual void cancel(Lookup& lookup) noexcept = 0;

 protected:
  Resolver() noexcept = default;
};

}  // namespace stile::resolve
