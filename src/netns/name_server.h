// The DNS server of a private network: questions by datagrams and by TCP, to whichever address, answered at once
// (name_answers.h). Bounded; a stream that asks nothing for a while is closed.
// Threading: one engine's thread. Tested in tests/e2e/run_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "resolve/name_answers.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class NameServer {
 public:
  /// Both outlive it.
  NameServer(engine::EpollEngine& engine, resolve::NameAnswers& answers);
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  /// After `stop`, with its completions run.
  ~NameServer();

  /// sys::open_addressed_datagrams.
  void serve_datagrams(sys::UniqueFd socket);
  /// A listener.
  void serve_streams(sys::UniqueFd listener);
  void stop() noexcept;

 private:
  class Datagrams;
  class Listener;
  class Stream;

  void ended(const Stream& stream) noexcept;

  engine::EpollEngine& engine_;
  resolve::NameAnswers& answers_;
  std::vector<std::unique_ptr<Datagrams>> datagrams_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace stile::netns
