// A chain of five whole servers on the simulated engine: seeds times faults. One seed in two is undisturbed: then
// everything must arrive, and every server must have recorded it. The other half has resets, failing connects, servers
// that are silent, slow, without descriptors, or end, reloads that take things away, and one call that fails, out of
// all that the servers make. How seeds are run: sim/seed_runner.h.
#include "sim/chain/chain_town.h"
#include "sim/seed_runner.h"

namespace {

using namespace stile;
using namespace stile::sim_test;

Outcome run(const Trial& trial) {
  engine::Prng prng(trial.seed);
  engine::SimFaults faults = random_faults(prng, trial.undisturbed());
  // What passes through five servers meets each of these five times.
  faults.reset /= 5;
  faults.connect_failure /= 5;
  ChainTown town(trial.seed, faults, trial.undisturbed());
  return run_town(town, trial, prng, 3);
}

}  // namespace

int main(int argc, char** argv) {
  return run_seeds(argc, argv, run);
}
