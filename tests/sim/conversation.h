// One client's doings with the server, and everybody whom they concern: the client, those whom it wants to reach, those
// who interfere. Each command's conversations stand in a file of their own and have a row in town.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "sim/ledger.h"
#include "sim/places.h"

namespace stile::sim_test {

/// What stands between the client's server and the targets. By default nothing: it reaches them itself.
struct Between {
  /// By SOCKS5's codes: what the client's server says where another says this.
  using Told = std::array<std::uint8_t, 9>;

  bool servers = false;                     // others, which the client's own goes through
  Told by_last{0, 1, 2, 3, 4, 5, 6, 7, 8};  // the one that reaches the target
  Told by_resolving = by_last;              // the one that resolves a name that stands for a target
  std::uint8_t bind_refusal = 0;            // what BIND comes to, since one of them knows no such command
  bool stranger_ends = false;               // the last one is asked for BIND in a way that knows one peer only
  bool ipv4_only = false;                   // one of them is asked in a way that has no room for IPv6
};

/// Where a conversation takes place.
struct Surroundings {
  engine::SimEngine& engine;
  Names names;
  std::size_t number;  // of the conversation: it has ports and names of its own
  bool undisturbed;    // nothing but the script itself goes wrong: no injected failure, no random reset
  Between between{};
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
