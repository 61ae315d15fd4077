// HTTP in the simulated town: one client that sends requests on one connection, and two origins that answer them.
// Bodies must arrive octet for octet, or visibly cut.
#pragma once

#include "sim/conversation.h"

namespace stile::sim_test {

[[nodiscard]] std::unique_ptr<Conversation> make_http(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
