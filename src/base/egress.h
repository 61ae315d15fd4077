// Where something leaves this host, as a rule or an upstream has it. A value; pure. Tested in egress_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/interface_name.h"

namespace stile {

struct EgressSettings {
  std::optional<Cidr> from;  // an address of this host; an IPv6 prefix: a random one of it each time
  InterfaceName interface;   // empty: as the system routes
  std::uint32_t mark = 0;    // for the system's routing (`ip rule fwmark`); 0: none

  /// An address or an interface.
  [[nodiscard]] bool has_place() const noexcept { return from || !interface.empty(); }
  [[nodiscard]] bool is_set() const noexcept { return has_place() || mark != 0; }
  /// This, and where it says nothing of the place or of the mark, what `other` says of that.
  [[nodiscard]] EgressSettings or_else(const EgressSettings& other) const noexcept {
    EgressSettings chosen = has_place() ? *this : other;
    chosen.mark = mark != 0 ? mark : other.mark;
    return chosen;
  }
  /// The place, as it is written: "192.0.2.7", "eth1", "192.0.2.7%eth1" (RFC 4007, section 11.2).
  [[nodiscard]] std::string place_text() const {
    std::string text;
    if (from) text = *from == Cidr::host(from->base) ? from->base.to_string() : from->to_string();
    if (!interface.empty()) text += (text.empty() ? "" : "%") + std::string(interface.text());
    return text;
  }

  friend bool operator==(const EgressSettings&, const EgressSettings&) = default;
};

}  // namespace stile
