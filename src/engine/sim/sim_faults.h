// What a simulated network does wrong, and how its destinations behave. Values; pure. Tested with sim_engine.h.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "base/limits.h"
#include "engine/engine.h"

namespace stile::engine {

/// Probabilities are per call or per event, 0 to 1. The default is a fault-free network with loopback's manners.
struct SimFaults {
  double short_read = 0;             // receive and splice_in give one octet
  double short_write = 0;            // send and splice_out take one octet
  double spurious_ready = 0;         // a wait completes though the socket is not ready
  double late_completion = 0;        // a socket's completion comes up to `late_max` after its cause
  bool shuffle_completions = false;  // sockets that became ready in one turn complete in any order
  double connect_failure = 0;        // a connect is refused, times out or meets an unreachable host
  double reset = 0;                  // a receive or send finds the connection reset, and so does the peer
  double split = 0;                  // a segment arrives in parts
  double reset_overtakes = 0;        // an aborted connection's octets under way are lost
  double udp_drop = 0;               // of datagrams and of answers to echo requests
  double udp_duplicate = 0;          // likewise
  double udp_leftover = 0;           // a call on a datagram socket meets what ICMP about an earlier datagram left, once
  double udp_train = 0.5;            // datagrams that could be received as one train are, where they may
  double udp_refusal = 0;            // a send of datagrams fails for want of buffers or room
  double icmp_forgery = 0;           // somebody guesses at an answer to an echo request

  Duration latency_min = std::chrono::microseconds{50};  // one way; a range lets flows, and datagrams, overtake others
  Duration latency_max = std::chrono::microseconds{50};
  Duration late_max = std::chrono::milliseconds{20};
  Duration connect_timeout = std::chrono::seconds{127};  // Linux with tcp_syn_retries 6

  std::size_t stream_octets_max = 256 * limits::KiB;  // under way and unread, a direction
  std::size_t udp_octets_max = 212'992;               // unread, a socket; more are dropped
  std::size_t pipe_octets_max = limits::MiB;          // the most that open_pipe grants
};

/// How a destination answers.
struct SimBehaviour {
  enum class Answer : std::uint8_t {
    normal,       // as its listeners are
    refused,      // RST to every SYN
    silent,       // nothing, until the kernel gives up; datagrams and echo requests vanish
    icmp,         // the network sends `icmp`, and a connect fails with `error`; datagrams vanish
    local_error,  // this host itself fails the call with `error`
  };

  Answer answer = Answer::normal;
  Duration delay{};  // one way, on top of the network's latency
  Error error{};
  IcmpReport icmp{};

  [[nodiscard]] static SimBehaviour normal(Duration delay = {}) noexcept { return {.delay = delay}; }
  [[nodiscard]] static SimBehaviour refused() noexcept { return {.answer = Answer::refused}; }
  [[nodiscard]] static SimBehaviour silent() noexcept { return {.answer = Answer::silent}; }
  [[nodiscard]] static SimBehaviour local_error(const Error& error) noexcept {
    return {.answer = Answer::local_error, .error = error};
  }
  [[nodiscard]] static SimBehaviour icmp_error(const Error& error, const IcmpReport& icmp) noexcept {
    return {.answer = Answer::icmp, .error = error, .icmp = icmp};
  }
  /// ICMP 3/0, ICMPv6 1/0.
  [[nodiscard]] static SimBehaviour net_unreachable(Family family) noexcept;
  /// ICMP 3/1, ICMPv6 1/3.
  [[nodiscard]] static SimBehaviour host_unreachable(Family family) noexcept;
  /// ICMP 11/0, ICMPv6 3/0.
  [[nodiscard]] static SimBehaviour ttl_exceeded(Family family) noexcept;
};

}  // namespace stile::engine
