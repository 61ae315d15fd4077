// CONNECT in the simulated town: a client that follows a script, and the origin that it wants to reach.
#pragma once

#include "sim/conversation.h"

namespace stile::sim_test {

[[nodiscard]] std::unique_ptr<Conversation> make_connect(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
