// Which of several equal upstreams a request is sent to, and what is known of their health: the decisions alone. The
// caller dials, shakes hands and probes, and reports here what came of each attempt.
//
// A member is up until `failures_to_down` attempts in a row fail. Then it is down for a time, then half-open: one
// request, or one probe where there are probes, is its trial. One that succeeds brings the member back, by a slow
// start; one that fails keeps it down for twice as long. An attempt counts for the state that it was begun in: one that
// a member's fall overtook neither lengthens nor ends that fall. A member that lets attempts wait in silence comes
// behind the other alive ones before any of them has failed: who swallows packets would else have all requests of a
// timeout.
//
// Refuses: to open a socket, to read a clock or to roll dice (time and randomness are arguments), to judge what went
// wrong: only a member's own faults are reported as failures, never its targets'. Allocates at construction only.
// Threading: one thread. Tested in upstream_group_test.cc, in upstream_group_model_test.cc against a naive model under
// random histories, and in upstream_group_sim_test.cc with members that are slow, die and come back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "config/upstream.h"

namespace stile::route {

using config::Pick;

struct HealthSettings {
  int failures_to_down = limits::upstream_failures_to_down;  // at least 1
  Duration down_first = limits::upstream_down_first;         // more than 0
  Duration down_max = limits::upstream_down_max;             // at least `down_first`
  Duration slow_start = limits::upstream_slow_start;         // 0: a member that comes back is up at once
  Duration probe_every = Duration::zero();                   // 0: no probes
};

enum class MemberState : std::uint8_t { up, slow_start, down, half_open };

/// A number for a member's or a key's octets: the same in every process and version, so that hashed picks agree.
[[nodiscard]] std::uint64_t group_hash(std::string_view octets) noexcept;

/// Every member once, as it should be tried for one request.
struct Order {
  std::array<std::uint8_t, limits::upstream_members_max> members{};
  std::uint8_t count = 0;
  std::uint8_t alive = 0;  // so many are up or in slow start; all before them or behind them are down or half-open
  bool trial = false;      // the first is half-open, and this request its trial; the alive ones follow

  [[nodiscard]] std::size_t size() const noexcept { return count; }
  [[nodiscard]] std::size_t operator[](std::size_t index) const noexcept { return members[index]; }
  [[nodiscard]] const std::uint8_t* begin() const noexcept { return members.data(); }
  [[nodiscard]] const std::uint8_t* end() const noexcept { return members.data() + count; }
};

/// An attempt under way. Who has one owes the group exactly one of succeeded, failed, abandoned,
/// overtaken, withdrawn.
struct Attempt {
  std::uint8_t member = 0;
  bool is_probe = false;
  bool is_trial = false;         // no other trial of the member begins before this one has ended
  bool begun_half_open = false;  // its failure shows that the member's time down was too short
  std::uint32_t epoch = 0;       // changes with each fall and each return
};

class UpstreamGroup {
 public:
  /// `identities`: 1 to limits::upstream_members_max, a number for each member in the order of the configuration, which
  /// stays the same as long as the member does (group_hash of its URL): hashed picks follow it, not the position.
  UpstreamGroup(Pick pick, std::span<const std::uint64_t> identities, const HealthSettings& settings, Instant now);

  /// In what order to try the members for one request: the alive ones by `pick`, the silent ones of them last; then
  /// those that are half-open, then those that are down, as a last resort. Where there are no probes, one request at a
  /// time is a trial and has a half-open member first. Whoever was offered a trial begins it within
  /// limits::upstream_trial_offer, or another request is offered it. `key`: what is hashed; otherwise not looked at.
  /// `random`: 64 random bits.
  [[nodiscard]] Order order(Instant now, std::uint64_t key, std::uint64_t random) noexcept;

  /// An attempt of a request's.
  [[nodiscard]] Attempt begin(std::size_t member, Instant now) noexcept { return begin(member, now, false); }
  /// The member answered as it should, after `latency`. To be told as soon as its own part is done, before its
  /// target's: silence until then counts against it. True: it was down, and came back by this.
  bool succeeded(const Attempt& attempt, Instant now, Duration latency) noexcept;
  /// By its own fault: it could not be dialled, broke the handshake, refused the credentials. True: by this it went
  /// down. (A trial that fails is no news: false.)
  bool failed(const Attempt& attempt, Instant now) noexcept;
  /// Given up for reasons that say nothing about the member: the client is gone, say. Behind a trial that was given up,
  /// the next one comes after `down_first`.
  void abandoned(const Attempt& attempt, Instant now) noexcept;

