// What a rule adds to an allow: where the connection leaves, how much it may carry, how long it may idle, what is
// recorded of it. Values; pure. Grammar: the design's section 5.3. Parsed in rules.cc, enforced by server/ and relay/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/egress.h"
#include "base/time.h"

namespace stile::policy {

/// What a number is counted over: everything that the rule admits, each user of it, or each tunnel. Clients without
/// authentication count as one user.
enum class Scope : std::uint8_t { rule, user, tunnel };

enum class Direction : std::uint8_t { both, up, down };  // up: client to target

/// `rate [per rule|user|tunnel] [up|down] SIZE/s`. `both` is a budget for each direction, not for their sum.
struct Rate {
  Scope scope = Scope::rule;
  Direction direction = Direction::both;
  std::uint64_t octets_per_second = 0;  // never 0

  friend bool operator==(const Rate&, const Rate&) = default;
};

/// `sessions [per rule|user] N`: so many at once.
struct SessionsLimit {
  Scope scope = Scope::rule;  // never tunnel
  std::uint32_t most = 0;

  friend bool operator==(const SessionsLimit&, const SessionsLimit&) = default;
};

/// `quota [per rule|user] SIZE/day|month`, both directions together; a day and a month begin at local midnight.
struct Quota {
  enum class Period : std::uint8_t { day, month };
  Scope scope = Scope::rule;  // never tunnel
  Period period = Period::day;
  std::uint64_t octets = 0;

  friend bool operator==(const Quota&, const Quota&) = default;
};

/// `when DAYS HH:MM-HH:MM`. An end at or before the beginning lies on the next day; the days are those of the
/// beginning.
struct When {
  std::array<bool, 7> days{};  // from Monday
  std::uint16_t first = 0;     // minute of the day
  std::uint16_t last = 0;      // the first minute that is out again

  friend bool operator==(const When&, const When&) = default;
};

/// What is recorded of a session that the rule admits.
enum class RecordDetail : std::uint8_t {
  none,     // nothing
  session,  // start and end
  url,      // and the URLs or the server name (SNI) that its first octets show
};

struct Options {
  std::vector<std::string> via;  // the upstreams' names, the one that is met first in front; empty: direct
  bool via_takes_names = false;  // the last of them does: a name that was asked for goes on as it is
  std::vector<Rate> rates;
  std::vector<SessionsLimit> sessions;
  std::vector<Quota> quotas;
  std::vector<When> when;                    // any of them; empty: always. It and `log` may also stand behind a deny
  EgressSettings egress;                     // where it leaves this host: `egress` and `mark`
  std::optional<Target> redirect;            // where to connect instead, as written
  std::optional<Duration> idle;              // in the place of [limits] idle; zero: off
  RecordDetail log = RecordDetail::session;  // behind a deny: whether the refusal is recorded; never url

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace stile::policy
