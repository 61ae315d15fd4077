// Puts the fragments of UDP ASSOCIATE together again, RFC 1928 section 7: "each fragment's position", "the high-order
// bit indicates end-of-fragment sequence", a reassembly queue and a reassembly timer. The rules, in the order in which
// a fragment meets them (position: the low seven bits of FRAG):
//
//   the timer has run out                            the sequence is abandoned, then the fragment is judged
//   FRAG 00                                          stands alone: relayed; a sequence under way is abandoned
//   position 0 with the end bit                      dropped; abandoned
//   no sequence under way                            position 1 starts one, others are dropped
//   position below the highest                       abandoned; position 1 starts anew, others are dropped
//   another target than the first fragment's         dropped; abandoned
//   position equal to the highest                    a duplicate: dropped, the sequence goes on
//   position above the highest + 1                   a gap that nothing can fill: dropped; abandoned
//   the sum exceeds one datagram                     dropped; abandoned
//   else                                             appended; with the end bit the datagram is complete
//
// One queue an association, one sequence a queue. Refuses: to read a clock (time is an argument), to judge targets
// (policy sees the reassembled datagram), to fragment: towards the client Stile never does.
// Threading: a plain object, used by one thread. Tested in fragments_test.cc against a naive oracle; fuzzed in
// fragments_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "wire/udp_header.h"

namespace stile::wire {

enum class FragmentFate : std::uint8_t {
  stands_alone,  // FRAG 00: relay the datagram as it is
  queued,        // more is to come
  complete,      // relay the reassembled payload
  dropped,
};

struct FragmentOutcome {
  FragmentFate fate = FragmentFate::dropped;
  bool abandoned = false;             // a sequence that was under way is lost
  std::vector<std::uint8_t> payload;  // of a complete datagram; empty otherwise

  friend bool operator==(const FragmentOutcome&, const FragmentOutcome&) = default;
};

class FragmentQueue {
 public:
  /// One datagram from the client whose header was decoded and whose target is usable. A complete datagram goes to
  /// the `target` of its last fragment, which is that of its first.
  [[nodiscard]] FragmentOutcome accept(FragmentOctet fragment, const Target& target, ConstBytes payload, Instant now);

  /// When the sequence under way will be given up; absent when there is none, and then no timer is needed.
  [[nodiscard]] std::optional<Instant> deadline() const noexcept;

  /// To be called at `deadline()`. True when a sequence was abandoned. A late call harms nothing: accept() looks at the
  /// time as well.
  bool expire(Instant now) noexcept;

  /// Octets held: nothing when no sequence is under way, at most limits::udp_payload_octets_max.
  [[nodiscard]] std::size_t octets() const noexcept { return sequence_ ? sequence_->payload.size() : 0; }

 private:
  struct Sequence {
    Target target;
    Instant started;
    std::uint8_t highest = 0;
    std::vector<std::uint8_t> payload;
  };

  FragmentOutcome accept_next(FragmentOctet fragment, const Target& target, ConstBytes payload);
  FragmentOutcome accept_first(FragmentOctet fragment, const Target& target, ConstBytes payload, Instant now);
  FragmentOutcome finish_or_wait(FragmentOctet fragment);
  /// True when there was one.
  bool abandon() noexcept;

  std::optional<Sequence> sequence_;
};

}  // namespace stile::wire
