// A DNS server's sockets: questions by datagrams and by TCP, whoever answers them (NameSource), at once or later.
// Bounded; a stream asks one question at a time, and one that asks nothing for a while is closed. Threading: one
// engine's thread. Tested in tests/e2e/run_test.py, gateway_test.py and dns_test.py.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/name_answers.h"
#include "sys/unique_fd.h"

namespace stile::server {

/// Who waits for the answer to a question.
class NameAsker {
 public:
  virtual ~NameAsker() = default;
  /// A DNS message; empty: there is none. Nobody may touch the asker behind it.
  virtual void answered(ConstBytes answer) = 0;
};

/// Who answers.
class NameSource {
 public:
  virtual ~NameSource() = default;
  /// A DNS message of somebody at `client`, who called `called`. `asker` is told the answer once, perhaps before this
  /// returns.
  virtual void ask(ConstBytes message, const Address& client, const Address& called, NameAsker& asker) = 0;
  /// It is not told any more. A no-op where nothing is under way for it.
  virtual void forget(NameAsker& asker) noexcept = 0;
};

/// That of clients who know of no proxy: every name has addresses that stand for it, there and then.
class StandInSource final : public NameSource {
 public:
  StandInSource(resolve::StandInNames& names, const std::string& own_name) : answers_(names, own_name) {}
  void ask(ConstBytes message, const Address&, const Address&, NameAsker& asker) override {
    asker.answered(answers_.answer(message));
  }
  void forget(NameAsker&) noexcept override {}

 private:
  resolve::NameAnswers answers_;
};

class NameServer {
 public:
  /// Both outlive it.
  NameServer(engine::EpollEngine& engine, NameSource& source);
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  /// After `stop`, with its completions run.
  ~NameServer();

  /// sys::open_addressed_datagrams. Where questions are diverted to it from another port than its own, they are
  /// answered by `source`, sys::open_packet_source.
  void serve_datagrams(sys::UniqueFd socket, sys::UniqueFd source = {});
  /// A listener.
  void serve_streams(sys::UniqueFd listener);
  void stop() noexcept;

 private:
  class Datagrams;
  class Listener;
  class Stream;

  void ended(const Stream& stream) noexcept;

  engine::EpollEngine& engine_;
  NameSource& source_;
  std::vector<std::unique_ptr<Datagrams>> datagrams_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace stile::server
