// The limits of a program in a private network. Tested by their use.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace stile::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t stand_in_names_max = 1U << 16;  // at once; each has an address of its own
inline constexpr std::uint32_t stand_in_ttl_seconds = 60;    // for which a program believes one
inline constexpr std::size_t name_server_batch_max = 64;     // questions answered in one turn
inline constexpr std::size_t name_server_streams_max = 64;   // that ask by TCP, at once
inline constexpr auto name_server_stream_idle = 10s;
inline constexpr std::size_t datagram_flows_max = 1'024;  // sockets that send datagrams
inline constexpr std::size_t datagram_calls_max = 256;    // whom one of them sent to, told apart when they answer
inline constexpr auto datagram_way_pause = 1s;            // behind an association that could not be opened
inline constexpr auto datagram_linger = 500ms;            // from the last datagram to the end of its association
inline constexpr std::size_t ping_runs_max = 64;          // hosts that are pinged at once
inline constexpr std::size_t ping_requests_max = 64;      // of one of them, unanswered
inline constexpr auto ping_idle = 5s;                     // from the last request to the end of the proxy's probes
inline constexpr std::size_t nsswitch_octets_max = 64 * 1024;
inline constexpr auto run_end_quiet = 2s;   // once the command has ended: what moves nothing for so long ends as well,
inline constexpr auto run_end_total = 60s;  // and after so long the rest

static_assert(stand_in_names_max <= (1U << 17) - 256, "198.18.0.0/15 without its first 256 addresses");
static_assert(run_end_quiet < run_end_total);

}  // namespace stile::limits
