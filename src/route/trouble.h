// Why a connection through other proxies came to nothing: what did not work, at which hop, what a client of ours is
// told of it, and the words for people. Threading: values and pure functions. Tested in trouble_test.cc and
// chain_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/reason.h"
#include "session/proxy_failure.h"

namespace stile::route {

/// What did not work.
enum class Obstacle : std::uint8_t {
  none,
  proxy_name,      // the proxy's name leads nowhere: `reason`
  target_name,     // the target's does, where it is resolved here: `reason`
  target_family,   // SOCKS4 cannot carry the target's address
  login_half,      // SOCKS5 or HTTP with a user but no password
  clear_password,  // it would cross the network in clear
  dial,            // the proxy cannot be reached: `reason`
  announcement,    // it was reached, and did not take the PROXY header
  protection,      // it was reached, and TLS came to nothing: `reason`; none: it closed the connection instead
  conversation,    // it was reached, and did not grant: `failure`
  canceled,
};

struct Trouble {
  Obstacle obstacle = Obstacle::none;
  Reason reason = Reason::none;
  session::ProxyFailure failure;
  std::size_t hop = 0;  // at which, counted from 0

  /// The proxy's own word on what it was asked for, and not a fault of the way there.
  [[nodiscard]] bool is_answer() const noexcept {
    return obstacle == Obstacle::conversation && failure.fault == session::ProxyFault::refused;
  }
};

/// Why, and what to do: for "what failed: why (what to do)".
[[nodiscard]] session::Advice explain(const Trouble& trouble);

/// What a client of ours is told where a chain of `hops` came to this: the last proxy's own word on the target as far
/// as there is a code for it (protocol reference, section 4), Reason::upstream_failed for whatever else is in the way
/// but what this host itself lacks.
/// Reason::client_reset: canceled.
[[nodiscard]] Reason reason_of(const Trouble& trouble, std::size_t hops) noexcept;

/// What became of the server at `hop`, in the terms of records: Reason::upstream_failed where it was reached and did
/// not let us through.
[[nodiscard]] Reason cause_of(const Trouble& trouble) noexcept;
/// The same in words, without what to do, as part of a sentence about that server; a proxy in front of it may have
/// said so.
[[nodiscard]] std::string cause_text(const Trouble& trouble, std::size_t hop);

/// The hop that is to blame, so that another server may be tried in its place; absent where that would change nothing.
[[nodiscard]] std::optional<std::size_t> blamed_hop(const Trouble& trouble, std::size_t hops) noexcept;

}  // namespace stile::route
