// One upstream of a way (way.h, datagram_way.h): the servers of it that may be tried, and the one that is used; and what
// is told to the upstream's group about it.
// Threading: one engine's thread. Tested in way_test.cc and datagram_way_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/upstream.h"
#include "route/approach.h"
#include "route/trouble.h"
#include "route/upstreams.h"

namespace stile::route {

/// What hashed picks go by.
struct WayKeys {
  std::uint64_t source = 0;
  std::uint64_t user = 0;
  std::uint64_t target = 0;
};

[[nodiscard]] std::uint64_t key_of(config::Pick pick, const WayKeys& keys) noexcept;

struct Leg {
  /// All servers of `of` are untried, in the order that its group has for `keys`; `random`: 64 random bits.
  Leg(std::shared_ptr<UpstreamState> of, const WayKeys& keys, Instant now, std::uint64_t random);

  [[nodiscard]] const Hop& hop() const noexcept { return plan->hops[member]; }
  /// "exit (exit1.example:1080)".
  [[nodiscard]] std::string text() const;

  /// Uses the first of those that are untried (asserted: there is one).
  void take_next() noexcept;
  /// An attempt at the server in use.
  void begin(Instant now) noexcept { attempt = upstream->group.begin(member, now); }
  /// It did its part, after `latency`.
  void met(Instant now, Duration latency) noexcept;
  /// What was begun has come to its end, whether it was met before or not. `blamed`: by the server's own fault.
  /// `index`: at which of the way's hops it stands.
  void ended(bool blamed, Instant now, const Trouble& trouble, std::size_t index);

  std::shared_ptr<UpstreamState> upstream;
  std::shared_ptr<const UpstreamPlan> plan;
  std::vector<std::uint8_t> untried;  // members, the next one in front
  std::size_t member = 0;             // in use, or tried last; at first the one to be tried first
  std::optional<Attempt> attempt;     // that was not told about yet
};

/// A session counts for the servers that it goes through, as long as it has this.
class Passage {
 public:
  Passage() noexcept = default;
  Passage(Passage&&) noexcept = default;
  Passage& operator=(Passage&& other) noexcept;
  ~Passage();

  void add(const Leg& leg);
  [[nodiscard]] bool empty() const noexcept { return through_.empty(); }

 private:
  void leave() noexcept;

  struct Through {
    std::shared_ptr<UpstreamState> upstream;
    std::size_t member = 0;
  };
  std::vector<Through> through_;
};

/// "exit (exit1.example:1080) > far (far.example:1080)".
[[nodiscard]] std::string text_of(const auto& legs) {
  std::string text;
  for (const Leg& leg : legs) text += (text.empty() ? "" : " > ") + leg.text();
  return text;
}

}  // namespace stile::route
