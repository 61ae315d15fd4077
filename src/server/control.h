// What the outside may ask of a running server; admin/ sees nothing else of it. Any thread; calls block until they are
// answered.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/users.h"
#include "base/time.h"
#include "config/config.h"
#include "protect/tls.h"
#include "route/upstreams.h"

namespace stile::server {

/// A new configuration is in force, for everybody at once.
struct Reloaded {
  std::uint64_t generation = 0;    // 0: that of the start
  std::size_t ended = 0;           // sessions that it does not allow
  std::size_t kept = 0;            // sessions that live on
  std::vector<std::string> notes;  // what takes effect only at the next start
};

/// Nothing was done.
struct Refusal {
  bool bad_configuration = false;     // else the server could not do it
  std::vector<std::string> messages;  // never empty; "FILE:LINE:COLUMN: message" where there is a place
};

/// What a worker takes a server of an upstream for.
enum class ServerState : std::uint8_t {
  up,
  slow_start,  // it came back lately, and gets less than its share
  untried,     // nothing was heard of it yet, so it counts as up
  half_open,   // its time down is over; one trial decides
  down,
};
/// In the order of ServerState.
inline constexpr std::array<std::string_view, 5> server_state_words{"up", "slow-start", "untried", "half-open", "down"};

/// A server of an upstream: sums over the workers that answered, each of which learns for itself.
struct UpstreamServer {
  struct Failure {
    std::string reason;  // a token of records
    std::string why;     // part of a sentence
    Duration ago{};
  };

  std::string upstream;
  std::string server;                                             // its URL, without a login
  std::array<std::uint64_t, server_state_words.size()> states{};  // the workers that take it for that
  std::uint64_t sessions = 0;                                     // at present
  std::uint64_t attempts = 0;                                     // since the start, probes included; likewise:
  std::uint64_t opened = 0;
  std::uint64_t failed = 0;  // by the server's fault
  std::uint64_t falls = 0;   // times that it went down, worker by worker
  // Of a handshake with it, as each worker smooths it: the least and the most of them. Absent: none was completed.
  std::optional<Duration> latency_least;
  std::optional<Duration> latency_most;
  std::optional<Duration> down;         // the longest time that a worker has taken it for down or half-open, until now
  std::optional<Failure> last_failure;  // on any worker
};

/// `workers` were asked; one that is stuck, or has ended, does not answer.
struct UpstreamReport {
  std::uint64_t workers = 0;
  std::uint64_t answered = 0;
  std::vector<UpstreamServer> servers;  // in the order of the configuration
};

/// A number and what it counts.
struct NamedCount {
  std::string name;
  std::uint64_t count = 0;

  friend bool operator==(const NamedCount&, const NamedCount&) = default;
};

/// What the servers of one [[resolver]] were asked, one record type of a name a question.
struct ResolverCounts {
  std::vector<std::string> suffixes;  // none: every other name
  std::vector<std::string> servers;   // none: those of resolv.conf
  std::uint64_t questions = 0;
  std::uint64_t failures = 0;  // that brought no answer
  std::uint64_t silences = 0;  // of these, because the time ran out

  friend bool operator==(const ResolverCounts&, const ResolverCounts&) = default;
};

/// Sums over all workers since the start; `resolvers` over those that answered.
struct CounterReport {
  std::uint64_t workers = 0;
  std::uint64_t answered = 0;
  std::vector<NamedCount> counters;   // of observe/counters.h, in its order
  std::vector<NamedCount> ended;      // sessions by the reason for their end; those reasons that there were
  std::vector<NamedCount> udp_drops;  // datagrams by the reason for dropping them; likewise
  std::vector<ResolverCounts> resolvers;
};

class Control {
 public:
  virtual ~Control() = default;
  [[nodiscard]] virtual std::expected<Reloaded, Refusal> reload() = 0;
  // Wait for each worker's next turn, but for none that is stuck.
  [[nodiscard]] virtual std::expected<UpstreamReport, Refusal> upstreams() = 0;
  [[nodiscard]] virtual std::expected<CounterReport, Refusal> counters() = 0;
};

/// Something that asks things of a running server: opened while the server may still open anything, at work from
/// `begin` on until it ends.
class Attendant {
 public:
  virtual ~Attendant() = default;
  virtual void begin() = 0;
};

/// What each listener that speaks TLS needs for it, by the files that it names.
using TlsServers = std::map<config::Tls, std::shared_ptr<const protect::TlsServer>>;

/// All that a server is told, at the start and with each reload.
struct Configuration {
  config::Config config;
  std::shared_ptr<const auth::Users> users;  // those of the file that it names; absent where it names none
  TlsServers tls;
  route::UpstreamPlans upstreams;
  std::vector<std::string> files;  // all that was read for it
};

/// Reads the configuration again, as it was read for the start: file, environment and flags, the users and the
/// certificates, checked in every way.
using LoadConfiguration = std::function<std::expected<Configuration, std::vector<std::string>>()>;

}  // namespace stile::server
