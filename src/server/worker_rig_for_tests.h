// For tests: a worker on the simulated engine, with what stands around it. Their own sockets are beside what is counted
// and made to fail; in the end nothing of the worker's may be left.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/sim/sim_engine.h"
#include "observe/counters.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "server/worker.h"

namespace stile::server {

/// Everything costs ten times as much: loops are shorter.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

/// A socket of the test's own.
struct TestSocket {
  TestSocket() { socket.bind<&TestSocket::on_ready>(this); }
  void on_ready(engine::Status) {}
  engine::Socket socket;
};

class WorkerRig {
 public:
  WorkerRig(const WorkerRig&) = delete;
  WorkerRig& operator=(const WorkerRig&) = delete;

 protected:
  explicit WorkerRig(const Endpoint& server)
      : server_(server), engine_(7), names_(engine_), resolver_(engine_, names_, {}) {
    engine_.set_own_address(server.address);
  }
  ~WorkerRig() { EXPECT_EQ(worker_, nullptr) << "end_worker was forgotten"; }

  [[nodiscard]] static std::shared_ptr<Common> common_of(std::string_view rules,
                                                         const policy::Upstreams& upstreams = {}) {
    auto common = std::make_shared<Common>();
    auto policy = policy::Policy::compile(rules, {}, upstreams);
    EXPECT_TRUE(policy) << (policy ? "" : policy.error().front().message);
    common->policy = std::make_shared<const policy::Policy>(std::move(*policy));
    common->live_sockets = std::make_shared<relay::LiveSockets>();
    return common;
  }
  void start_worker(std::shared_ptr<Common> common, Reporter* reporter, const Admission& admission = {}) {
    worker_ = std::make_unique<Worker>(engine_, resolver_, counters_, reporter, std::move(common));
    EXPECT_TRUE(worker_->listen(server_, false, admission));
    worker_->start();
  }
  /// The test's own sockets are closed.
  void end_worker() {
    worker_->request_stop();
    engine_.run_for(std::chrono::minutes(10));
    worker_.reset();
    engine::Operation closed;
    TestSocket nobody;
    closed.bind<&TestSocket::on_ready>(&nobody);
    resolver_.close(closed);
    engine_.run_for(std::chrono::minutes(1));
    EXPECT_EQ(engine_.open_sockets(), 0U);
    EXPECT_EQ(engine_.pending_timers(), 0U);
  }

  void connect_from(const Address& source, TestSocket& client) {
    const engine::SimEngine::Bystander ours(engine_);
    engine_.connect_from(source);
    EXPECT_TRUE(engine_.connect(client.socket, server_));
    engine_.connect_from(std::nullopt);
  }
  void send(TestSocket& from, const std::string& octets) {
    const engine::SimEngine::Bystander ours(engine_);
    const ConstBytes bytes(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
    EXPECT_EQ(engine_.send(from.socket, bytes).value_or(0), octets.size());
  }
  /// Appends what has arrived; false once the other side has ended.
  bool receive(TestSocket& from, std::string& heard) {
    const engine::SimEngine::Bystander ours(engine_);
    std::array<std::uint8_t, 65'536> room;
    while (from.socket.is_open() && !from.socket.pending()) {
      const auto count = engine_.receive(from.socket, room);
      if (!count || *count == 0) return !count && count.error().kind == ErrorKind::would_block;
      heard.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*count));
    }
    return true;
  }

  const Endpoint server_;
  engine::SimEngine engine_;
  resolve::TableResolver names_;
  resolve::CachingResolver resolver_;
  observe::Counters counters_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace stile::server
