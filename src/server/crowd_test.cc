// What a worker does for a tunnel must not grow with the number of tunnels beside it: the same calls for 1,000 of them
// and for 100,000, on the simulation, where a call is a count and not a time.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "server/worker_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
// Between two addresses there are not ports enough for all, so they come in groups with addresses of their own.
constexpr std::size_t group_max = 10'000;

Endpoint origin_of(std::size_t tunnel) {
  return {Address::v4(192, 0, 2, static_cast<std::uint8_t>(tunnel / group_max)), 80};
}
Address source_of(std::size_t tunnel) {
  return Address::v4(203, 0, 113, static_cast<std::uint8_t>(tunnel / group_max));
}
Address own_of(std::size_t tunnel) {
  return Address::v4(198, 51, 100, static_cast<std::uint8_t>(1 + tunnel / group_max));
}
std::string connect_of(std::size_t tunnel) {
  return "\x05\x01\x00"s + "\x05\x01\x00\x01\xC0\x00\x02"s + static_cast<char>(tunnel / group_max) + "\x00\x50"s;
}
constexpr std::size_t replies_octets = 2 + 10;

using Party = TestSocket;

/// What one tunnel cost in calls to the engine, as a sum over all of them.
struct Calls {
  std::uint64_t opening = 0;
  std::uint64_t round_trip = 0;
  std::uint64_t idling = 0;
  std::uint64_t closing = 0;
};

class Crowd : public WorkerRig {
 public:
  explicit Crowd(std::size_t tunnels) : WorkerRig(server), clients_(tunnels) {
    auto common = common_of("all: allow anyone to tcp 192.0.2.0/24");
    common->limits.sessions = common->limits.sessions_per_listener = common->limits.sessions_per_source = 1'000'000;
    start_worker(std::move(common), nullptr);
    const engine::SimEngine::Bystander ours(engine_);
    for (std::size_t first = 0; first < tunnels; first += group_max) {
      EXPECT_TRUE(engine_.listen(origins_.emplace_back().socket, origin_of(first), {}));
    }
  }

  ~Crowd() {
    {
      const engine::SimEngine::Bystander ours(engine_);
      for (Party& listener : origins_) engine_.close(listener.socket);
    }
    end_worker();
  }

  Calls live() {
    Calls calls;
    calls.opening = counted([&] { open(); });
    EXPECT_EQ(worker_tunnels(), clients_.size());
    calls.round_trip = counted([&] { say_and_hear(clients_, targets_, "ping"); });
    calls.round_trip += counted([&] { say_and_hear(targets_, clients_, "pong"); });
    EXPECT_EQ(engine_.pending_timers(), 0U) << "a tunnel without an idle limit needs no timer";
    calls.idling = counted([&] { engine_.run_for(24h); });
    calls.closing = counted([&] { close(); });
    EXPECT_EQ(worker_tunnels(), 0U);
    return calls;
  }

 private:
  template <class Work>
  std::uint64_t counted(Work&& work) {
    const std::uint64_t before = engine_.calls();
    work();
    return engine_.calls() - before;
  }
  [[nodiscard]] std::uint64_t worker_tunnels() const { return counters_.sessions_open.value(); }

  // One after the other, each complete before the next: what one costs does not depend on how they come together.
  void open() {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      Party& client = clients_[i];
      {
        const engine::SimEngine::Bystander ours(engine_);
        connect_from(source_of(i), client);
        engine_.set_own_address(own_of(i));
      }
      engine_.run_for(1ms);
      {
        const engine::SimEngine::Bystander ours(engine_);
        ASSERT_TRUE(engine_.connect_result(client.socket));
        send(client, connect_of(i));
      }
      engine_.run_for(1ms);
      const engine::SimEngine::Bystander ours(engine_);
      Party& target = targets_.emplace_back();
      ASSERT_TRUE(engine_.try_accept(origins_[i / group_max].socket, target.socket));
      ASSERT_EQ(hear(client).size(), replies_octets);
    }
  }

  template <class From, class To>
  void say_and_hear(From& from, To& to, const std::string& word) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      send(from[i], word);
      engine_.run_for(1ms);
      ASSERT_EQ(hear(to[i]), word);
    }
  }

  void close() {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      {
        const engine::SimEngine::Bystander ours(engine_);
        engine_.close(clients_[i].socket);
        engine_.close(targets_[i].socket);
      }
      engine_.run_for(1ms);
    }
  }

  std::string hear(Party& party) {
    std::string heard;
    receive(party, heard);
    return heard;
  }

  std::deque<Party> origins_;
  std::deque<Party> clients_;
  std::deque<Party> targets_;
};

TEST(Crowd, ATunnelCostsTheSameAmongAThousandAndAHundredThousand) {
  constexpr std::size_t few = 1'000;
  constexpr std::size_t many = sanitized ? 10'000 : 100'000;
  const Calls small = Crowd(few).live();
  const Calls large = Crowd(many).live();
  // Not quite the same: now and then an accept looks whether a second connection waits (accept_batch.h).
  EXPECT_LE(large.opening * few, small.opening * many);
  EXPECT_EQ(large.round_trip * few, small.round_trip * many);
  EXPECT_EQ(large.closing * few, small.closing * many);
  EXPECT_EQ(small.idling, 0U);
  EXPECT_EQ(large.idling, 0U) << "an idle tunnel is not looked at";
}

}  // namespace
}  // namespace stile::server
