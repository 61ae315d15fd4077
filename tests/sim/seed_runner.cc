#include "sim/seed_runner.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace stile::sim_test {
namespace {

using Number = unsigned long long;

/// Runs trials and counts those that fail.
class Runner {
 public:
  Runner(std::string_view program, RunTrial run) : program_(program.substr(program.find_last_of('/') + 1)), run_(run) {}

  Outcome operator()(const Trial& trial) {
    Outcome outcome = run_(trial);
    if (outcome.complaint) {
      ++failed_;
      const std::string kind = trial.only.empty() ? std::string() : " --only " + std::string(trial.only);
      std::printf("seed %llu fails (replay: %s --seed %llu --fail-at %llu%s): %s\n%s", Number{trial.seed},
                  program_.c_str(), Number{trial.seed}, Number{trial.fail_at}, kind.c_str(), outcome.complaint->c_str(),
                  outcome.traces.c_str());
    }
    return outcome;
  }
  /// The same again must give the same.
  void replay(const Trial& trial, const Outcome& first) {
    if (run_(trial).trace_hash == first.trace_hash) return;
    std::printf("seed %llu does not replay\n", Number{trial.seed});
    ++failed_;
  }
  [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }

 private:
  std::string program_;
  RunTrial run_;
  std::uint64_t failed_ = 0;
};

void run_one(Runner& run, const Trial& trial) {
  const Outcome outcome = run(trial);
  std::printf("seed %llu: trace %016llx, %s\n", Number{trial.seed}, Number{outcome.trace_hash},
              outcome.complaint ? "fails" : "holds");
  run.replay(trial, outcome);
}

// Every seed; for one in four also one failing call, chosen from those the seed makes (the sweep of the driver). One in
// fifty is run twice. The digest of all traces is the same wherever and however this was compiled.
void run_many(Runner& run, std::uint64_t first, std::uint64_t count, std::string_view only) {
  std::uint64_t digest = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Trial trial{.seed = seed, .fail_at = 0, .only = only};
    const Outcome outcome = run(trial);
    digest = std::rotl(digest, 1) ^ outcome.trace_hash;
    if (seed % 50 == 0) run.replay(trial, outcome);
    if (outcome.calls > 0 && seed % 4 == 1) {
      trial.fail_at = 1 + (seed * 2654435761U) % outcome.calls;
      (void)run(trial);
    }
  }
  std::printf("%llu seeds, %llu failed, traces %016llx\n", Number{count}, Number{run.failed()}, Number{digest});
}

// One seed with each of its calls failing in turn.
void sweep(Runner& run, std::uint64_t seed, std::string_view only) {
  const std::uint64_t calls = run({.seed = seed, .fail_at = 0, .only = only}).calls;
  for (std::uint64_t call = 1; call <= calls; ++call) (void)run({.seed = seed, .fail_at = call, .only = only});
  std::printf("%llu failing calls, %llu failed\n", Number{calls}, Number{run.failed()});
}

}  // namespace

engine::SimFaults random_faults(engine::Prng& prng, bool undisturbed) {
  engine::SimFaults faults;
  const auto sometimes = [&](double probability) { return prng.next() % 3 == 0 ? probability : 0; };
  faults.short_read = sometimes(0.05);
  faults.short_write = sometimes(0.05);
  faults.spurious_ready = sometimes(0.05);
  faults.late_completion = sometimes(0.05);
  faults.shuffle_completions = prng.next() % 2 == 0;
  faults.split = sometimes(0.3);
  faults.udp_duplicate = sometimes(0.1);
  faults.udp_leftover = sometimes(0.1);
  faults.latency_max = std::chrono::milliseconds(prng.next() % 20 + 1);
  if (prng.next() % 3 == 0) faults.stream_octets_max = 1024 + prng.next() % 65536;
  faults.icmp_forgery = sometimes(0.3);
  if (undisturbed) return faults;
  faults.reset = sometimes(0.01);
  faults.connect_failure = sometimes(0.1);
  faults.reset_overtakes = sometimes(0.5);
  faults.udp_drop = sometimes(0.1);
  faults.udp_refusal = sometimes(0.1);
  return faults;
}

Error random_error(engine::Prng& prng) {
  constexpr ErrorKind kinds[] = {ErrorKind::no_descriptors, ErrorKind::no_memory, ErrorKind::reset, ErrorKind::other};
  return {kinds[prng.next() % 4], 0};
}

int run_seeds(int argc, char** argv, RunTrial run_trial) {
  std::uint64_t seed = 0;
  std::uint64_t seeds = 0;
  std::uint64_t from = 1;
  std::uint64_t fail_at = 0;
  std::uint64_t swept = 0;
  std::string_view only;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) seed = value;
    if (std::strcmp(argv[i], "--seeds") == 0) seeds = value;
    if (std::strcmp(argv[i], "--from") == 0) from = value;
    if (std::strcmp(argv[i], "--fail-at") == 0) fail_at = value;
    if (std::strcmp(argv[i], "--sweep") == 0) swept = value;
    if (std::strcmp(argv[i], "--only") == 0) only = argv[i + 1];
  }
  if (seed == 0 && seeds == 0 && swept == 0) {
    std::fprintf(stderr, "usage: %s --seeds N [--from K] | --seed K [--fail-at CALL] | --sweep K, [--only KIND]\n",
                 argv[0]);
    return 2;
  }
  Runner run(argv[0], run_trial);
  if (seed != 0) {
    run_one(run, {.seed = seed, .fail_at = fail_at, .only = only});
  } else if (swept != 0) {
    sweep(run, swept, only);
  } else {
    run_many(run, from, seeds, only);
  }
  return run.failed() == 0 ? 0 : 1;
}

}  // namespace stile::sim_test
