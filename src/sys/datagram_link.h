// A datagram socket whose peer is one relay, together with the streams that keep its association alive (RFC 1928
// section 7: it ends with the connection that asked for it), behind one descriptor to wait for. Never blocks, but in
// `wait`; never raises SIGPIPE. Not for a server, whose engine holds such sockets. Threading: one thread at a time.
// Tested in datagram_link_test.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"
#include "sys/unique_fd.h"

namespace stile::sys {

class DatagramLink {
 public:
  /// To a relay, from an address of this host of the same family, or from whichever the system chooses.
  [[nodiscard]] static Result<DatagramLink> create(const Endpoint& relay, const std::optional<Address>& from) noexcept;
  /// Takes a stream, with whose end the link has ended.
  [[nodiscard]] Result<void> keep(UniqueFd stream);

  /// Readable where a datagram waits or a stream said something, its end above all.
  [[nodiscard]] int descriptor() const noexcept { return watch_.get(); }
  /// The datagram socket alone.
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  /// would_block: the system has no room for it at the moment.
  [[nodiscard]] Result<void> send(ConstBytes datagram) noexcept;
  /// The octets of one; what does not fit is lost. would_block: none waits. An ICMP message about one that was sent is
  /// no error of the link's, and passed over.
  [[nodiscard]] Result<std::size_t> receive(MutableBytes into) noexcept;
  /// One of the streams has. What they say is read and dropped.
  [[nodiscard]] bool ended() noexcept;
  /// Until `descriptor` is readable; false where that took longer.
  [[nodiscard]] Result<bool> wait(std::optional<Duration> longest) const noexcept;

 private:
  DatagramLink(UniqueFd socket, UniqueFd watch) noexcept : socket_(std::move(socket)), watch_(std::move(watch)) {}

  UniqueFd socket_;
  UniqueFd watch_;
  std::vector<UniqueFd> streams_;
  bool ended_ = false;
};

}  // namespace stile::sys
