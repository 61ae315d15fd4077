// What a decision costs among 10 to 10,000 rules, beside a walk over all of them, and with a list of a million entries:
// time each (mean, and by single decisions the median and the 99th percentile), and the memory of the compiled form.
// docs/benchmarks.md keeps the newest run. The walk over all rules is what policy_model_test.cc holds the index equal
// to.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "policy/index.h"
#include "policy/policy_test_support.h"
#include "policy/target_list.h"

namespace {

using namespace stile;
using namespace stile::policy;

constexpr std::size_t questions_count = 4096;  // a power of two; more than the branch predictor remembers

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

std::string subnet(std::string_view block, std::uint64_t i) {
  return std::string(block) + number(i / 256 % 256) + "." + number(i % 256) + ".0/24";
}

/// What a large organisation writes: rules for users, groups, networks and ports of every kind, and what everybody may
/// at the end.
std::string rules_text(std::uint64_t count) {
  std::string text;
  for (std::uint64_t i = 0; i + 1 < count; ++i) {
    switch (i % 6) {
      case 0:
        text += "allow user" + number(i) + " to db-" + number(i) + ".corp.example:5432\n";
        break;
      case 1:
        text += "deny anyone to *.bad-" + number(i) + ".example\n";
        break;
      case 2:
        text += "allow group:team" + number(i) + " to " + subnet("10.", i) + ":22,443\n";
        break;
      case 3:
        text += "allow user" + number(i) + " from " + subnet("10.", i / 3) + " to tcp udp public:1024-65535\n";
        break;
      case 4:
        text += "deny anyone to tcp udp any:" + number(1024 + i) + "\n";
        break;
      default:
        text += "allow anyone from " + subnet("10.", i) + " to 8.8.8.8:53, *.partner-" + number(i) + ".example:443\n";
        break;
    }
  }
  return text + "allow group:staff to public:80,443\n";
}

/// Questions of all kinds; with `count` rules about one in six meets one of them, the rest the last rule or none.
struct Asked {
  Identity who = Identity::anonymous();
  Target target;
  Query query;
};

std::vector<Asked> questions(std::uint64_t count) {
  std::mt19937_64 random(1928);
  std::vector<Asked> asked(questions_count);
  for (Asked& one : asked) {
    const std::uint64_t i = random() % count;
    one.who = auth::Authenticator::make("user" + number(i), {"staff", "team" + number(i), "everybody"});
    const std::uint16_t port = random() % 4 == 0 ? 22 : random() % 2 == 0 ? 80 : 443;
    std::optional<Address> candidate = Address::v4(93, static_cast<std::uint8_t>(i), 3, 4);
    switch (random() % 6) {
      case 0:
        one.target = target("db-" + number(i) + ".corp.example", 5432);
        candidate = Address::v4(10, 1, 2, 3);
        break;
      case 1:
        one.target = target("www.bad-" + number(i) + ".example", port);
        candidate.reset();
        break;
      case 2:
        candidate = Address::v4(10, static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i), 9);
        one.target = Target{.host = *candidate, .port = port};
        break;
      case 3:
        one.target = target("2606:4700::" + number(i % 10'000), port);
        candidate.reset();
        break;
      default:
        one.target = target("www.site-" + number(random() % 1'000'000) + ".example", port);
        break;
    }
    one.query = {.who = nullptr, .source = Address::v4(10, 0, 3, 7), .target = nullptr, .candidate = candidate};
  }
  for (Asked& one : asked) {
    one.query.who = &one.who;
    one.query.target = &one.target;
  }
  return asked;
}

const OwnAddresses& own_addresses() {
  static const OwnAddresses own{.local_routes = {cidr("192.0.2.10"), cidr("2001:db8::10")},
                                .sockets = {{.address = address("192.0.2.10"), .port = 1080}}};
  return own;
}

double allocated() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

/// Counters of single calls: what the clock itself takes is taken off.
template <class Call>
void report_percentiles(benchmark::State& state, Call call) {
  using Clock = std::chrono::steady_clock;
  // Of a walk over many rules fewer do.
  const std::size_t samples_count = state.iterations() > 10'000 ? 100'000 : 1'000;
  const auto measured = [samples_count](auto&& timed) {
    std::vector<double> nanoseconds(samples_count);
    for (std::size_t i = 0; i < samples_count; ++i) {
      const auto begin = Clock::now();
      timed(i);
      nanoseconds[i] = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
    }
    std::ranges::sort(nanoseconds);
    return nanoseconds;
  };
  const double clock = measured([](std::size_t) {})[samples_count / 2];
  const auto nanoseconds = measured(call);
  state.counters["p50_ns"] = nanoseconds[samples_count / 2] - clock;
  state.counters["p99_ns"] = nanoseconds[samples_count * 99 / 100] - clock;
  state.counters["decisions/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

template <class Decide>
void measure_decisions(benchmark::State& state, const std::vector<Asked>& asked, Decide decide) {
  const auto one = [&](std::size_t i) { benchmark::DoNotOptimize(decide(asked[i % questions_count].query)); };
  std::size_t i = 0;
  for (auto _ : state) one(i++);
  report_percentiles(state, one);
}

void decide_by_index(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  const std::string text = rules_text(count);
  const double before = allocated();
  const Policy policy = compiled(text);
  state.counters["octets"] = allocated() - before;
  measure_decisions(state, questions(count), [&](const Query& query) { return policy.decide(query, own_addresses()); });
}
BENCHMARK(decide_by_index)->Arg(10)->Arg(100)->Arg(1'000)->Arg(10'000);

std::string list_text(std::uint64_t entries) {
  std::string text;
  for (std::uint64_t i = 0; i < entries; ++i) {
    if (i % 4 == 3) {
      text += number(1 + i % 199) + "." + number(i / 199 % 256) + "." + number(i / 50'944 % 256) + "." +
              number(i % 251) + "\n";
    } else {
      text += (i % 4 == 0 ? "*.ads-" : "tracker-") + number(i) + ".listed-" + number(i % 1'000) + ".example\n";
    }
  }
  return text;
}

/// 1,000 rules behind one that refuses a list: three names in four, addresses for the rest.
void decide_with_list(benchmark::State& state) {
  const auto entries = static_cast<std::uint64_t>(state.range(0));
  const std::string text = list_text(entries);
  const double before = allocated();
  const auto list = std::make_shared<const TargetList>(*TargetList::parse(text));
  state.counters["octets"] = allocated() - before;
  state.counters["octets_each"] = static_cast<double>(list->octets()) / static_cast<double>(entries);
  const auto policy = Policy::compile("deny anyone to tcp udp list:listed\n" + rules_text(1'000), {{"listed", list}});
  // Half of the questions about names are about listed ones.
  std::vector<Asked> asked = questions(1'000);
  std::mt19937_64 random(1929);
  for (Asked& one : asked) {
    if (one.target.host_name() == nullptr || random() % 2 == 0) continue;
    const std::uint64_t i = random() % entries / 4 * 4;
    one.target = target("www.ads-" + number(i) + ".listed-" + number(i % 1'000) + ".example", one.target.port);
  }
  measure_decisions(state, asked, [&](const Query& query) { return policy->decide(query, own_addresses()); });
}
BENCHMARK(decide_with_list)->Arg(10)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

void decide_by_walk(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  const auto set = parse_rules(rules_text(count));
  measure_decisions(state, questions(count), [&](const Query& query) {
    const Question question(query, own_addresses());
    const auto decides = [&](const Rule& rule) {
      const Certainty certainty = match_rule(rule, question, Search::first_mismatch).certainty;
      return certainty == Certainty::yes || (certainty == Certainty::maybe && rule.allow);
    };
    return std::ranges::find_if(set->rules, decides) - set->rules.begin();
  });
}
BENCHMARK(decide_by_walk)->Arg(10)->Arg(1'000)->Arg(10'000);

}  // namespace

BENCHMARK_MAIN();
