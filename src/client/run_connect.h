// A whole `stile connect` of the command line: a connection through a proxy (route/chain.h) or without one (direct.h),
// then a tunnel (relay/tcp_relay.h) between it and the standard streams, each direction to its own end: FIN as FIN, RST
// as a failure. SIGINT and SIGTERM end it at once. Nothing of standard input is read before the proxy has granted.
// Threading: main thread, once a process, for it takes the signals over. Tested in tests/e2e/connect_test.py.
#pragma once

#include "route/chain.h"
#include "session/proxy_failure.h"

namespace stile::client {

struct ConnectResult {
  session::Advice trouble;  // why it did not end in order; `why` is empty where it did
  bool connected = false;   // the trouble came behind the proxy's reply
};

/// Blocks until both directions have ended, or one has failed. nullptr: without a proxy.
[[nodiscard]] ConnectResult run_connect(const route::Hop* proxy, const Target& target);

}  // namespace stile::client
