// The way to a target: nothing is dialled that was not decided, and each operation may fail.
#include "server/reach.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
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
const Address other = Address::v4(192, 0, 2, 11);
const Address bad = Address::v4(169, 254, 169, 254);

Target at_name(const std::string& name) {
  return {std::get<HostName>(*canonical_host(name)), 80};
}

/// A reach in a small world: a listener at `good`, a name for each case, a policy that forbids `bad` and "no.example".
class Walker final : public ReachOwner {
 public:
  explicit Walker(std::uint64_t fail_at = 0)
      : engine_(std::make_unique<SimEngine>(1, engine::SimFaults{})),
        names_(std::make_unique<resolve::TableResolver>(*engine_)),
        resolver_(std::make_unique<resolve::CachingResolver>(*engine_, *names_, resolve::CachingResolver::Options{})) {
    upstreams_ = std::make_unique<route::Upstreams>(*engine_, *resolver_);
    reach_ = std::make_unique<Reach>(*engine_, *resolver_, *upstreams_, *this);
    reach_->bind<&Walker::on_reached>(this);
    listener_.bind<&Walker::ignore>(this);
    socket_.bind<&Walker::ignore>(this);
    add("good.example", {good});
    add("mixed.example", {bad, good});
    add("bad.example", {bad});
    add("both.example", {other, good});
    const SimEngine::Bystander bystander(*engine_);
    STILE_ASSERT(engine_->listen(listener_, {good, 80}, {}).has_value());
    if (fail_at != 0) engine_->fail_nth(fail_at, {ErrorKind::no_descriptors, 0});
  }
  ~Walker() override {
    reach_.reset();
    socket_.close(*engine_);
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
      EXPECT_EQ(engine_->peer_endpoint(socket_.socket()), reach_->peer());
      left_from = engine_->local_endpoint(socket_.socket())->address;
      socket_.close(*engine_);
      engine_->run_for(1s);
    }
    return reach_->reason();
  }

  Address forbidden = bad;
  Address left_from;
  std::map<int, policy::Options> options;
  std::map<int, Reason> full;
  std::set<Endpoint> own;
  std::vector<int> claimed;

  [[nodiscard]] Reach& reach() { return *reach_; }
  [[nodiscard]] SimEngine& engine() { return *engine_; }
  [[nodiscard]] std::size_t questions() const { return names_->questions(); }
  [[nodiscard]] int completions() const { return completions_; }

 private:
  void add(const std::string& name, const std::vector<Address>& addresses) {
    names_->add(std::get<HostName>(*canonical_host(name)),
                {.ipv4 = resolve::TableResolver::half(addresses, 60s), .ipv6 = {}});
  }
  [[nodiscard]] Verdict decide(const Target& target, const std::optional<Address>& candidate) override {
    const Verdict deny{.decision = Verdict::Decision::deny, .reason = Reason::deny_policy, .rule = 7};
    if (target.host_name() != nullptr && target.host_name()->text() == "no.example") return deny;
    if (!candidate && target.host_name()->text() == "elsewhere.example") {
      return {.decision = Verdict::Decision::allow, .reason = Reason::none, .rule = 5};
    }
    if (!candidate) return {.decision = Verdict::Decision::undecided, .reason = Reason::none, .rule = -1};
    if (*candidate == forbidden) return deny;
    return {.decision = Verdict::Decision::allow, .reason = Reason::none, .rule = *candidate == other ? 4 : 3};
  }
  [[nodiscard]] const policy::Options& options_of(int rule) const noexcept override {
    static const policy::Options none;
    const auto found = options.find(rule);
    return found == options.end() ? none : found->second;
  }
  [[nodiscard]] Reason claim(int rule) override {
    claimed.push_back(rule);
    const auto found = full.find(rule);
    return found == full.end() ? Reason::none : found->second;
  }
  [[nodiscard]] Traveller traveller() const override { return {.client = {}, .user = "alice", .session = 7}; }
  [[nodiscard]] bool is_own(const Endpoint& place) const override { return own.contains(place); }
  void on_reached(engine::Status) {
    ++completions_;
    (void)reach_->settle();
  }
  void ignore(engine::Status) {}

  std::unique_ptr<SimEngine> engine_;
  std::unique_ptr<resolve::TableResolver> names_;
  std::unique_ptr<resolve::CachingResolver> resolver_;
  std::unique_ptr<route::Upstreams> upstreams_;
  std::unique_ptr<Reach> reach_;
  engine::Socket listener_;
  protect::Line socket_;
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

TEST(Reach, FindsWithoutDialling) {
  Walker walker;
  EXPECT_EQ(walker.reach().ask(at_name("both.example")).decision, Verdict::Decision::undecided);
  walker.reach().find({}, {});
  walker.engine().run_for(1min);
  EXPECT_EQ(walker.reach().reason(), Reason::none);
  EXPECT_EQ(std::vector(walker.reach().addresses().begin(), walker.reach().addresses().end()),
            (std::vector<Address>{other, good}));
  EXPECT_EQ(walker.reach().decide(other).rule, 4);
}

