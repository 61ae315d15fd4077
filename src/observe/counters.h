// What the server counts. Each worker owns one Counters and alone writes it; anybody may read it at any time, and sums
// over the workers (base/counter.h). Labels come from closed sets (threat TL3). Tested in counters_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/counter.h"
#include "base/reason.h"
#include "base/udp_drop.h"

namespace stile::observe {

/// One worker's numbers, on cache lines of their own.
struct alignas(64) Counters {
  Counter accepted;
  Counter accept_paused;
  Counter handshakes_open;  // gauge
  Counter handshake_timeout;
  Counter evicted;
  Counter auth_busy;
  Counter auth_unavailable;
  Counter logins_remembered;
  Counter penalised;
  Counter rsv_nonzero;
  Counter udp_socket_errors;
  Counter sessions;
  Counter sessions_open;  // gauge
  Counter denied;
  Counter pac_served;
  Counter accounting_lost;
  Counter bytes_up;
  Counter bytes_down;
  Counter dns_cache_hits;
  Counter dns_cache_negative_hits;
  Counter dns_cache_misses;
  Counter dns_cache_entries;  // gauge
  Counter dns_cache_evicted;
  Counter dns_joined;
  Counter dns_busy;
  Counter dns_questions;
  Counter dns_failures;
  std::array<Counter, reason_count> ended;        // by why: refused, failed, or how the relay ended
  std::array<Counter, udp_drop_count> udp_drops;  // datagrams, by why

  void end(Reason reason) noexcept { ended[static_cast<std::size_t>(reason)].add(); }
  void drop(UdpDrop reason, std::uint64_t datagrams) noexcept {
    udp_drops[static_cast<std::size_t>(reason)].add(datagrams);
  }
};

/// A number for people and for metrics. This table is the one to extend for another counter.
struct CounterInfo {
  std::string_view name;
  std::string_view help;
  bool gauge;
  Counter Counters::* counter;
};

inline constexpr std::array counter_table{
    CounterInfo{"accepted", "connections accepted", false, &Counters::accepted},
    CounterInfo{"accept_paused", "times that accepting paused for lack of descriptors or memory", false,
                &Counters::accept_paused},
    CounterInfo{"handshakes_open", "connections whose request is not complete", true, &Counters::handshakes_open},
    CounterInfo{"handshake_timeout", "connections ended by the handshake deadline", false,
                &Counters::handshake_timeout},
    CounterInfo{"evicted", "half-open connections that made room for another", false, &Counters::evicted},
    CounterInfo{"auth_busy", "logins that were not looked at because too many waited", false, &Counters::auth_busy},
    CounterInfo{"auth_unavailable", "logins that failed because who judges them did not answer, or died", false,
                &Counters::auth_unavailable},
    CounterInfo{"logins_remembered", "logins that needed no hash", false, &Counters::logins_remembered},
    CounterInfo{"penalised", "connections turned away because their source failed too often", false,
                &Counters::penalised},
    CounterInfo{"rsv_nonzero", "requests whose reserved octet was not zero", false, &Counters::rsv_nonzero},
    CounterInfo{"udp_socket_errors", "errors of datagram sockets, ICMP among them, of associations that ended", false,
                &Counters::udp_socket_errors},
    CounterInfo{"sessions", "sessions that began", false, &Counters::sessions},
    CounterInfo{"sessions_open", "sessions that have not ended", true, &Counters::sessions_open},
    CounterInfo{"denied", "requests refused by policy", false, &Counters::denied},
    CounterInfo{"pac_served", "times that /proxy.pac was answered", false, &Counters::pac_served},
    CounterInfo{"accounting_lost", "accounting entries that found no room", false, &Counters::accounting_lost},
    CounterInfo{"bytes_up", "octets from clients to targets", false, &Counters::bytes_up},
    CounterInfo{"bytes_down", "octets from targets to clients", false, &Counters::bytes_down},
    CounterInfo{"dns_cache_hits", "lookups answered from the cache", false, &Counters::dns_cache_hits},
    CounterInfo{"dns_cache_negative_hits", "lookups of what the cache knows not to exist, or to have failed", false,
                &Counters::dns_cache_negative_hits},
    CounterInfo{"dns_cache_misses", "lookups that resolvers were asked for", false, &Counters::dns_cache_misses},
    CounterInfo{"dns_cache_entries", "answers in the cache", true, &Counters::dns_cache_entries},
    CounterInfo{"dns_cache_evicted", "answers that made room for another", false, &Counters::dns_cache_evicted},
    CounterInfo{"dns_joined", "lookups that waited for an answer which was on its way", false, &Counters::dns_joined},
    CounterInfo{"dns_busy", "lookups that failed because too many questions were open", false, &Counters::dns_busy},
    CounterInfo{"dns_questions", "questions sent to resolvers, one a server and record type", false,
                &Counters::dns_questions},
    CounterInfo{"dns_failures", "of these, those that brought no answer: silence, a refusal, a failure", false,
                &Counters::dns_failures},
};

/// The sums over all workers; a snapshot of moving numbers, each of them exact.
struct Totals {
  std::array<std::uint64_t, counter_table.size()> values{};  // in the order of counter_table
  std::array<std::uint64_t, reason_count> ended{};
  std::array<std::uint64_t, udp_drop_count> udp_drops{};

  [[nodiscard]] std::uint64_t value(Counter Counters::* counter) const noexcept {
    for (std::size_t i = 0; i < counter_table.size(); ++i) {
      if (counter_table[i].counter == counter) return values[i];
    }
    return 0;
  }
};

[[nodiscard]] inline Totals sum(std::span<const Counters* const> workers) noexcept {
  Totals totals;
  for (const Counters* worker : workers) {
    for (std::size_t i = 0; i < counter_table.size(); ++i)
      totals.values[i] += (worker->*counter_table[i].counter).value();
    for (std::size_t i = 0; i < totals.ended.size(); ++i) totals.ended[i] += worker->ended[i].value();
    for (std::size_t i = 0; i < totals.udp_drops.size(); ++i) totals.udp_drops[i] += worker->udp_drops[i].value();
  }
  return totals;
}

}  // namespace stile::observe
