// One client's doings with the server, and everybody whom they concern: the client, those whom it wants to reach, those
// who interfere. Each command's conversations stand in a file of their own and have a row in town.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "resolve/table_resolver.h"
#include "sim/ledger.h"

namespace stile::sim_test {

/// Where a conversation takes place.
struct Surroundings {
  engine::SimEngine& engine;
  resolve::TableResolver& names;
  std::size_t number;  // of the conversation: it has ports and names of its own
  bool undisturbed;    // nothing but the script itself goes wrong: no injected failure, no random reset
};

class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual void begin() = 0;
  /// The client has nothing more to do or to wait for.
  [[nodiscard]] virtual bool done() const = 0;
  /// For a failing run: how far it came.
  [[nodiscard]] virtual std::string state() const = 0;
  /// Closes whatever anybody in it still has open.
  virtual void close() = 0;
  /// After the end: the first thing that is not as it must be, or nothing.
  [[nodiscard]] virtual std::optional<std::string> complaint(const Ledger& ledger) const = 0;
};

/// The conversation's script is drawn from `prng`.
using MakeConversation = std::unique_ptr<Conversation> (*)(const Surroundings& surroundings, engine::Prng& prng);

}  // namespace stile::sim_test
