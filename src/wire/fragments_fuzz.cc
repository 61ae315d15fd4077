// Sequences of fragments, four octets each: FRAG, time that passes, target, octets of payload. Whatever comes, the
// queue holds its bounds, keeps its time, and never hands out octets that were not sent.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "wire/fragments.h"

namespace stile::wire {
namespace {

void check_outcome(const FragmentQueue& queue, const FragmentOutcome& outcome, FragmentOctet fragment, Instant now) {
  STILE_ASSERT(queue.octets() <= limits::udp_payload_octets_max);
  STILE_ASSERT(outcome.payload.size() <= limits::udp_payload_octets_max);
  STILE_ASSERT(outcome.payload.empty() || outcome.fate == FragmentFate::complete);
  STILE_ASSERT((outcome.fate == FragmentFate::stands_alone) == fragment.stands_alone());
  STILE_ASSERT(outcome.fate != FragmentFate::complete || fragment.is_last());
  STILE_ASSERT(outcome.fate != FragmentFate::queued || (!fragment.is_last() && queue.deadline().has_value()));
  STILE_ASSERT(!queue.deadline() || (*queue.deadline() > now && *queue.deadline() <= now + limits::udp_fragment_wait));
  // Positions run from 1 without a gap, and each fragment's payload is its position: a datagram counts upwards.
  for (std::size_t i = 1; i < outcome.payload.size(); ++i) {
    const int step = outcome.payload[i] - outcome.payload[i - 1];
    STILE_ASSERT(step >= 0 && outcome.payload[i] <= fragment.position());
  }
}

}  // namespace
}  // namespace stile::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  using namespace stile::wire;
  FragmentQueue queue;
  Instant now{std::chrono::hours(1)};
  for (std::size_t at = 0; at + 4 <= size; at += 4) {
    const FragmentOctet fragment{.value = data[at]};
    now += std::chrono::milliseconds(data[at + 1] * 10);
    const Target target{.host = Address::v4(192, 0, 2, data[at + 2] & 1), .port = 53};
    const std::vector<std::uint8_t> payload(std::size_t{data[at + 3]} * 16, fragment.position());
    check_outcome(queue, queue.accept(fragment, target, payload, now), fragment, now);
    if ((data[at + 2] & 2) != 0) {
      now += std::chrono::seconds(1);
      (void)queue.expire(now);
    }
  }
  return 0;
}
