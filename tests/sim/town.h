// A town in the simulation: one server, clients that talk to it, origins that they want to reach. Everything follows
// from one seed. The clients and origins are the test's own actors: they speak through the same engine, as bystanders.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "sim/conversation.h"
#include "sim/node.h"

namespace stile::sim_test {

class Town {
 public:
  /// `undisturbed`: see Surroundings.
  Town(std::uint64_t seed, const engine::SimFaults& faults, bool undisturbed);
  ~Town();
  Town(const Town&) = delete;
  Town& operator=(const Town&) = delete;

  /// One more conversation, of a kind drawn at random or of the one `only` names.
  void add_random(engine::Prng& prng, std::string_view only = {});
  /// Runs every conversation to its end, stops the server and lets everything come to rest.
  void run();
  /// The first thing that is not as it must be, or nothing.
  [[nodiscard]] std::optional<std::string> complaint() const;
  [[nodiscard]] engine::SimEngine& engine() noexcept { return *engine_; }
  [[nodiscard]] std::string traces() const { return traces_; }

 private:
  /// A new configuration while everybody is at it.
  struct Reload {
    Duration after;  // the start, or the reload before
    bool allows;     // what the old one did; else nothing at all
  };
  [[nodiscard]] static std::vector<Reload> draw_reloads(std::uint64_t seed);

  [[nodiscard]] bool everybody_done() const;
  void reload(const Reload& reload);
  void stop_server();

  std::unique_ptr<engine::SimEngine> engine_;
  std::vector<std::unique_ptr<Conversation>> conversations_;
  std::string traces_;
  std::vector<Reload> reloads_;
  bool undisturbed_;
  std::unique_ptr<Node> server_;
  std::string lived_on_;
  std::string never_ended_;
  std::optional<std::string> leak_;
};

}  // namespace stile::sim_test
