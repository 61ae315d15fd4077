// A town in the simulation: one server, clients that talk to it, origins that they want to reach. Everything follows
// from one seed. The clients and origins are the test's own actors: they speak through the same engine, as bystanders.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "observe/counters.h"
#include "observe/record.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "server/worker.h"

namespace stile::sim_test {

/// Where a client wants to go, and what must come of it when nothing else goes wrong.
enum class Errand : std::uint8_t {
  address,      // an origin by its address
  name,         // by its name
  dead_first,   // by a name whose first address never answers
  refused,      // nobody listens there
  silent,       // no answer at all
  denied,       // the policy forbids the address
  denied_name,  // a name that resolves into a forbidden range
  unknown_name,
  malformed,   // a request that no server could serve
  unfinished,  // the client stops in the middle of its request
};
inline constexpr int errand_count = static_cast<int>(Errand::unfinished) + 1;

/// One conversation, as its script says.
struct Script {
  Errand errand = Errand::address;
  std::string up;                // client to origin
  std::string down;              // origin to client
  std::size_t optimistic = 0;    // octets of `up` sent behind the request at once
  std::size_t segment = 65536;   // the client writes at most this much at a time
  Duration pause{};              // between the client's segments of its handshake
  bool client_fin_first = true;  // who closes its direction without waiting for the other
  bool client_resets = false;    // in the middle
  bool origin_resets = false;
  bool slow_client = false;  // reads nothing for two seconds
  bool slow_origin = false;
};

[[nodiscard]] Script random_script(engine::Prng& prng);

/// What one side saw.
struct Seen {
  std::string octets;
  bool fin = false;
  bool failed = false;
};

class Client;
class Origin;

/// Collects what the server records, as plain values.
class Ledger final : public server::Reporter {
 public:
  struct Entry {
    observe::Event event;
    std::uint64_t session;
    Reason reason;
    std::uint64_t bytes_up;
    std::uint64_t bytes_down;
    std::optional<Endpoint> address;
  };
  void report(const observe::Record& record) noexcept override {
    entries_.push_back({record.event, record.session, record.reason, record.bytes_up.value_or(0),
                        record.bytes_down.value_or(0), record.address});
  }
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  std::vector<Entry> entries_;
};

class Town {
 public:
  Town(std::uint64_t seed, const engine::SimFaults& faults);
  ~Town();
  Town(const Town&) = delete;
  Town& operator=(const Town&) = delete;

  void add(const Script& script);
  /// Runs every script to its end, stops the server and lets everything come to rest.
  void run();
  /// Nothing but the scripts themselves went wrong: no injected failure, no random reset.
  void expect_undisturbed() noexcept { undisturbed_ = true; }
  /// The first thing that is not as it must be, or nothing.
  [[nodiscard]] std::optional<std::string> complaint() const;
  [[nodiscard]] engine::SimEngine& engine() noexcept { return *engine_; }
  [[nodiscard]] std::string traces() const { return traces_; }

  /// The server's own endpoint.
  [[nodiscard]] static Endpoint server_endpoint();

 private:
  friend class Client;

  struct Conversation;

  [[nodiscard]] std::optional<std::string> complaint_about(const Conversation& conversation) const;
  [[nodiscard]] std::optional<std::string> complaint_about_records() const;
  [[nodiscard]] bool everybody_done() const;

  std::unique_ptr<engine::SimEngine> engine_;
  std::unique_ptr<resolve::TableResolver> names_;
  std::unique_ptr<resolve::CachingResolver> resolver_;
  observe::Counters counters_;
  Ledger ledger_;
  std::unique_ptr<server::Worker> worker_;
  std::vector<std::unique_ptr<Conversation>> conversations_;
  std::string traces_;
  bool undisturbed_ = false;
  std::string never_ended_;
  std::optional<std::string> leak_;
};

}  // namespace stile::sim_test
