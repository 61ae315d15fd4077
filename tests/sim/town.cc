#include "sim/town.h"

#include <algorithm>
#include <array>

#include "sim/bind_conversation.h"
#include "sim/connect_conversation.h"
#include "sim/http_conversation.h"
#include "sim/places.h"
#include "sim/probe_conversation.h"
#include "sim/udp_conversation.h"

namespace stile::sim_test {
namespace {

struct Kind {
  std::string_view name;
  unsigned weight;  // how often it is drawn, against the others
  MakeConversation make;
};

constexpr std::array kinds{
    Kind{"connect", 4, make_connect}, Kind{"bind", 2, make_bind},     Kind{"udp", 4, make_udp},
    Kind{"http", 3, make_http},       Kind{"probes", 1, make_probes},
};

const Kind& random_kind(engine::Prng& prng) {
  std::uint64_t sum = 0;
  for (const Kind& kind : kinds) sum += kind.weight;
  std::uint64_t drawn = prng.below(sum);
  for (const Kind& kind : kinds) {
    if (drawn < kind.weight) return kind;
    drawn -= kind.weight;
  }
  return kinds.back();
}

// The hash is never made: the town's verifier has a table of its own.
std::shared_ptr<const auth::Users> one_user() {
  auto users = auth::Users::parse(std::string(user) + ":$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW:");
  STILE_ASSERT(users.has_value());
  return std::make_shared<const auth::Users>(std::move(*users));
}

}  // namespace

Town::Town(std::uint64_t seed, const engine::SimFaults& faults, bool undisturbed)
    : engine_(std::make_unique<engine::SimEngine>(seed, faults)),
      names_(std::make_unique<resolve::TableResolver>(*engine_)),
      resolver_(std::make_unique<resolve::CachingResolver>(*engine_, *names_, resolve::CachingResolver::Options{})),
      reloads_(draw_reloads(seed)),
      undisturbed_(undisturbed && std::ranges::all_of(reloads_, &Reload::allows)) {
  engine_->set_route(dead_address, engine::SimBehaviour::silent());
  engine_->set_route(unreachable_address, engine::SimBehaviour::host_unreachable(Family::ipv4));
  engine_->set_path(Cidr{Address::v4(192, 0, 2, 0), 24}, {router, hidden_router});
  engine_->set_own_address(server_endpoint.address);
  engine_->set_own_address(server_endpoint6.address);
  auto common = std::make_shared<server::Common>();
  common->limits.drain = std::chrono::seconds(1);
  common->accounting_interim = std::chrono::seconds(7);
  common->policy = std::make_shared<const policy::Policy>(
      std::move(*policy::Policy::compile(seed % 3 == 0 ? metered_rules : rules)));
  common->own.sockets = {server_endpoint, server_endpoint6};
  common->live_sockets = std::make_shared<relay::LiveSockets>();
  common->probe_gate = std::make_shared<server::ProbeGate>();
  common->users = one_user();
  common_ = std::move(common);
  verifier_ = std::make_unique<auth::TableVerifier>(*engine_, std::chrono::milliseconds(300), undisturbed_ ? 0U : 8U);
  verifier_->add(std::string(user), std::string(password));
  worker_ = std::make_unique<server::Worker>(*engine_, *resolver_, counters_, &ledger_, common_, verifier_.get());
  const server::Admission admission{
      .protocols = {}, .auth = {AuthMethod::none, AuthMethod::password}, .proxy_protocol_from = {}};
  STILE_ASSERT(worker_->listen(server_endpoint, false, admission).has_value());
  STILE_ASSERT(worker_->listen(server_endpoint6, false, admission).has_value());
  worker_->start();
}

Town::~Town() = default;

void Town::add_random(engine::Prng& prng, std::string_view only) {
  const auto named = std::ranges::find(kinds, only, &Kind::name);
  const Kind& kind = named == kinds.end() ? random_kind(prng) : *named;
  const Surroundings surroundings{*engine_, *names_, conversations_.size(), undisturbed_};
  conversations_.push_back(kind.make(surroundings, prng));
  conversations_.back()->begin();
}

// In every third town some that change nothing, in every third of those the last one allows nothing.
std::vector<Town::Reload> Town::draw_reloads(std::uint64_t seed) {
  engine::Prng prng(seed ^ 0x72656c6f6164);
  std::vector<Reload> reloads;
  if (prng.below(3) != 0) return reloads;
  for (std::uint64_t count = 1 + prng.below(4); count > 0; --count) {
    // As likely within a millisecond as within a second: most of what may go wrong is over soon.
    reloads.push_back({std::chrono::microseconds(prng.below(std::uint64_t{1} << (4 + prng.below(19)))), true});
  }
  reloads.back().allows = prng.below(3) != 0;
  return reloads;
}

// The same rules stand in other places, so that a rule's number of before means nothing any longer.
void Town::reload(const Reload& reload) {
  engine_->run_for(reload.after);
  const std::string text =
      reload.allows ? "deny anyone from 203.0.113.99 to any\n" + std::string(rules) : "deny anyone to any";
  auto next = std::make_shared<server::Common>(*common_);
  ++next->generation;
  next->policy = std::make_shared<const policy::Policy>(std::move(*policy::Policy::compile(text)));
  common_ = std::move(next);
  worker_->publish(common_);
  if (reload.allows) return;
  engine_->run_for(std::chrono::seconds(1));
  if (counters_.sessions_open.value() != 0) {
    lived_on_ = std::to_string(counters_.sessions_open.value()) + " sessions live on that no rule allows";
  }
}

bool Town::everybody_done() const {
  return std::ranges::all_of(conversations_, &Conversation::done);
}

void Town::run() {
  for (const Reload& each : reloads_) reload(each);
  // Longer than every timer of a conversation together; a simulated minute costs nothing. One in any case: what a
  // client has sent may still be on its way, under a rate.
  engine_->run_for(std::chrono::minutes(1));
  for (int minute = 1; minute < 20 && !everybody_done(); ++minute) engine_->run_for(std::chrono::minutes(1));
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (!conversations_[i]->done()) never_ended_ += " " + std::to_string(i) + conversations_[i]->state();
  }
  if (engine_->spun()) never_ended_ += " (something completes and waits again for ever)";
  traces_ = worker_->traces();
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    traces_ += "conversation " + std::to_string(i) + ": " + conversations_[i]->state() + "\n";
  }
  for (const auto& conversation : conversations_) conversation->close();
  engine_->run_for(std::chrono::seconds(1));
  stop_server();
  if (engine_->open_sockets() != 0 || engine_->open_pipes() != 0 || engine_->pending_timers() != 0) {
    leak_ = "left open: " + std::to_string(engine_->open_sockets()) + " sockets, " +
            std::to_string(engine_->open_pipes()) + " pipes, " + std::to_string(engine_->pending_timers()) + " timers";
  }
}

void Town::stop_server() {
  worker_->request_stop();
  for (int i = 0; i < 10; ++i) engine_->run_for(std::chrono::minutes(1));
  worker_.reset();
  verifier_.reset();
  engine::Operation closed;
  struct Nobody {
    void on_closed(engine::Status) {}
  } nobody;
  closed.bind<&Nobody::on_closed>(&nobody);
  resolver_->close(closed);
  engine_->run_for(std::chrono::minutes(1));
  resolver_.reset();
  names_.reset();
}

std::optional<std::string> Town::complaint() const {
  if (!never_ended_.empty()) return "I10: conversations never ended:" + never_ended_;
  if (leak_) return "I5: " + *leak_;
  if (!lived_on_.empty()) return "I11: " + lived_on_;
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (const auto found = conversations_[i]->complaint(ledger_)) {
      return "conversation " + std::to_string(i) + ": " + *found;
    }
  }
  return ledger_.complaint();
}

}  // namespace stile::sim_test
