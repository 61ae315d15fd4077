#include "sim/town.h"

#include <algorithm>
#include <map>

#include "sim/actors.h"

namespace stile::sim_test {
namespace {

const Address origin_address = Address::v4(192, 0, 2, 10);  // "reserved" for documentation: the policy names it
const Address dead_address = Address::v4(192, 0, 2, 66);    // allowed, but nothing answers
const Address denied_address = Address::v4(169, 254, 169, 254);
const Address client_address = Address::v4(203, 0, 113, 9);

constexpr std::string_view rules = R"(
town: allow anyone from 203.0.113.0/24 to tcp 192.0.2.0/24
)";

std::uint16_t origin_port(std::size_t index) {
  return static_cast<std::uint16_t>(10'000 + index);
}

std::string origin_name(std::size_t index) {
  return "origin" + std::to_string(index) + ".example";
}

std::string request_to(const Address& address, std::uint16_t port) {
  std::string request("\x05\x01\x00\x01", 4);
  for (const std::uint8_t octet : address.octets()) request += static_cast<char>(octet);
  request += static_cast<char>(port >> 8);
  request += static_cast<char>(port & 0xFF);
  return request;
}

std::string request_to(const std::string& name, std::uint16_t port) {
  std::string request("\x05\x01\x00\x03", 4);
  request += static_cast<char>(name.size());
  request += name;
  request += static_cast<char>(port >> 8);
  request += static_cast<char>(port & 0xFF);
  return request;
}

std::string request_for(Errand errand, std::size_t index) {
  const std::uint16_t port = origin_port(index);
  switch (errand) {
    case Errand::address:
      return request_to(origin_address, port);
    case Errand::name:
    case Errand::dead_first:
    case Errand::denied_name:
      return request_to(origin_name(index), port);
    case Errand::refused:
      return request_to(origin_address, static_cast<std::uint16_t>(port + 10'000));
    case Errand::silent:
      return request_to(dead_address, port);
    case Errand::denied:
      return request_to(denied_address, 80);
    case Errand::unknown_name:
      return request_to("nowhere.example", port);
    case Errand::malformed:
      return std::string("\x05\x09\x00\x09", 4);
    case Errand::unfinished:
      return request_to(origin_address, port).substr(0, 5);
  }
  return {};
}

// What the client is told when nothing else goes wrong; -1: the connection just ends.
int expected_reply(Errand errand) {
  switch (errand) {
    case Errand::address:
    case Errand::name:
    case Errand::dead_first:
      return 0;
    case Errand::refused:
      return 5;
    case Errand::silent:
    case Errand::unknown_name:
      return 4;
    case Errand::denied:
    case Errand::denied_name:
      return 2;
    case Errand::malformed:
      return 7;
    case Errand::unfinished:
      return -1;
  }
  return -1;
}

std::string random_octets(engine::Prng& prng) {
  const std::size_t sizes[] = {0, 1, 10, 1000, 20'000, 300'000, 900'000};
  std::string octets(sizes[prng.next() % 7], '\0');
  for (char& octet : octets) octet = static_cast<char>(prng.next());
  return octets;
}

bool is_prefix(const std::string& part, const std::string& whole) {
  return whole.compare(0, part.size(), part) == 0;
}

}  // namespace

Script random_script(engine::Prng& prng) {
  const auto chance = [&](unsigned in) { return prng.next() % in == 0; };
  Script script;
  script.errand = chance(2) ? Errand::address : static_cast<Errand>(prng.next() % errand_count);
  script.up = random_octets(prng);
  script.down = random_octets(prng);
  if (script.errand != Errand::unfinished && chance(3))
    script.optimistic = std::min<std::size_t>(script.up.size(), prng.next() % 3000);
  if (chance(3)) script.segment = 1 + prng.next() % 12;
  if (chance(4)) script.pause = std::chrono::milliseconds(prng.next() % 30);
  script.client_fin_first = chance(2);
  script.client_resets = chance(10);
  script.origin_resets = chance(10);
  script.slow_client = chance(6);
  script.slow_origin = chance(6);
  return script;
}

struct Town::Conversation {
  Conversation(engine::SimEngine& engine, const Script& followed, std::size_t number)
      : script(followed),
        origin(engine, script, {origin_address, origin_port(number)}),
        client(engine, script, request_for(script.errand, number)) {}

  Script script;
  Origin origin;
  Client client;
};

Endpoint Town::server_endpoint() {
  return {Address::v4(198, 51, 100, 1), 1080};
}

Town::Town(std::uint64_t seed, const engine::SimFaults& faults)
    : engine_(std::make_unique<engine::SimEngine>(seed, faults)),
      names_(std::make_unique<resolve::TableResolver>(*engine_)),
      resolver_(std::make_unique<resolve::CachingResolver>(*engine_, *names_, resolve::CachingResolver::Options{})) {
  engine_->set_route(dead_address, engine::SimBehaviour::silent());
  engine_->set_own_address(server_endpoint().address);
  auto common = std::make_shared<server::Common>();
  common->limits.drain = std::chrono::seconds(1);
  common->policy = std::make_shared<const policy::Policy>(std::move(*policy::Policy::compile(rules)));
  common->own.sockets = {server_endpoint()};
  common->live_sockets = std::make_shared<relay::LiveSockets>();
  worker_ = std::make_unique<server::Worker>(*engine_, *resolver_, counters_, &ledger_, std::move(common));
  STILE_ASSERT(worker_->listen(server_endpoint(), false).has_value());
  worker_->start();
}

Town::~Town() = default;

void Town::add(const Script& script) {
  const std::size_t number = conversations_.size();
  conversations_.push_back(std::make_unique<Conversation>(*engine_, script, number));
  std::vector<Address> addresses{origin_address};
  if (script.errand == Errand::dead_first) addresses.insert(addresses.begin(), dead_address);
  if (script.errand == Errand::denied_name) addresses = {denied_address};
  const auto name = std::get<HostName>(*canonical_host(origin_name(number)));
  names_->add(name, {.ipv4 = resolve::TableResolver::half(addresses, std::chrono::seconds(60)), .ipv6 = {}});
  engine_->connect_from(client_address);
  conversations_.back()->client.begin();
  engine_->connect_from(std::nullopt);
}

bool Town::everybody_done() const {
  return std::ranges::all_of(conversations_, [](const auto& conversation) { return conversation->client.done(); });
}

void Town::run() {
  // Longer than every timer of a conversation together; a simulated minute costs nothing.
  for (int minute = 0; minute < 20 && !everybody_done(); ++minute) engine_->run_for(std::chrono::minutes(1));
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (!conversations_[i]->client.done()) never_ended_ += " " + std::to_string(i) + conversations_[i]->client.state();
  }
  if (engine_->spun()) never_ended_ += " (something completes and waits again for ever)";
  traces_ = worker_->traces();
  for (const auto& conversation : conversations_) {
    conversation->client.close();
    conversation->origin.close_all();
  }
  engine_->run_for(std::chrono::seconds(1));
  worker_->request_stop();
  for (int i = 0; i < 10; ++i) engine_->run_for(std::chrono::minutes(1));
  worker_.reset();
  engine::Operation closed;
  struct Nobody {
    void on_closed(engine::Status) {}
  } nobody;
  closed.bind<&Nobody::on_closed>(&nobody);
  resolver_->close(closed);
  engine_->run_for(std::chrono::minutes(1));
  resolver_.reset();
  names_.reset();
  if (engine_->open_sockets() != 0 || engine_->open_pipes() != 0 || engine_->pending_timers() != 0) {
    leak_ = "left open: " + std::to_string(engine_->open_sockets()) + " sockets, " +
            std::to_string(engine_->open_pipes()) + " pipes, " + std::to_string(engine_->pending_timers()) + " timers";
  }
}

// ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────────────

std::optional<std::string> Town::complaint() const {
  if (!never_ended_.empty()) return "I10: conversations never ended:" + never_ended_;
  if (leak_) return "I5: " + *leak_;
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    if (const auto found = complaint_about(*conversations_[i]))
      return "conversation " + std::to_string(i) + ": " + *found;
  }
  return complaint_about_records();
}

std::optional<std::string> Town::complaint_about(const Conversation& conversation) const {
  const Script& script = conversation.script;
  const Client& client = conversation.client;
  const Origin& origin = conversation.origin;
  const int expected = expected_reply(script.errand);
  if (!is_prefix(client.payload(), script.down)) return "I1, I7: the client received what the origin did not send";
  if (!is_prefix(origin.seen().octets, script.up)) return "I1: the origin received what the client did not send";
  if (origin.visited() && expected != 0) return "I2, I3: an origin was reached that must not be";
  if (!undisturbed_) return std::nullopt;
  if (client.reply() != expected) {
    return "reply " + std::to_string(client.reply()) + " instead of " + std::to_string(expected);
  }
  if (expected != 0 || script.client_resets || script.origin_resets) return std::nullopt;
  if (client.payload() != script.down) return "I1: octets for the client are missing";
  if (origin.seen().octets != script.up) return "I1: octets for the origin are missing";
  if (!client.seen().fin || !origin.seen().fin) return "I8: a FIN did not travel";
  if (client.seen().failed || origin.seen().failed) return "I8: an orderly end became a reset";
  return std::nullopt;
}

std::optional<std::string> Town::complaint_about_records() const {
  std::map<std::uint64_t, std::pair<int, int>> sessions;  // starts, ends
  std::uint64_t up = 0;
  std::uint64_t down = 0;
  for (const Ledger::Entry& entry : ledger_.entries()) {
    if (entry.event == observe::Event::session_start) ++sessions[entry.session].first;
    if (entry.event == observe::Event::session_end) ++sessions[entry.session].second;
    if (entry.event == observe::Event::session_end) {
      up += entry.bytes_up;
      down += entry.bytes_down;
    }
    if (entry.address && entry.address->address != origin_address) return "I3: dialled " + entry.address->to_string();
  }
  for (const auto& [session, counts] : sessions) {
    if (counts != std::pair(1, 1)) return "I6: a session without exactly one start and one end";
  }
  if (!undisturbed_) return std::nullopt;
  std::uint64_t sent_up = 0;
  std::uint64_t sent_down = 0;
  bool exact = true;
  for (const auto& conversation : conversations_) {
    const Script& script = conversation->script;
    if (expected_reply(script.errand) != 0) continue;
    exact = exact && !script.client_resets && !script.origin_resets;
    sent_up += script.up.size();
    sent_down += script.down.size();
  }
  if (exact && (up != sent_up || down != sent_down)) return "I6: the records' octets are not what was sent";
  return std::nullopt;
}

}  // namespace stile::sim_test
