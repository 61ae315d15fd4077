// The thread that carries the octets of a client's protected streams between their network socket and one end of a
// connection within this host, whose other end its caller holds as an ordinary descriptor (relay/tcp_relay.h: FIN as
// FIN, RST as RST, a stream that was cut short as RST). It begins with the first stream and ends with the last, the
// client notwithstanding; signals are for other threads. When the process ends in order it is stopped before the
// libraries that it uses are taken down, and what it had not carried yet is lost. Threading: `carry` from one thread at
// a time. Tested by tests/e2e/libstile_test.py.
#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "engine/epoll/epoll_engine.h"
#include "protect/transform.h"
#include "relay/tcp_relay.h"
#include "sys/unique_fd.h"

namespace stile::client {

class Carrier {
 public:
  [[nodiscard]] static std::shared_ptr<Carrier> create();
  virtual ~Carrier() = default;
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  /// A blocking descriptor for the plain octets of what `network`, protected by `transform`, carries.
  [[nodiscard]] virtual Result<sys::UniqueFd> carry(sys::UniqueFd network,
                                                    std::unique_ptr<protect::Transform> transform) = 0;

 protected:
  Carrier() noexcept = default;
};

}  // namespace stile::client
