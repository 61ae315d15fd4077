// What each proxy protocol has words for. Pure; any thread. Tested in proxy_command_test.cc.
#pragma once

#include "wire/proxy_url.h"
#include "wire/socks5.h"

namespace stile::wire {

/// Whether a proxy can be asked for that, which does not say that every proxy grants it: SOCKS4 knows three commands,
/// HTTP and the PROXY header one.
[[nodiscard]] constexpr bool has_command(ProxyProtocol protocol, Command command) noexcept {
  switch (protocol) {
    case ProxyProtocol::socks5:
      return true;
    case ProxyProtocol::socks4:
      return command == Command::connect || command == Command::bind || command == Command::resolve;
    case ProxyProtocol::http:
    case ProxyProtocol::proxy_protocol:
      break;
  }
  return command == Command::connect;
}

}  // namespace stile::wire
