// Datagrams of programs behind libstile-preload.so. For each socket and whom it sends to there is a door, a port of
// loopback: what the program sends there goes to whom it means (server/datagram_flows.h), and what comes from him
// leaves by the same door, so that the kernel delivers it to a connected socket as well. Questions to DNS, whichever
// server they are for, are answered here. Bounded, and those of strangers by themselves: what comes from more of them
// is dropped. Doors are closed when nothing has passed for long and their socket is gone, or they are a stranger's.
// Threading: one engine's thread. Tested in tests/e2e/preload_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "engine/epoll/epoll_engine.h"
#include "preload/message.h"
#include "resolve/name_answers.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "server/datagram_flows.h"

namespace stile::preload {

class Datagrams final : private server::DatagramEntrance {
 public:
  /// As of server::DatagramFlows.
  Datagrams(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
            resolve::StandInNames& names, resolve::NameAnswers& answers, server::Reporter* reporter);
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  /// After `settle`.
  ~Datagrams() override;

  /// As of Kind::datagram.
  [[nodiscard]] Answer begin(const Endpoint& local, const Endpoint& called);
  /// As of Kind::sender.
  [[nodiscard]] Answer sender(const Endpoint& local, const Endpoint& from) const;

  /// What waits is sent, and then all is closed; the engine is stopped when it is quiet.
  void finish();
  /// Gives up what waits as well.
  void stop() noexcept { flows_.stop(); }
  [[nodiscard]] bool quiet() const noexcept { return flows_.quiet(); }
  /// Once it is quiet: closes what is left. Turns the engine.
  void settle();

 private:
  class Door;
  enum class Opener : std::uint8_t { program, stranger };
  using Doors = std::map<std::pair<Endpoint, Endpoint>, std::unique_ptr<Door>>;  // by socket, and whom it sends to

  [[nodiscard]] std::optional<Target> meant_by(const Endpoint& called) override;
  [[nodiscard]] bool hears_strangers() const noexcept override { return true; }
  void answer(const Endpoint& from, const Endpoint& client, ConstBytes payload) override;
  [[nodiscard]] Result<Door*> door(const Endpoint& local, const Endpoint& called, Opener opener);
  void close(Doors::iterator door) noexcept;
  [[nodiscard]] bool is_taken(const Endpoint& local);
  [[nodiscard]] bool make_room();
  void on_sweep(engine::Status status);

  engine::EpollEngine& engine_;
  resolve::StandInNames& names_;
  resolve::NameAnswers& answers_;
  std::unique_ptr<std::uint8_t[]> room_;  // where datagrams are received
  server::DatagramFlows flows_;
  Doors doors_;
  std::size_t strangers_ = 0;  // of these: opened for an answer from somebody whom the program has not sent to
  Instant next_search_{};      // for a door that may be closed before its time
  std::vector<std::unique_ptr<Door>> closing_;  // closed, and perhaps pending still
  engine::Timer sweep_;
};

}  // namespace stile::preload
