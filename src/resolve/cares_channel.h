// One DNS server, spoken to by c-ares inside the loop: its sockets are watched by the engine, its clock is an engine
// timer. Which server is asked when is cares_resolver.h's business, so a channel asks once and reports what it heard.
// Threading: one engine's thread. Refuses: search lists, retries, judging a response code.
// Tested through cares_resolver_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/time.h"
#include "engine/epoll/epoll_engine.h"

struct ares_channeldata;

namespace stile::resolve {

/// Where a DNS server listens.
using DnsServer = Endpoint;

/// By what a server is asked. A datagram whose answer does not fit is followed by a connection (RFC 7766).
enum class Transport : std::uint8_t { udp, tcp };

/// c-ares' status as an Error: no_memory, or other.
[[nodiscard]] Error cares_error(int status) noexcept;

/// What a question asks for: RFC 1035 section 3.2.2, RFC 3596 section 2.1.
enum class RecordType : std::uint16_t { a = 1, ptr = 12, aaaa = 28 };

class CaresChannel {
 public:
  /// As ares_callback.
  using Callback = void (*)(void* argument, int status, int timeouts, unsigned char* message, int length);

  /// `engine` outlives the channel. `patience` is how long a question waits for its answer.
  [[nodiscard]] static Result<std::unique_ptr<CaresChannel>> create(engine::EpollEngine& engine,
                                                                    const DnsServer& server, Transport transport,
                                                                    Duration patience);
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;
  /// Only after `close` has completed, or when nothing was ever asked (asserted).
  ~CaresChannel();

  /// Exactly one call of `callback`, possibly before this returns.
  void ask(const HostName& name, RecordType type, Callback callback, void* argument);
  /// Calls back every open question (ARES_EDESTRUCTION); `closed` is posted once nothing is pending in the engine.
  void close(engine::Operation& closed) noexcept;

 private:
  class Watcher;

  explicit CaresChannel(engine::EpollEngine& engine);

  void on_socket_state(int fd, bool readable, bool writable);
  void on_ready(Watcher& watcher, engine::Status status);
  void on_timer(engine::Status status);
  /// Brings watchers and timer in line with what c-ares waits for.
  void follow();
  void post_closed_if_quiet();

  engine::EpollEngine& engine_;
  ares_channeldata* channel_ = nullptr;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  engine::Timer timer_;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
