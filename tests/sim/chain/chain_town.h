// A chain of five whole servers in the simulation, each of which goes through the next, and the clients and origins at
// its ends. Everything follows from one seed: who speaks what with whom (path.h), what goes wrong, and when. Clients
// and origins are those of the single server's town. Threading: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "sim/chain/host.h"
#include "sim/chain/path.h"
#include "sim/conversation.h"
#include "sim/node.h"

namespace stile::sim_test {

class ChainTown {
 public:
  /// `undisturbed`: nothing is drawn that could end a session or hold it up for long.
  ChainTown(std::uint64_t seed, const engine::SimFaults& faults, bool undisturbed);
  ~ChainTown() = default;
  ChainTown(const ChainTown&) = delete;
  ChainTown& operator=(const ChainTown&) = delete;

  /// One more conversation, of a kind drawn at random or of the one `only` names.
  void add_random(engine::Prng& prng, std::string_view only = {});
  /// Runs every conversation to its end while things go wrong, stops the servers and lets everything come to rest.
  void run();
  /// The first thing that is not as it must be, or nothing.
  [[nodiscard]] std::optional<std::string> complaint() const;
  [[nodiscard]] engine::SimEngine& engine() noexcept { return engine_; }
  [[nodiscard]] std::string traces() const { return traces_; }

 private:
  struct Server {
    std::size_t place = 0;
    bool twin = false;
    std::unique_ptr<Host> host;
    std::unique_ptr<Node> node;
    bool denies = false;  // by a reload, everything
    bool ends = false;    // on the way
  };
  /// Something that happens.
  struct Event {
    std::string what;
    std::function<void()> act;
  };

  void build();
  void plan_harmless(engine::Prng& prng);
  void plan_mishap(engine::Prng& prng);
  void plan_end(engine::Prng& prng, Server& server, Duration at);
  void plan(Duration at, std::string what, std::function<void()> act);
  [[nodiscard]] Server& any_server(engine::Prng& prng, std::size_t first_place = 0);
  void begin_again(Server& server);
  void reload(Server& server, bool denies, bool astray);

  [[nodiscard]] bool everybody_done() const;
  void stop_servers();
  void close_names();

  [[nodiscard]] std::vector<Ledger::Entry> entries_at(std::size_t place) const;
  [[nodiscard]] std::optional<std::string> complaint_about_place(std::size_t place) const;
  [[nodiscard]] std::optional<std::string> complaint_about_reasons(std::size_t place) const;
  [[nodiscard]] std::optional<std::string> complaint_about_records(const Server& server) const;
  [[nodiscard]] std::optional<std::string> complaint_about_announced(std::size_t place) const;
  [[nodiscard]] std::optional<std::string> complaint_about_totals(std::size_t place) const;
  [[nodiscard]] std::optional<std::string> complaint_about_names() const;

  engine::SimEngine engine_;
  bool undisturbed_;
  Path path_;
  std::vector<Server> servers_;  // in the order of their places; the stand-in last
  std::vector<std::unique_ptr<Conversation>> conversations_;
  std::multimap<Duration, Event> events_;  // by the time since the beginning
  Instant began_;
  std::string traces_;
  std::string never_ended_;
  std::string lived_on_;
  std::optional<std::string> leak_;
};

}  // namespace stile::sim_test
