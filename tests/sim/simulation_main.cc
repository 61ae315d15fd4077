// A whole server on the simulated engine: seeds times faults. `simulation --seeds N [--from K]` runs N seeds from K (1)
// on; `simulation --seed K` runs one and prints what happened; `simulation --sweep K` runs it once for each call that
// the server makes, which then fails. `--only KIND`: conversations of that kind alone. A seed that fails prints itself
// and every connection's last steps, and replays exactly.
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "sim/town.h"

namespace {

using namespace stile;
using namespace stile::sim_test;

struct Outcome {
  std::optional<std::string> complaint;
  std::uint64_t trace_hash = 0;
  std::string traces;
};

engine::SimFaults faults_for(engine::Prng& prng, bool undisturbed) {
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

// One seed in two is undisturbed: then everything must arrive. The other half has resets, failing connects and one
// call that fails, out of all that the server makes.
Outcome run(std::uint64_t seed, std::uint64_t fail_at, std::string_view only, std::uint64_t* calls) {
  engine::Prng prng(seed);
  const bool undisturbed = seed % 2 == 0 && fail_at == 0;
  Town town(seed, faults_for(prng, undisturbed), undisturbed);
  if (fail_at != 0) {
    const ErrorKind kinds[] = {ErrorKind::no_descriptors, ErrorKind::no_memory, ErrorKind::reset, ErrorKind::other};
    town.engine().fail_nth(fail_at, {kinds[prng.next() % 4], 0});
  }
  const std::size_t conversations = 1 + prng.next() % 6;
  for (std::size_t i = 0; i < conversations; ++i) town.add_random(prng, only);
  town.run();
  if (calls != nullptr) *calls = town.engine().calls();
  return {town.complaint(), town.engine().trace_hash(), town.traces()};
}

bool report(std::uint64_t seed, std::uint64_t fail_at, std::string_view only, const Outcome& outcome) {
  if (!outcome.complaint) return true;
  const std::string kind = only.empty() ? std::string() : " --only " + std::string(only);
  std::printf("seed %llu fails (replay: simulation --seed %llu --fail-at %llu%s): %s\n%s",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(fail_at), kind.c_str(), outcome.complaint->c_str(),
              outcome.traces.c_str());
  return false;
}

int run_one(std::uint64_t seed, std::uint64_t fail_at, std::string_view only) {
  const Outcome first = run(seed, fail_at, only, nullptr);
  const Outcome second = run(seed, fail_at, only, nullptr);
  std::printf("seed %llu: trace %016llx, %s\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(first.trace_hash),
              first.trace_hash == second.trace_hash ? "replays exactly" : "DOES NOT REPLAY");
  return report(seed, fail_at, only, first) && first.trace_hash == second.trace_hash ? 0 : 1;
}

// Every seed; for one in four also one failing call, chosen from those the seed makes (the sweep of the driver). One in
// fifty is run twice. The digest of all traces is the same wherever and however this was compiled.
int run_many(std::uint64_t first, std::uint64_t count, std::string_view only) {
  std::uint64_t failed = 0;
  std::uint64_t digest = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    std::uint64_t calls = 0;
    const Outcome outcome = run(seed, 0, only, &calls);
    if (!report(seed, 0, only, outcome)) ++failed;
    digest = std::rotl(digest, 1) ^ outcome.trace_hash;
    if (seed % 50 == 0 && run(seed, 0, only, nullptr).trace_hash != outcome.trace_hash) {
      std::printf("seed %llu does not replay\n", static_cast<unsigned long long>(seed));
      ++failed;
    }
    if (calls > 0 && seed % 4 == 1) {
      const std::uint64_t fail_at = 1 + (seed * 2654435761U) % calls;
      if (!report(seed, fail_at, only, run(seed, fail_at, only, nullptr))) ++failed;
    }
  }
  std::printf("%llu seeds, %llu failed, traces %016llx\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(failed), static_cast<unsigned long long>(digest));
  return failed == 0 ? 0 : 1;
}

// One seed with each of its calls failing in turn.
int sweep(std::uint64_t seed, std::string_view only) {
  std::uint64_t calls = 0;
  std::uint64_t failed = report(seed, 0, only, run(seed, 0, only, &calls)) ? 0 : 1;
  for (std::uint64_t fail_at = 1; fail_at <= calls; ++fail_at) {
    if (!report(seed, fail_at, only, run(seed, fail_at, only, nullptr))) ++failed;
  }
  std::printf("%llu failing calls, %llu failed\n", static_cast<unsigned long long>(calls),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
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
  if (seed != 0) return run_one(seed, fail_at, only);
  if (swept != 0) return sweep(swept, only);
  if (seeds != 0) return run_many(from, seeds, only);
  std::fprintf(stderr, "usage: %s --seeds N [--from K] | --seed K [--fail-at CALL] | --sweep K, [--only KIND]\n",
               argv[0]);
  return 2;
}
