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

}  // namespace

Town::Town(std::uint64_t seed, const engine::SimFaults& faults, bool undisturbed)
    : engine_(std::make_unique<engine::SimEngine>(seed, faults)),
      reloads_(draw_reloads(seed)),
      undisturbed_(undisturbed && std::ranges::all_of(reloads_, &Reload::allows)) {
  engine_->set_route(dead_address, engine::SimBehaviour::silent());
  engine_->set_route(unreachable_address, engine::SimBehaviour::host_unreachable(Family::ipv4));
  engine_->set_path(Cidr{Address::v4(192, 0, 2, 0), 24}, {router, hidden_router});
  engine_->set_own_address(server_endpoint.address);
  engine_->set_own_address(server_endpoint6.address);
  server_ = std::make_unique<Node>(*engine_, Node::Settings{.places = {server_endpoint, server_endpoint6},
                                                            .proxy_protocol_from = {},
                                                            .rules = std::string(seed % 3 == 0 ? metered_rules : rules),
                                                            .upstreams = {},
                                                            .busy_one_in = undisturbed_ ? 0U : 8U});
  STILE_ASSERT(server_->start());
}

Town::~Town() = default;

void Town::add_random(engine::Prng& prng, std::string_view only) {
  const auto named = std::ranges::find(kinds, only, &Kind::name);
  const Kind& kind = named == kinds.end() ? random_kind(prng) : *named;
  const Surroundings surroundings{
      .engine = *engine_, .names = {&server_->names()}, .number = conversations_.size(), .undisturbed = undisturbed_};
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
  server_->reload(text, {});
  if (reload.allows) return;
  engine_->run_for(std::chrono::seconds(1));
  if (server_->sessions_open() != 0) {
    lived_on_ = std::to_string(server_->sessions_open()) + " sessions live on that no rule allows";
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
  traces_ = server_->traces();
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
  server_->request_stop();
  for (int i = 0; i < 10; ++i) engine_->run_for(std::chrono::minutes(1));
  server_->forget_worker();
  server_->close_names();
  engine_->run_for(std::chrono::minutes(1));
}

std::optional<std::string> Town::complaint() const {
  if (!never_ended_.empty()) return "I10: conversations never ended:" + never_ended_;
  if (leak_) return "I5: " + *leak_;
  if (!lived_on_.empty()) return "I11: " + lived_on_;
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (const auto found = conversations_[i]->complaint(server_->ledger())) {
      return "conversation " + std::to_string(i) + ": " + *found;
    }
  }
  return server_->ledger().complaint();
}

}  // namespace stile::sim_test