TEST(Reach, ARuleThatIsFullTakesItsCandidatesAway) {
  Walker walker;
  walker.full[4] = Reason::limit_rule;
  EXPECT_EQ(walker.go(at_name("both.example")), Reason::none);
  EXPECT_EQ(walker.reach().peer(), (Endpoint{good, 80}));
  EXPECT_EQ(walker.claimed, (std::vector<int>{4, 3}));
  walker.full[3] = Reason::limit_quota;
  EXPECT_EQ(walker.go(at_name("both.example")), Reason::limit_quota);
  EXPECT_EQ(walker.reach().rule(), 3);
}

TEST(Reach, LeavesFromWhereTheRuleSays) {
  Walker walker;
  walker.engine().set_own_address(Address::v4(198, 51, 100, 7));
  walker.options[3].egress.from = Cidr::parse("198.51.100.7");
  EXPECT_EQ(walker.go({good, 80}), Reason::none);
  EXPECT_EQ(walker.left_from.to_string(), "198.51.100.7");
  walker.options[3].egress.from = Cidr::parse("198.51.100.8");
  EXPECT_EQ(walker.go({good, 80}), Reason::dial_egress) << "no address of this host";
  walker.options[3].egress.from = Cidr::parse("2001:db8::/64");
  EXPECT_EQ(walker.go({good, 80}), Reason::dial_family_off);
}

TEST(Reach, DrawsAnAddressOfAPrefixForEachConnection) {
  Walker walker;
  walker.options[3].egress.from = Cidr::parse("203.0.113.0/24");
  std::set<Address> seen;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(walker.go({good, 80}), Reason::none);
    EXPECT_TRUE(walker.options[3].egress.from->contains(walker.left_from));
    seen.insert(walker.left_from);
  }
  EXPECT_GT(seen.size(), 25U);
}

TEST(Reach, GoesElsewhereWhereTheRuleRedirects) {
  Walker walker;
  walker.options[5].redirect = Target{good, 80};
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::none);
  EXPECT_EQ(walker.questions(), 0U) << "the name that was asked for is not resolved";
  EXPECT_EQ(walker.reach().peer(), (Endpoint{good, 80}));
  EXPECT_TRUE(walker.reach().is_redirected());
  EXPECT_EQ(walker.reach().rule(), 5);
  EXPECT_EQ(walker.claimed, std::vector<int>{5});
  walker.options[5].redirect = at_name("good.example");
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::none);
  EXPECT_GT(walker.questions(), 0U);
  walker.options[5].redirect = at_name("nowhere.example");
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::dns_not_found);
  walker.options[5].redirect = Target{bad, 80};
  walker.engine().set_route(bad, engine::SimBehaviour::refused());
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::dial_refused) << "as written: no rule is asked about it";
}

TEST(Reach, IsRedirectedByTheRuleOfAnAddress) {
  Walker walker;
  walker.options[4].redirect = Target{good, 80};
  EXPECT_EQ(walker.go({other, 443}), Reason::none);
  EXPECT_EQ(walker.reach().peer(), (Endpoint{good, 80}));
  EXPECT_EQ(walker.reach().rule(), 4);
  EXPECT_EQ(walker.go({good, 80}), Reason::none);
  EXPECT_FALSE(walker.reach().is_redirected());
}

TEST(Reach, IsNeverRedirectedToASocketOfOurs) {
  Walker walker;
  walker.own.insert({good, 80});
  walker.options[5].redirect = Target{good, 80};
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::deny_self);
  walker.options[5].redirect = at_name("good.example");
  EXPECT_EQ(walker.go(at_name("elsewhere.example")), Reason::deny_self);
}

// A new policy comes while a connection is made.
TEST(Reach, AsksANewPolicyBeforeItSaysThatItIsThere) {
  for (const bool still_allowed : {true, false}) {
    Walker walker;
    walker.reach().start({good, 80}, {});
    walker.forbidden = still_allowed ? bad : good;
    walker.reach().forget();
    walker.engine().run_for(1min);
    EXPECT_EQ(walker.reach().reason(), still_allowed ? Reason::none : Reason::deny_policy);
    EXPECT_EQ(walker.claimed.size(), still_allowed ? 2U : 1U);
  }
  Walker walker;
  walker.options[5].redirect = Target{good, 80};
  walker.reach().start(at_name("elsewhere.example"), {});
  walker.options[5].redirect = Target{other, 80};
  walker.reach().forget();
  walker.engine().run_for(1min);
  EXPECT_EQ(walker.reach().reason(), Reason::policy_changed);
  walker.engine().run_for(1min);
}

TEST(Reach, IsEndedForAReason) {
  for (const Target& target : {Target{good, 80}, at_name("good.example")}) {
    Walker walker;
    walker.reach().start(target, {});
    walker.forbidden = good;
    walker.reach().forget();
    walker.reach().cancel(Reason::policy_changed);
    walker.engine().run_for(1min);
    EXPECT_EQ(walker.reach().reason(), Reason::policy_changed);
    EXPECT_EQ(walker.reach().rule(), -1) << "no rule of a policy that is gone";
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
