// UDP ASSOCIATE in the simulated town: a client with two ports, targets of both families and by name, and strangers on
// either side of the relay.
#pragma once

#include "sim/conversation.h"

namespace stile::sim_test {

[[nodiscard]] std::unique_ptr<Conversation> make_udp(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
