// A proxy, or a group of them that stand in for each other, through which rules send connections (`via`), as
// configured. A value; pure. Tested in upstream_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/egress.h"
#include "base/limits.h"
#include "base/time.h"
#include "wire/proxy_url.h"

namespace stile::config {

/// Which of the servers that are alive is the one for a new session.
enum class Pick : std::uint8_t {
  first_alive,     // in the order in which they are written
  round_robin,     // one after the other
  least_latency,   // the one that answers fastest
  least_sessions,  // the one with the fewest of our sessions
  hash_source,     // the same one for the same client address,
  hash_user,       // user,
  hash_target,     // or target
};

/// In the order of Pick.
inline constexpr std::array<std::string_view, 7> pick_words{
    "first-alive", "round-robin", "least-latency", "least-sessions", "hash-source", "hash-user", "hash-target"};

/// What proxies are called by Kerberos: what curl and Dante say, against section 3 of RFC 1961.
inline constexpr std::string_view gss_service_default = "rcmd";

struct Upstream {
  std::string name;
  std::vector<wire::ProxyUrl> servers;  // without passwords; all of them take names, or none does
  Pick pick = Pick::first_alive;
  std::string password_file;  // files as the configuration names them; empty: none
  std::string ca;
  std::string certificate;
  std::string key;
  std::string keytab;     // for servers with GSSAPI: whose keys get us tickets; empty: those of Kerberos' clients
  std::string principal;  // as whom; empty: the keytab's first
  std::string gss_service{gss_service_default};
  bool gss_integrity_only = false;  // level 1 of RFC 1961 is asked for, not 2
  bool clear_password = false;      // it may cross a network in clear
  bool pipelined = false;           // SOCKS5: all of a conversation is sent at once
  bool announces = false;           // a PROXY header with user and session comes first
  std::vector<Cidr> relays;         // where its UDP relays may be, besides its own address
  bool fast_open = false;           // what is sent first goes with the SYN
  EgressSettings egress;            // where connections to the servers leave this host, the mark excepted
  std::uint32_t mark = 0;           // 0: none
  Duration timeout = limits::upstream_greeting;
  Duration probe = Duration::zero();  // zero: a server is known by its sessions only
  std::uint32_t failures = limits::upstream_failures_to_down;
  Duration retry = limits::upstream_down_first;
  Duration slow_start = limits::upstream_slow_start;

  friend bool operator==(const Upstream&, const Upstream&) = default;
  [[nodiscard]] bool takes_names() const noexcept { return !servers.empty() && servers.front().resolves_names; }
};

}  // namespace stile::config
