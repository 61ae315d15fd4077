// What stands behind the classic interface (include/stile/socks.h): the proxies of the process, a client for each
// thread, and which descriptors are no ordinary ones. A descriptor that the program closed, or opened anew, is known by
// the socket that it is for, and forgotten with the next one that is remembered. Threading: any. Of what a parent
// remembered, a child that was forked knows connections alone. Tested by tests/e2e/libstile_programs_test.py.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/address.h"
#include "client/client.h"
#include "client/datagrams.h"
#include "client/plan.h"
#include "client/stand_ins.h"
#include "sys/handed_socket.h"

namespace stile::client {

class Classic {
 public:
  /// The one of this process, which is never destroyed.
  [[nodiscard]] static Classic& instance();

  /// What a descriptor is.
  struct Connected {
    Target target;
  };
  struct Bound {
    Bound() = default;
    Bound(const Bound&) = delete;
    Bound& operator=(const Bound&) = delete;
    ~Bound();

    std::mutex mutex;  // of one call at a time
    std::unique_ptr<Client> client;
    Listening* listening = nullptr;
    AcceptOperation* accepting = nullptr;  // from Rlisten on
  };
  struct Associated {
    std::mutex mutex;  // of one call at a time, but for waiting
    std::unique_ptr<Datagrams> datagrams;
  };
  struct Entry {
    sys::SocketIdentity identity;
    std::optional<Connected> connected;
    std::shared_ptr<Bound> bound;
    std::shared_ptr<Associated> associated;
  };
  [[nodiscard]] std::optional<Entry> find(int fd) const;
  void remember(int fd, Entry entry);

  [[nodiscard]] std::expected<std::shared_ptr<const Plan>, Failure> plan();
  /// The calling thread's.
  [[nodiscard]] std::expected<Client*, Failure> client();
  /// Where an address leads, by a name that it stands for.
  [[nodiscard]] std::expected<Target, Failure> target_of(const sockaddr* address, socklen_t length) const;
  [[nodiscard]] StandIns& stand_ins() noexcept { return stand_ins_; }

  [[nodiscard]] std::optional<Target> last_target() const;

 private:
  Classic() = default;

  mutable std::mutex mutex_;  // of all but the stand-ins
  std::shared_ptr<const Plan> plan_;
  std::map<int, Entry> entries_;
  std::optional<Target> last_target_;
  StandIns stand_ins_;
};

}  // namespace stile::client
