// One worker with everything it stands on. Made on the main thread, then its own thread's, but for what Worker and
// NameService let others call.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "auth/helper_verifier.h"
#include "auth/pool_verifier.h"
#include "engine/epoll/epoll_engine.h"
#include "observe/counters.h"
#include "resolve/name_service.h"
#include "server/dns_answers.h"
#include "server/listening.h"
#include "server/name_server.h"
#include "server/worker.h"
#include "sys/unique_fd.h"

namespace stile::server {

/// In the order of construction.
struct Crew {
  std::unique_ptr<engine::EpollEngine> engine;
  observe::Counters counters;
  std::unique_ptr<resolve::NameService> names;
  std::unique_ptr<auth::PoolVerifier> passwords;
  std::unique_ptr<auth::HelperVerifier> helper;  // absent where no listener needs one
  std::unique_ptr<auth::MethodVerifier> verifier;
  std::unique_ptr<Worker> worker;
  std::function<void()> finish_front;       // absent: there is none
  std::unique_ptr<DnsAnswers> dns_answers;  // of the first one, where DNS is answered
  std::unique_ptr<NameServer> name_server;  // likewise
  std::thread thread;

  /// Before the worker's thread runs, or on it.
  void listen(const Bound& bound, const Admission& admission, sys::UniqueFd descriptor);
  /// On the worker's thread: until everything ended and nothing is pending in the engine.
  void run();

 private:
  void finish_name_server();
  void on_names_closed(engine::Status) { engine->stop(); }
};

}  // namespace stile::server
