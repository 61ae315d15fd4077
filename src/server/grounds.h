// What an admitted session rests on, kept as long as it lives: a new policy is asked the same question again.
// Threading: a worker's thread. Tested in tests/sim and tests/e2e/reload_test.py.
#pragma once

#include <optional>

#include "base/address.h"
#include "base/identity.h"
#include "policy/policy.h"

namespace stile::server {

struct Common;

struct Grounds {
  Identity who = Identity::anonymous();
  Address local;   // the client reached
  Address source;  // the client's own
  bool proxied = false;
  policy::Command command = policy::Command::tcp;
  std::optional<Target> asked;       // absent: whoever comes (BIND), wherever it goes (UDP)
  std::optional<Address> candidate;  // the address that was decided
  WeekTime at;                       // when: a rule that holds at its times only lets go on what began in them
};

/// What is decided now, about whom the users in force know; a user whose record is gone or another is denied.
/// `undecided` where that depends on an address that is not known.
[[nodiscard]] policy::Verdict decide(const Common& common, const Grounds& grounds);

/// Whether the session may live on.
[[nodiscard]] inline bool still_allowed(const Common& common, const Grounds& grounds) {
  return decide(common, grounds).decision != policy::Verdict::Decision::deny;
}

}  // namespace stile::server
