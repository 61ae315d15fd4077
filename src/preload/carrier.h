// The other side of libstile-preload.so: one process that carries what the programs send which have it loaded. They ask
// it over a socket in Linux' abstract namespace, one question a link, and hold nothing of its own; it alone knows what
// stands behind an address (docs/decisions/0016-calls-held-open.md). Nothing that it answers waits for anybody.
// Threading: one engine's thread. Tested in tests/e2e/preload_test.py and preload_udp_test.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "preload/datagrams.h"
#include "preload/message.h"
#include "preload/streams.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "resolve/hosts_source.h"
#include "resolve/name_answers.h"
#include "resolve/stand_in_names.h"
#include "route/upstreams.h"
#include "server/worker.h"
#include "sys/meeting_socket.h"
#include "sys/unique_fd.h"

namespace stile::preload {

/// What it stands on, opened before there are programs.
struct Ground {
  Keys keys;
  sys::UniqueFd questions;
  std::vector<sys::SilentListener> places;
  std::uint32_t first_stand_in = 0;  // random where programs outlive a carrier, and remember what it told them

  /// Chooses keys where none are given. Fails as address_in_use where another carrier has that name.
  [[nodiscard]] static Result<Ground> open(const std::optional<Keys>& keys);
};

class Carrier {
 public:
  /// All outlive it.
  Carrier(engine::EpollEngine& engine, resolve::CaresResolver& dns, const route::UpstreamPlans& upstreams,
          server::Reporter* reporter, Ground ground);
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  /// After `finish`.
  ~Carrier();

  /// From now on the engine is stopped when every process has ended that ever asked, nothing is carried any longer, and
  /// a while has passed.
  void end_with_programs();
  [[nodiscard]] bool is_over() const noexcept { return over_; }

  /// Takes no more questions, and delivers what was sent, as long as it moves. Turns the engine until that is done.
  void finish();
  /// At once: what is open ends.
  void stop() noexcept;

 private:
  class Asker;
  class Program;

  void on_knock(engine::Status status);
  void on_knock_again(engine::Status status);
  void on_lone(engine::Status status);
  void on_end(engine::Status status);
  void on_resolver_closed(engine::Status) {
    names_closed_ = true;
    engine_.stop();
  }
  [[nodiscard]] Answer answer(const Question& question, std::vector<std::uint8_t>& text);
  [[nodiscard]] Answer addresses_of(ConstBytes name);
  [[nodiscard]] Answer name_behind(const Address& address, std::vector<std::uint8_t>& text);
  void know_program(int link);
  void rest_if_alone();
  void sweep() noexcept;

  engine::EpollEngine& engine_;
  resolve::CachingResolver resolver_;
  resolve::StandInNames names_;
  resolve::NameAnswers answers_;
  resolve::HostsSource hosts_;
  route::Upstreams upstreams_;
  Streams streams_;
  Datagrams datagrams_;
  Keys keys_;
  sys::UniqueFd questions_;
  engine::Socket knocks_;
  engine::Timer knock_again_;  // where there was no descriptor for who knocked
  engine::Timer lone_;
  engine::Timer end_;
  engine::Operation resolver_closed_;
  std::vector<std::unique_ptr<Asker>> askers_;
  std::map<int, std::unique_ptr<Program>> programs_;  // by their number, where they are counted
  bool counts_programs_ = false;
  bool names_closed_ = false;
  bool over_ = false;
};

}  // namespace stile::preload
