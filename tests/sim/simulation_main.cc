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
  return run_town(town, trial, prng, 6);
}

}  // namespace

int main(int argc, char** argv) {
  return run_seeds(argc, argv, run);
}
