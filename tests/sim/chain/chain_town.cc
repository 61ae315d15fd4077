#include "sim/chain/chain_town.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/session_id.h"
#include "sim/bind_conversation.h"
#include "sim/connect_conversation.h"
#include "sim/places.h"

namespace stile::sim_test {
namespace {

// As likely within a millisecond as within two seconds: most of what may go wrong is over soon.
Duration random_moment(engine::Prng& prng) {
  return std::chrono::microseconds(prng.below(std::uint64_t{1} << (4 + prng.below(18))));
}

bool is_admitted(const Ledger::Entry& entry) {
  return entry.event == observe::Event::session_start || entry.event == observe::Event::session_end;
}

bool is_an_end_of_its_own(Reason reason) {
  return reason == Reason::fin_client || reason == Reason::fin_target || reason == Reason::reset_client ||
         reason == Reason::reset_target;
}

}  // namespace

ChainTown::ChainTown(std::uint64_t seed, const engine::SimFaults& faults, bool undisturbed)
    : engine_(seed, faults), undisturbed_(undisturbed), path_(engine::Prng(seed ^ 0x70617468)) {
  engine_.set_route(dead_address, engine::SimBehaviour::silent());
  engine_.set_own_address(server_endpoint.address);
  build();
  engine::Prng prng(seed ^ 0x6d6973686170);
  plan_harmless(prng);
  if (!undisturbed_) {
    for (std::uint64_t count = prng.below(4); count > 0; --count) plan_mishap(prng);
  }
  began_ = engine_.now();
}

void ChainTown::build() {
  for (std::size_t i = 0; i <= chain_length; ++i) {
    const bool twin = i == chain_length;
    const std::size_t place = twin ? path_.twin_place() : i;
    if (twin && place == 0) break;
    Server server{.place = place, .twin = twin, .host = {}, .node = {}};
    server.host = std::make_unique<Host>(engine_, Path::address_of(place, twin), Path::address6_of(place, twin));
    Node::Settings settings = path_.settings(place, twin);
    settings.busy_one_in = undisturbed_ ? 0U : 8U;
    server.node = std::make_unique<Node>(*server.host, settings);
    STILE_ASSERT(server.node->start());
    servers_.push_back(std::move(server));
  }
}

void ChainTown::add_random(engine::Prng& prng, std::string_view only) {
  const bool binds = only.empty() ? prng.below(3) == 0 : only == "bind";
  const MakeConversation make = binds ? make_bind : make_connect;
  Names names;
  for (const Server& server : servers_) names.push_back(&server.node->names());
  const Surroundings surroundings{.engine = engine_,
                                  .names = names,
                                  .number = conversations_.size(),
                                  .undisturbed = undisturbed_,
                                  .between = path_.between()};
  conversations_.push_back(make(surroundings, prng));
  conversations_.back()->begin();
}

// ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────

void ChainTown::plan(Duration at, std::string what, std::function<void()> act) {
  events_.emplace(at, Event{std::move(what), std::move(act)});
}

ChainTown::Server& ChainTown::any_server(engine::Prng& prng, std::size_t first_place) {
  return servers_[first_place + prng.below(servers_.size() - first_place)];
}

/// What must not be noticed: a reload that changes nothing, a server that is far away, a clock that somebody sets.
void ChainTown::plan_harmless(engine::Prng& prng) {
  if (prng.below(3) == 0) {
    Server& server = any_server(prng);
    plan(random_moment(prng), "reload at " + std::to_string(server.place),
         [this, &server] { reload(server, false, false); });
  }
  if (prng.below(3) == 0) {
    Server& server = any_server(prng, 1);
    const auto away = std::chrono::milliseconds(prng.below(60));
    engine_.set_route(Path::address_of(server.place, server.twin), engine::SimBehaviour::normal(away));
  }
  if (prng.below(3) == 0) {
    Server& server = any_server(prng);
    const auto by = std::chrono::seconds(static_cast<std::int64_t>(prng.below(2'000'000)) - 1'000'000);
    plan(random_moment(prng), "clock set at " + std::to_string(server.place),
         [&server, by] { server.host->set_clock(by); });
  }
}

void ChainTown::plan_mishap(engine::Prng& prng) {
  Server& server = any_server(prng);
  const Duration at = random_moment(prng);
  const Duration until = at + random_moment(prng) * (1 + prng.below(20));
  const std::string where = " at " + std::to_string(server.place) + (server.twin ? "'" : "");
  const Address address = Path::address_of(server.place, server.twin);
  const auto reached = [this, address](const engine::SimBehaviour& behaviour) {
    return [this, address, behaviour] { engine_.set_route(address, behaviour); };
  };
  switch (prng.below(7)) {
    case 0:
      plan(at, "silence" + where, reached(engine::SimBehaviour::silent()));
      return plan(until, "silence is over" + where, reached(engine::SimBehaviour::normal()));
    case 1:
      plan(at, "refusals" + where, reached(engine::SimBehaviour::refused()));
      return plan(until, "refusals are over" + where, reached(engine::SimBehaviour::normal()));
    case 2:
      plan(at, "slowness" + where, reached(engine::SimBehaviour::normal(std::chrono::seconds(1 + prng.below(8)))));
      return plan(until, "slowness is over" + where, reached(engine::SimBehaviour::normal()));
    case 3: {
      const std::size_t descriptors = servers_.size() + prng.below(40);
      plan(at, "no descriptors", [this, descriptors] { engine_.set_descriptor_limit(descriptors); });
      return plan(until, "descriptors again", [this] { engine_.set_descriptor_limit(1'000'000); });
    }
    case 4:
      plan(at, "a reload that allows nothing" + where, [this, &server] { reload(server, true, false); });
      return plan(at + std::chrono::seconds(1), "nothing lives on" + where, [this, &server] {
        if (server.denies && server.node->sessions_open() != 0) lived_on_ = std::to_string(server.place);
      });
    case 5:
      return plan(at, "a reload that leads astray" + where, [this, &server] { reload(server, false, true); });
    default:
      return plan_end(prng, server, at);
  }
}

void ChainTown::plan_end(engine::Prng& prng, Server& server, Duration at) {
  const bool drains = prng.below(2) == 0;
  if (std::exchange(server.ends, true)) return;
  plan(at, (drains ? "drain at " : "end at ") + std::to_string(server.place),
       [&server, drains] { drains ? server.node->request_drain() : server.node->request_stop(); });
  if (prng.below(3) == 0) return;
  plan(at + std::chrono::seconds(2 + prng.below(5)), "it begins again", [this, &server] { begin_again(server); });
}

void ChainTown::reload(Server& server, bool denies, bool astray) {
  server.denies = denies;
  server.node->reload(denies ? "deny anyone to any" : path_.rules(server.place, true),
                      path_.upstreams(server.place, astray));
}

void ChainTown::begin_again(Server& server) {
  if (!server.host->stopped()) {
    never_ended_ += " server " + std::to_string(server.place);
    return;
  }
  server.node->forget_worker();
  (void)server.node->start();
}

// ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────────────

bool ChainTown::everybody_done() const {
  return std::ranges::all_of(conversations_, &Conversation::done);
}

void ChainTown::run() {
  traces_ = path_.text();
  for (auto& [at, event] : events_) {
    engine_.run_for(began_ + at - engine_.now());
    traces_ +=
        std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(at).count()) + " us: " + event.what + "\n";
    event.act();
  }
  // Longer than every timer of a conversation together; a simulated minute costs nothing.
  engine_.run_for(std::chrono::minutes(1));
  for (int minute = 1; minute < 20 && !everybody_done(); ++minute) engine_.run_for(std::chrono::minutes(1));
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (!conversations_[i]->done()) never_ended_ += " " + std::to_string(i) + conversations_[i]->state();
  }
  if (engine_.spun()) never_ended_ += " (something completes and waits again for ever)";
  for (const Server& server : servers_) {
    traces_ += "server " + std::to_string(server.place) + (server.twin ? "'" : "") + ": " +
               std::to_string(server.node->sessions_open()) + " sessions open\n" + server.node->traces();
    for (const Ledger::Entry& entry : server.node->ledger().entries()) {
      const bool is_probe = entry.reason == Reason::eof_request || entry.reason == Reason::eof_greeting;
      if (!is_probe) traces_ += "  " + entry.text() + "\n";
    }
  }
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    traces_ += "conversation " + std::to_string(i) + ": " + conversations_[i]->state() + "\n";
  }
  for (const auto& conversation : conversations_) conversation->close();
  engine_.run_for(std::chrono::seconds(1));
  stop_servers();
  close_names();
  if (engine_.open_sockets() != 0 || engine_.open_pipes() != 0 || engine_.pending_timers() != 0) {
    leak_ = "left open: " + std::to_string(engine_.open_sockets()) + " sockets, " +
            std::to_string(engine_.open_pipes()) + " pipes, " + std::to_string(engine_.pending_timers()) + " timers";
  }
}

