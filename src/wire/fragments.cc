#include "wire/fragments.h"

#include <utility>

#include "base/limits.h"

namespace stile::wire {

FragmentOutcome FragmentQueue::accept(FragmentOctet fragment, const Target& target, ConstBytes payload, Instant now) {
  const bool expired = expire(now);
  FragmentOutcome outcome;
  if (fragment.stands_alone()) {
    outcome.abandoned = abandon();
    outcome.fate = FragmentFate::stands_alone;
  } else if (fragment.position() == 0) {
    outcome.abandoned = abandon();
  } else if (!sequence_) {
    outcome = accept_first(fragment, target, payload, now);
  } else if (fragment.position() < sequence_->highest) {
    // "the reassembly queue MUST be reinitialized … whenever … a new datagram arrives carrying a FRAG field whose value
    // is less than the highest FRAG value processed for this fragment sequence"
    abandon();
    outcome = accept_first(fragment, target, payload, now);
    outcome.abandoned = true;
  } else {
    outcome = accept_next(fragment, target, payload);
  }
  outcome.abandoned = outcome.abandoned || expired;
  return outcome;
}

FragmentOutcome FragmentQueue::accept_first(FragmentOctet fragment, const Target& target, ConstBytes payload,
                                            Instant now) {
  if (fragment.position() != 1 || payload.size() > limits::udp_payload_octets_max) return {};
  sequence_.emplace(Sequence{.target = target,
                             .started = now,
                             .highest = 1,
                             .payload = std::vector<std::uint8_t>(payload.begin(), payload.end())});
  return finish_or_wait(fragment);
}

FragmentOutcome FragmentQueue::accept_next(FragmentOctet fragment, const Target& target, ConstBytes payload) {
  if (target != sequence_->target) return {.fate = FragmentFate::dropped, .abandoned = abandon(), .payload = {}};
  if (fragment.position() == sequence_->highest) return {};
  const bool gap = fragment.position() != sequence_->highest + 1;
  if (gap || payload.size() > limits::udp_payload_octets_max - sequence_->payload.size()) {
    return {.fate = FragmentFate::dropped, .abandoned = abandon(), .payload = {}};
  }
  sequence_->highest = fragment.position();
  sequence_->payload.insert(sequence_->payload.end(), payload.begin(), payload.end());
  return finish_or_wait(fragment);
}

FragmentOutcome FragmentQueue::finish_or_wait(FragmentOctet fragment) {
  if (!fragment.is_last()) return {.fate = FragmentFate::queued, .abandoned = false, .payload = {}};
  FragmentOutcome outcome{.fate = FragmentFate::complete, .abandoned = false, .payload = std::move(sequence_->payload)};
  sequence_.reset();
  return outcome;
}

std::optional<Instant> FragmentQueue::deadline() const noexcept {
  if (!sequence_) return std::nullopt;
  return sequence_->started + limits::udp_fragment_wait;
}

bool FragmentQueue::expire(Instant now) noexcept {
  return sequence_ && now >= *deadline() && abandon();
}

bool FragmentQueue::abandon() noexcept {
  const bool under_way = sequence_.has_value();
  sequence_.reset();
  return under_way;
}

}  // namespace stile::wire
