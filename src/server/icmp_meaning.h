// What an ICMP error says about a probe, in the words of PING and TRACEROUTE: one table of types and codes (RFC 792,
// RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7, RFC 4443 section 3). Pure; tested in icmp_meaning_test.cc.
#pragma once

#include <optional>

#include "engine/engine.h"
#include "wire/icmp_text.h"

namespace stile::server {

struct IcmpMeaning {
  wire::PingTrouble trouble = wire::PingTrouble::host_unreachable;
  wire::TraceMark mark = wire::TraceMark::host;  // none: a router at which the probe's hops ended

  friend bool operator==(const IcmpMeaning&, const IcmpMeaning&) = default;
};

/// Absent for a message that is no error of delivery.
[[nodiscard]] std::optional<IcmpMeaning> meaning_of(const engine::IcmpReport& report) noexcept;

/// The same of a refusal by this host itself; absent where it says nothing about the way (no buffers, …).
[[nodiscard]] std::optional<IcmpMeaning> meaning_of(const Error& error) noexcept;

}  // namespace stile::server