void ChainTown::stop_servers() {
  for (const Server& server : servers_) server.node->request_stop();
  for (int i = 0; i < 10; ++i) engine_.run_for(std::chrono::minutes(1));
  for (const Server& server : servers_) {
    if (!server.host->stopped()) never_ended_ += " server " + std::to_string(server.place);
    server.node->forget_worker();
  }
}

void ChainTown::close_names() {
  for (const Server& server : servers_) server.node->close_names();
  engine_.run_for(std::chrono::minutes(1));
}

// ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────────────

std::optional<std::string> ChainTown::complaint() const {
  if (!never_ended_.empty()) return "I10: never ended:" + never_ended_;
  if (leak_) return "I5: " + *leak_;
  if (!lived_on_.empty()) return "I11: sessions live on that no rule allows, at server " + lived_on_;
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (const auto found = conversations_[i]->complaint(servers_.front().node->ledger())) {
      return "conversation " + std::to_string(i) + ": " + *found;
    }
  }
  for (const Server& server : servers_) {
    if (const auto found = complaint_about_records(server)) {
      return "server " + std::to_string(server.place) + ": " + *found;
    }
  }
  for (std::size_t place = 0; place < chain_length; ++place) {
    if (const auto found = complaint_about_place(place)) return "server " + std::to_string(place) + ": " + *found;
  }
  return undisturbed_ ? complaint_about_names() : std::nullopt;
}