  /// It answered, but another member had before it: neither a success nor a failure. `after`: since it was begun.
  void overtaken(const Attempt& attempt, Instant now, Duration after) noexcept;
  /// Given up while others, begun before it, go on to wait for the same member: they will tell.
  void withdrawn(const Attempt& attempt) noexcept;

  /// For least_sessions and the figures.
  void session_began(std::size_t member) noexcept;
  void session_ended(std::size_t member) noexcept;

  /// The member whose probe is most overdue. A member that requests heard from needs none for `probe_every`;
  /// one that failed and is still up is soon looked at again.
  [[nodiscard]] std::optional<std::size_t> probe_due(Instant now) const noexcept;
  /// When the next probe is due; nothing where there are no probes, or all are under way.
  [[nodiscard]] std::optional<Instant> next_probe() const noexcept;
  /// An attempt that is a probe; one at a time a member (asserted).
  [[nodiscard]] Attempt begin_probe(std::size_t member, Instant now) noexcept { return begin(member, now, true); }

  struct Figures {
    MemberState state = MemberState::up;
    Instant since{};                  // in that state
    Duration down_for{};              // its last time down; 0: it has never been down
    std::optional<Duration> latency;  // nothing before the first success
    std::uint64_t sessions = 0;
    std::uint64_t under_way = 0;  // attempts
    std::uint64_t attempts = 0;   // in all, probes included; likewise the following
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
    std::uint64_t falls = 0;  // times that it went down from being alive
    int consecutive_failures = 0;
  };
  [[nodiscard]] Figures figures(std::size_t member, Instant now) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }

 private:
  struct Member {
    std::uint64_t identity = 0;
    std::uint64_t sessions = 0;
    std::uint64_t under_way = 0;
    std::uint64_t attempts = 0;
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;
    std::uint64_t falls = 0;
    std::uint64_t turn = 0;  // the number of the last order that it led
    std::int64_t owed = 0;   // of turns, in thousandths (round_robin)
    Instant since{};         // it fell or came back
    Instant trial_at{};      // where it is down
    Duration ramp{};         // of its slow start
    Duration down_for{};     // its last time down
    Instant heard{};         // the last result
    Instant waiting{};       // for a result; where attempts are under way, one of them waits since then at least
    Instant looked_at{};     // from then on, the next probe is counted
    std::optional<Duration> latency;
    std::uint32_t epoch = 0;
    int consecutive_failures = 0;
    bool is_down = false;
    bool is_tried = false;   // a trial is under way
    bool is_probed = false;  // a probe is under way
  };
  struct Rank;
  using Ranks = std::array<Rank, limits::upstream_members_max>;

  [[nodiscard]] Attempt begin(std::size_t member, Instant now, bool is_probe) noexcept;
  Member& end(const Attempt& attempt) noexcept;
  [[nodiscard]] MemberState state(const Member& member, Instant now) const noexcept;
  [[nodiscard]] static Duration silence(const Member& member, Instant now) noexcept;
  [[nodiscard]] std::uint64_t weight(const Member& member, Instant now) const noexcept;
  void rank_alive(Ranks& ranks, Instant now, std::uint64_t key, std::uint64_t random) noexcept;
  [[nodiscard]] std::uint64_t cost(const Member& member, std::size_t index, Instant now,
                                   std::uint64_t key) const noexcept;
  void take_turns(Ranks& ranks) noexcept;
  void look_again(Ranks& ranks, Instant now, std::uint64_t random) const noexcept;
  [[nodiscard]] bool offer_trial(Ranks& ranks, Instant now) noexcept;
  void fall(Member& member, Instant now) noexcept;
  void come_back(Member& member, Instant now) noexcept;
  [[nodiscard]] std::optional<Instant> probe_at(const Member& member) const noexcept;

  Pick pick_;
  HealthSettings settings_;
  std::vector<Member> members_;
  std::uint64_t orders_ = 0;
  std::optional<Instant> offered_;  // a trial, which nobody has begun yet
};

}  // namespace stile::route
