// BIND in the simulated town: a client that waits for a peer, the peer, and strangers before and after it.
#pragma once

#include "sim/conversation.h"

namespace stile::sim_test {

[[nodiscard]] std::unique_ptr<Conversation> make_bind(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