std::optional<std::string> ChainTown::complaint_about_place(std::size_t place) const {
  if (place > 0 && path_.link_to(place).announces) {
    if (auto found = complaint_about_announced(place)) return found;
  }
  if (!undisturbed_) return std::nullopt;
  if (auto found = complaint_about_reasons(place)) return found;
  return place > 0 ? complaint_about_totals(place) : std::nullopt;
}

std::vector<Ledger::Entry> ChainTown::entries_at(std::size_t place) const {
  std::vector<Ledger::Entry> found;
  for (const Server& server : servers_) {
    if (server.place != place) continue;
    found.insert(found.end(), server.node->ledger().entries().begin(), server.node->ledger().entries().end());
  }
  return found;
}

// Who announces a session may come several times with it: where another server behind this one failed, or another
// address of the target's. Each time has records of its own.
std::optional<std::string> ChainTown::complaint_about_records(const Server& server) const {
  if (server.place == 0 || !path_.link_to(server.place).announces) return server.node->ledger().complaint();
  std::map<std::uint64_t, int> open;
  for (const Ledger::Entry& entry : server.node->ledger().entries()) {
    if (entry.event == observe::Event::session_start) ++open[entry.session];
    if (entry.event == observe::Event::session_end && --open[entry.session] < 0) return "I6: an end without a start";
  }
  const auto left = std::ranges::find_if(open, [](const auto& one) { return one.second != 0; });
  return left == open.end() ? std::nullopt : std::optional("I6: no end of " + session_text(left->first));
}

