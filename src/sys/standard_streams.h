// Standard input and output as one stream socket, for who drives sockets. Either may be a file, a pipe, a terminal or a
// socket, and other processes may share it, so that it must not be made non-blocking: a thread for each carries octets
// between it and one end of a pair of sockets. The end of input is the socket's; when nothing more is to be written,
// output is closed, so that whoever reads it sees the end while input goes on.
// Refuses: to take an input that cannot be read for one that has ended. Threading: its threads may be blocked in calls
// that nothing ends, and are left to the end of the process. Everything else belongs to one thread. Tested in
// standard_streams_test.cc, and by tests/e2e/connect_test.py.
#pragma once

#include <cstdint>
#include <memory>

#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

class StandardStreams {
 public:
  enum class State : std::uint8_t { open, ended, failed };

  /// Of these descriptors, which stay the caller's. Nothing is read before `start`.
  [[nodiscard]] static Result<StandardStreams> create(int input, int output);

  /// Once.
  void start();
  /// The other end of the pair, non-blocking. Once.
  [[nodiscard]] UniqueFd take_socket() noexcept;

  /// Ended: all of it is in the socket. Failed: it could not be read.
  [[nodiscard]] State input() const noexcept;
  /// Ended: the socket has ended and all of it was written. Failed: it could not be written.
  [[nodiscard]] State output() const noexcept;
  /// Readable whenever one of the two has changed, until `clear`.
  [[nodiscard]] int changes() const noexcept;
  void clear() noexcept;

 private:
  struct Shared;
  StandardStreams(std::shared_ptr<Shared> shared, UniqueFd outer) noexcept;

  std::shared_ptr<Shared> shared_;  // with the threads
  UniqueFd outer_;
};

}  // namespace stile::sys
