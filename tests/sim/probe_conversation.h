// Conversations about PING and TRACEROUTE: a client that reads its lines, and ends them in one way or another.
#pragma once

#include "sim/conversation.h"

namespace stile::sim_test {

[[nodiscard]] std::unique_ptr<Conversation> make_probes(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