// A session that was announced is one of whoever announced it, for the same client; what else it sends is a probe, or
// was cut before it was announced, and is not admitted.
std::optional<std::string> ChainTown::complaint_about_announced(std::size_t place) const {
  const std::size_t source = path_.source_of(place);
  std::map<std::uint64_t, Ledger::Entry> announced;
  for (const Ledger::Entry& entry : entries_at(source)) announced.insert_or_assign(entry.session, entry);
  for (const Ledger::Entry& entry : entries_at(place)) {
    const auto whose = announced.find(entry.session);
    if (whose == announced.end()) {
      const std::vector<Address> callers = path_.callers_of(place);
      const bool unnamed = entry.client && std::ranges::find(callers, entry.client->address) != callers.end();
      if (!unnamed || is_admitted(entry)) return "a session that nobody announced: " + session_text(entry.session);
      continue;
    }
    const Ledger::Entry& said = whose->second;
    if (said.client != entry.client) return "the client of " + session_text(entry.session) + " is another one";
    if (!undisturbed_ || is_admitted(entry) || path_.is_passed_over(place)) continue;
    const std::string_view reason = token(said.reason);
    const auto reply = static_cast<std::uint8_t>(entry.reply.value_or(ReplyCode::general_failure));
    const auto told = static_cast<std::uint8_t>(said.reply.value_or(ReplyCode::general_failure));
    // HTTP has no BIND to ask for: that it lacks is known without a word of it.
    const bool is_lack = said.reason == Reason::upstream_command && path_.link_to(place).spoken == Spoken::http;
    const bool is_word =
        !is_admitted(said) && !is_lack && reason.starts_with("upstream.") && said.reason != Reason::upstream_failed;
    if (is_word && told != path_.told_through(place, reply)) {
      return session_text(entry.session) + " was refused with " + std::to_string(reply) + ", and " +
             std::to_string(told) + " told";
    }
  }
  return std::nullopt;
}

// Where nothing goes wrong, a tunnel ends by one of its ends.
std::optional<std::string> ChainTown::complaint_about_reasons(std::size_t place) const {
  for (const Ledger::Entry& entry : entries_at(place)) {
    if (entry.event == observe::Event::session_end && !is_an_end_of_its_own(entry.reason)) {
      return "I6: a session that ended with " + std::string(token(entry.reason));
    }
    if (entry.event == observe::Event::denied && info(entry.reason).reply != ReplyCode::not_allowed) {
      return "I6: denied with " + std::string(token(entry.reason));
    }
  }
  return std::nullopt;
}

// As many sessions as its source sent here, with the same octets. Whom its source only passes by has others.
std::optional<std::string> ChainTown::complaint_about_totals(std::size_t place) const {
  bool resets = false;
  const auto moved = [&](std::size_t at) {
    std::multiset<std::pair<std::uint64_t, std::uint64_t>> totals;
    for (const Ledger::Entry& entry : entries_at(at)) {
      const bool elsewhere = entry.address && entry.address->address == near_address;
      if (entry.event != observe::Event::session_end || elsewhere) continue;
      totals.emplace(entry.bytes_up, entry.bytes_down);
      resets = resets || entry.reason == Reason::reset_client || entry.reason == Reason::reset_target;
    }
    return totals;
  };
  const auto sent = moved(path_.source_of(place));
  const auto come = moved(place);
  const std::string numbers = std::to_string(come.size()) + " sessions of " + std::to_string(sent.size());
  if (path_.is_passed_over(place)) {
    return come.size() < sent.size() ? std::optional("I6: " + numbers) : std::nullopt;
  }
  if (come.size() != sent.size()) return "I6: " + numbers;
  if (!resets && come != sent) return "I6: totals that are not its source's";
  return std::nullopt;
}

// What a server sends on as a name it never resolves (threat TP1), and behind the one that resolves there are none.
std::optional<std::string> ChainTown::complaint_about_names() const {
  for (const Server& server : servers_) {
    if (server.place != path_.resolving_place() && server.node->names().questions() != 0) {
      return "server " + std::to_string(server.place) + " asked for a name that is not its own to resolve";
    }
  }
  return std::nullopt;
}

}  // namespace stile::sim_test
