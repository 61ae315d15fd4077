// A whole server on the simulated engine: seeds times faults. One seed in two is undisturbed: then everything must
// arrive. The other half has resets, failing connects and one call that fails, out of all that the server makes. How
// seeds are run: seed_runner.h.
#include "sim/seed_runner.h"
#include "sim/town.h"

namespace {

using namespace stile;
using namespace stile::sim_test;

Outcome run(const Trial& trial) {
  engine::Prng prng(trial.seed);
  Town town(trial.seed, random_faults(prng, trial.undisturbed()), trial.undisturbed());
  if (trial.fail_at != 0) town.engine().fail_nth(trial.fail_at, random_error(prng));
  const std::size_t conversations = 1 + prng.next() % 6;
  for (std::size_t i = 0; i < conversations; ++i) town.add_random(prng, trial.only);
  town.run();
  return {.complaint = town.complaint(),
          .trace_hash = town.engine().trace_hash(),
          .calls = town.engine().calls(),
          .traces = town.traces()};
}

}  // namespace

int main(int argc, char** argv) {
  return run_seeds(argc, argv, run);
}
