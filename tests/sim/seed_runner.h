// What every simulation's executable does with seeds: runs many, one, or one with each failing call, and prints those
// that fail with their trace and the command that runs them alone. Threading: one thread. Tested by what it is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/prng.h"
#include "engine/sim/sim_faults.h"

namespace stile::sim_test {

/// One run.
struct Trial {
  std::uint64_t seed = 0;
  std::uint64_t fail_at = 0;  // the call of the code under test that fails; 0: none
  std::string_view only;      // conversations of that kind alone; empty: of all

  /// Nothing goes wrong but what scripts say: everything must arrive. One seed in two.
  [[nodiscard]] bool undisturbed() const noexcept { return seed % 2 == 0 && fail_at == 0; }
};

struct Outcome {
  std::optional<std::string> complaint;
  std::uint64_t trace_hash = 0;
  std::uint64_t calls = 0;  // that could have failed
  std::string traces;
};

using RunTrial = Outcome (*)(const Trial& trial);

/// What the network does wrong.
[[nodiscard]] engine::SimFaults random_faults(engine::Prng& prng, bool undisturbed);

/// What a call that is made to fail fails with.
[[nodiscard]] Error random_error(engine::Prng& prng);

/// Up to so many conversations, drawn by the seed, in a town that was made for the trial.
template <class Place>
[[nodiscard]] Outcome run_town(Place& town, const Trial& trial, engine::Prng& prng, std::size_t conversations_max) {
  if (trial.fail_at != 0) town.engine().fail_nth(trial.fail_at, random_error(prng));
  const std::size_t conversations = 1 + prng.next() % conversations_max;
  for (std::size_t i = 0; i < conversations; ++i) town.add_random(prng, trial.only);
  town.run();
  return {.complaint = town.complaint(),
          .trace_hash = town.engine().trace_hash(),
          .calls = town.engine().calls(),
          .traces = town.traces()};
}

/// The executable: `--seeds N [--from K]` runs N seeds from K (1) on; `--seed K` runs one twice and prints what
/// happened, `--fail-at CALL` with that call failing; `--sweep K` runs it once for each call that the code under test
/// makes, which then fails. `--only KIND`: conversations of that kind alone. Answers the exit code.
[[nodiscard]] int run_seeds(int argc, char** argv, RunTrial run);

}  // namespace stile::sim_test
