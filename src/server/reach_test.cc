// The way to a target: nothing is dialled that was not decided, and each operation may fail.
#include "server/reach.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using engine::SimEngine;
using policy::Verdict;

const Address good = Address::v4(192, 0, 2, 10);
const Address bad = Address::v4(169, 254, 169, 254);

Target at_name(const std::string& name) {
  return {std::get<HostName>(*canonical_host(name)), 80};
}

/// A reach in a small world: a listener at `good`, a name for each case, a policy that forbids `bad` and "no.example".
class Walker {
 public:
  explicit Walker(std::uint64_t fail_at = 0)
      : engine_(std::make_unique<SimEngine>(1, engine::SimFaults{})),
        names_(std::make_unique<resolve::TableResolver>(*engine_)),
        resolver_(std::make_unique<resolve::CachingResolver>(*engine_, *names_, resolve::CachingResolver::Options{})) {
    reach_ = std::make_unique<Reach>(
        *engine_, *resolver_, [](const Target& target, const auto& candidate) { return decide(target, candidate); });
    reach_->bind<&Walker::on_reached>(this);
    listener_.bind<&Walker::ignore>(this);
    socket_.bind<&Walker::ignore>(this);
    add("good.example", {good});
    add("mixed.example", {bad, good});
    add("bad.example", {bad});
    const SimEngine::Bystander bystander(*engine_);
    STILE_ASSERT(engine_->listen(listener_, {good, 80}, {}).has_value());
    if (fail_at != 0) engine_->fail_nth(fail_at, {ErrorKind::no_descriptors, 0});
  }
  ~Walker() {
    reach_.reset();
    engine_->close(socket_);
    engine_->close(listener_);
    engine::Operation closed;
    closed.bind<&Walker::ignore>(this);
    resolver_->close(closed);
    engine_->run_for(1min);
  }
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;

  Reason go(const Target& target) {
    reach_->start(target, {});
    EXPECT_EQ(completions_, 0);
    engine_->run_for(2min);
    EXPECT_EQ(completions_, 1);
    completions_ = 0;
    if (reach_->reason() == Reason::none) {
      reach_->take(socket_);
      EXPECT_EQ(engine_->peer_endpoint(socket_), reach_->peer());
      engine_->close(socket_);
      engine_->run_for(1s);
    }
    return reach_->reason();
  }

  [[nodiscard]] Reach& reach() { return *reach_; }
  [[nodiscard]] SimEngine& engine() { return *engine_; }
  [[nodiscard]] std::size_t questions() const { return names_->questions(); }
  [[nodiscard]] int completions() const { return completions_; }

 private:
  void add(const std::string& name, const std::vector<Address>& addresses) {
    names_->add(std::get<HostName>(*canonical_host(name)),
                {.ipv4 = resolve::TableResolver::half(addresses, 60s), .ipv6 = {}});
  }
  [[nodiscard]] static Verdict decide(const Target& target, const std::optional<Address>& candidate) {
    const Verdict deny{.decision = Verdict::Decision::deny, .reason = Reason::deny_policy, .rule = 7};
    if (target.host_name() != nullptr && target.host_name()->text() == "no.example") return deny;
    if (!candidate) return {.decision = Verdict::Decision::undecided, .reason = Reason::none, .rule = -1};
    if (*candidate == bad) return deny;
    return {.decision = Verdict::Decision::allow, .reason = Reason::none, .rule = 3};
  }
  void on_reached(engine::Status) { ++completions_; }
  void ignore(engine::Status) {}

  std::unique_ptr<SimEngine> engine_;
  std::unique_ptr<resolve::TableResolver> names_;
  std::unique_ptr<resolve::CachingResolver> resolver_;
  std::unique_ptr<Reach> reach_;
  engine::Socket listener_;
  engine::Socket socket_;
  int completions_ = 0;
};

TEST(Reach, GoesToAddressesAndNames) {
  Walker walker;
  EXPECT_EQ(walker.go({good, 80}), Reason::none);
  EXPECT_EQ(walker.questions(), 0U);
  EXPECT_EQ(walker.go(at_name("good.example")), Reason::none);  // used again
  EXPECT_EQ(walker.reach().rule(), 3);
}

TEST(Reach, DialsOnlyWhatIsAllowed) {  // principle P2
  Walker walker;
  EXPECT_EQ(walker.go(at_name("mixed.example")), Reason::none);
  EXPECT_EQ(walker.reach().peer(), (Endpoint{good, 80}));
  EXPECT_EQ(walker.go(at_name("bad.example")), Reason::deny_policy);
  EXPECT_EQ(walker.reach().rule(), 7);
  EXPECT_EQ(walker.go({bad, 80}), Reason::deny_policy);
}

TEST(Reach, AsksNothingOfDnsForADeniedName) {
  Walker walker;
  EXPECT_EQ(walker.go(at_name("no.example")), Reason::deny_policy);
  EXPECT_EQ(walker.questions(), 0U);
}

TEST(Reach, TellsWhatWentWrong) {
  Walker walker;
  EXPECT_EQ(walker.go(at_name("nowhere.example")), Reason::dns_not_found);
  EXPECT_EQ(walker.go({good, 81}), Reason::dial_refused);
}

TEST(Reach, CompletesOnceWhenItIsCancelled) {
  for (const auto& target : {Target{good, 80}, at_name("good.example"), at_name("no.example")}) {
    for (const auto wait : {0ms, 1ms, 30ms}) {
      Walker walker;
      walker.reach().start(target, {});
      if (wait > 0ms) walker.engine().run_for(wait);
      const bool over = walker.completions() == 1;
      walker.reach().cancel();
      walker.engine().run_for(1min);
      EXPECT_EQ(walker.completions(), 1);
      EXPECT_FALSE(walker.reach().pending());
      EXPECT_TRUE(over || walker.reach().reason() != Reason::none || target.host_name() == nullptr);
    }
  }
}

// The sweep: each operation in turn fails.
TEST(Reach, SurvivesEachFailure) {
  for (std::uint64_t fail_at = 1; fail_at < 12; ++fail_at) {
    Walker walker(fail_at);
    const Reason reason = walker.go(at_name("mixed.example"));
    EXPECT_TRUE(reason == Reason::none || reason == Reason::no_resources || reason == Reason::dial_failed)
        << fail_at << " " << token(reason);
  }
}

}  // namespace
}  // namespace stile::server
