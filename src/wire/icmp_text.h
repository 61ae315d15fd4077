// The lines that a server streams behind its reply to PING and TRACEROUTE, one an event, ASCII, each ended by CR LF:
// encoder and decoder. The lines are Stile's own (protocol reference, section 9.2); that they are lines is NEC's.
//
//   PING <t> (<a>) 56 data bytes
//   64 bytes from <a>: icmp_seq=<n> ttl=<k> time=<ms> ms
//   icmp_seq=<n> timeout
//   icmp_seq=<n> from <a>: net unreachable | host unreachable | admin prohibited | ttl expired
//   --- <t> ping statistics ---
//   <n> sent, <n> received, <x.x>% loss, time <whole ms> ms
//   rtt min/avg/max/mdev = <ms>/<ms>/<ms>/<ms> ms
//   traceroute to <t> (<a>), <n> hops max, 60 byte packets
//   <hop, width 2>  <name or a> (<a>)  <ms> ms  <ms> ms  <ms> ms      a lost probe: *; another answerer is named again
//   trace complete: reached | hop limit | unreachable | ended
//
// <t> is the target, <a> an address, <ms> has three decimals. Behind a time, a mark (!N !H !P !X); behind that or an
// event, in verbose runs, " [type/code]" of the ICMP message.
// Refuses: every spelling but the encoder's own. What a hostile server writes never reaches a terminal as it came.
// Threading: values and pure functions. Tested in icmp_text_test.cc against tests/vectors/icmp.txt and a naive oracle;
// fuzzed in icmp_text_fuzz.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "wire/parse.h"

namespace stile::wire {

/// Times on the wire have this resolution; 0 to less than 1,000,000 s.
using IcmpTime = std::chrono::microseconds;

struct IcmpDetail {
  std::uint8_t type = 0;
  std::uint8_t code = 0;

  friend bool operator==(const IcmpDetail&, const IcmpDetail&) = default;
};

struct PingStart {
  Host target = Address{};
  Address address;

  friend bool operator==(const PingStart&, const PingStart&) = default;
};

struct PingAnswer {
  Address from;
  std::uint32_t sequence = 0;
  std::uint8_t ttl = 0;
  IcmpTime time{0};
  std::optional<IcmpDetail> detail;

  friend bool operator==(const PingAnswer&, const PingAnswer&) = default;
};

struct PingTimeout {
  std::uint32_t sequence = 0;

  friend bool operator==(const PingTimeout&, const PingTimeout&) = default;
};

enum class PingTrouble : std::uint8_t { net_unreachable, host_unreachable, admin_prohibited, ttl_expired };

struct PingFailure {
  std::uint32_t sequence = 0;
  Address from;
  PingTrouble trouble = PingTrouble::net_unreachable;
  std::optional<IcmpDetail> detail;

  friend bool operator==(const PingFailure&, const PingFailure&) = default;
};

/// The first of the two or three lines that end a run.
struct PingTitle {
  Host target = Address{};

  friend bool operator==(const PingTitle&, const PingTitle&) = default;
};

struct PingCounts {
  std::uint32_t sent = 0;
  std::uint32_t received = 0;  // at most as many
  std::chrono::milliseconds elapsed{0};

  friend bool operator==(const PingCounts&, const PingCounts&) = default;
};

/// Only when something was received.
struct PingTimes {
  IcmpTime shortest{0};
  IcmpTime mean{0};
  IcmpTime longest{0};
  IcmpTime deviation{0};

  friend bool operator==(const PingTimes&, const PingTimes&) = default;
};

struct TraceStart {
  Host target = Address{};
  Address address;
  std::uint8_t hops_max = 30;

  friend bool operator==(const TraceStart&, const TraceStart&) = default;
};

enum class TraceMark : std::uint8_t { none, network, host, protocol, prohibited };

struct TraceProbe {
  Address from;
  std::optional<HostName> name;
  IcmpTime time{0};
  TraceMark mark = TraceMark::none;
  std::optional<IcmpDetail> detail;

  friend bool operator==(const TraceProbe&, const TraceProbe&) = default;
};

struct TraceHop {
  std::uint8_t hop = 1;
  std::vector<std::optional<TraceProbe>> probes;  // 1 to limits::trace_probes_per_hop; absent: lost

  friend bool operator==(const TraceHop&, const TraceHop&) = default;
};

enum class TraceOutcome : std::uint8_t { reached, hop_limit, unreachable, ended };

struct TraceEnd {
  TraceOutcome outcome = TraceOutcome::ended;

  friend bool operator==(const TraceEnd&, const TraceEnd&) = default;
};

using IcmpLine = std::variant<PingStart, PingAnswer, PingTimeout, PingFailure, PingTitle, PingCounts, PingTimes,
                              TraceStart, TraceHop, TraceEnd>;

/// With its CR LF. The ranges above are asserted.
[[nodiscard]] std::string encode_icmp_line(const IcmpLine& line);

/// As a client reads it. Malformed: ping_line, at the LF or where the line exceeds limits::icmp_line_octets_max.
[[nodiscard]] ParseResult<IcmpLine> decode_icmp_line(ConstBytes input);

}  // namespace stile::wire
