// Clients that the kernel diverted, on the simulation: they are carried to whom they called, or to the name behind that
// address, and hear nothing of a proxy; what is denied or fails is a reset to them. Every call is made to fail in turn.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/worker_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;

// Whom the simulated clients call; what stands behind it is each test's to say.
const Endpoint called{Address::v4(198, 51, 100, 1), 8080};
const Endpoint entrance{Address::v4(198, 18, 0, 1), 61080};
const Address origin = Address::v4(192, 0, 2, 10);
const Address source = Address::v4(198, 18, 0, 1);

constexpr std::string_view rules = R"(
no:  deny  anyone to denied.example
yes: allow anyone from 198.18.0.1 to 192.0.2.0/24:8080
)";

struct Ledger final : Reporter {
  bool account(observe::AccountingKind, const observe::Record&) noexcept override { return true; }
  [[nodiscard]] bool refuses() const noexcept override { return false; }
  void report(const observe::Record& record) noexcept override {
    EXPECT_EQ(record.protocol, "transparent");
    EXPECT_EQ(record.listener, "entrance");
    EXPECT_EQ(record.user, of_networks ? "alice" : "");
    EXPECT_EQ(record.method, of_networks ? "network" : record.method);
    entries.push_back(record.event);
    target = record.target;
    reason = record.reason;
  }
  bool of_networks = true;  // clients are known by those that they are in
  std::vector<observe::Event> entries;
  std::string target;
  Reason reason = Reason::none;
};

struct Hosts final : CalledHosts {
  explicit Hosts(const std::string& meant) {
    const auto parsed = canonical_host(meant);
    EXPECT_TRUE(parsed) << meant;
    if (parsed) host = *parsed;
  }
  [[nodiscard]] Host host_of(const Address& address) override {
    EXPECT_EQ(address, called.address);
    return host;
  }
  Host host = Address{};
};

enum class Told : std::uint8_t { nothing, fin, reset };

class World : public WorkerRig {
 public:
  /// What the clients mean is said by the hosts, or by the listener.
  enum class By : std::uint8_t { hosts, listener };
  explicit World(const std::string& host, std::uint64_t fail_nth = 0, ErrorKind kind = ErrorKind::no_memory,
                 By by = By::hosts, const Endpoint& stands_at = entrance)
      : WorkerRig(entrance), hosts_(host) {
    auto common = common_of(rules);
    common->network_users = {{*Cidr::parse("198.18.0.0/24"), "alice"}};
    worker_ = std::make_unique<Worker>(engine_, resolver_, counters_, &ledger, common);
    {
      const engine::SimEngine::Bystander ours(engine_);
      EXPECT_TRUE(engine_.listen(listener_.socket, {origin, called.port}, {}));
      EXPECT_TRUE(engine_.listen(entrance_.socket, called, {}));
    }
    if (by == By::hosts) {
      worker_->listen_diverted(entrance_.socket, stands_at, "entrance", hosts_);
    } else {
      worker_->listen_forwarding(entrance_.socket, called, "entrance", {hosts_.host, 8080});
    }
    ledger.of_networks = by == By::hosts;
    worker_->start();
    if (fail_nth != 0) engine_.fail_nth(engine_.calls() + fail_nth, Error{kind, 0});
  }
  ~World() {
    {
      const engine::SimEngine::Bystander ours(engine_);
      for (TestSocket* const one : {&client_, &target_, &listener_}) engine_.close(one->socket);
    }
    engine_.run_for(1s);
    end_worker();
  }

  void connect() {
    const engine::SimEngine::Bystander ours(engine_);
    engine_.connect_from(source);
    EXPECT_TRUE(engine_.connect(client_.socket, called));
    engine_.connect_from(std::nullopt);
  }
  /// A session that was arranged between the client and the target, who both wait.
  void arrange() {
    ledger.of_networks = false;
    struct Ends {
      explicit Ends(engine::SimEngine& engine) {
        for (protect::Line* const one : {&program, &peer}) {
          one->bind<&Ends::on_connected>(this);
          EXPECT_TRUE(engine.connect(one->socket(), {origin, called.port}));
        }
      }
      void on_connected(engine::Status) {}
      protect::Line program;
      protect::Line peer;
    } ends(engine_);
    engine_.run_for(10ms);
    for (protect::Line* const one : {&ends.program, &ends.peer}) EXPECT_TRUE(engine_.connect_result(one->socket()));
    {
      const engine::SimEngine::Bystander ours(engine_);
      EXPECT_TRUE(engine_.try_accept(listener_.socket, client_.socket));
      EXPECT_TRUE(engine_.try_accept(listener_.socket, target_.socket));
    }
    worker_->carry(ends.program, ends.peer,
                   {.listener = "entrance",
                    .client = called,
                    .command = "bind",
                    .target = {origin, 21},
                    .dialled = {origin, 20},
                    .route = "proxy",
                    .passage = {}});
  }
  void pass(Duration time) {
    engine_.run_for(time);
    const engine::SimEngine::Bystander ours(engine_);
    if (!target_.socket.is_open()) static_cast<void>(engine_.try_accept(listener_.socket, target_.socket));
    receive(target_, target_heard);
    if (told == Told::nothing && client_.socket.is_open() && !client_.socket.pending()) hear();
  }
  void say(const std::string& octets) {
    pass(10ms);
    const engine::SimEngine::Bystander ours(engine_);
    if (client_.socket.pending()) return;
    const ConstBytes bytes(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
    static_cast<void>(engine_.send(client_.socket, bytes));
  }
  void answer(const std::string& octets) { send(target_, octets); }
  void close_client() {
    const engine::SimEngine::Bystander ours(engine_);
    EXPECT_TRUE(engine_.shutdown_write(client_.socket));
  }
  void close_target() {
    const engine::SimEngine::Bystander ours(engine_);
    engine_.close(target_.socket);
  }
  [[nodiscard]] std::uint64_t calls() const { return engine_.calls(); }
  void know(const std::string& name) {
    names_.add(std::get<HostName>(canonical_host(name).value()),
               {.ipv4 = resolve::TableResolver::half({origin}, 60s), .ipv6 = {}});
  }

  Ledger ledger;
  std::string client_heard;
  std::string target_heard;
  Told told = Told::nothing;

 private:
  void hear() {
    std::array<std::uint8_t, 4096> room;
    for (;;) {
      const auto count = engine_.receive(client_.socket, room);
      if (!count && count.error().kind == ErrorKind::would_block) return;
      if (!count) {
        told = Told::reset;
        return;
      }
      if (*count == 0) {
        told = Told::fin;
        return;
      }
      client_heard.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*count));
    }
  }

  Hosts hosts_;
  TestSocket client_;
  TestSocket target_;
  TestSocket listener_;
  TestSocket entrance_;
};

TEST(Diverted, IsCarriedToWhomItCalled) {
  World world("192.0.2.10");
  world.connect();
  world.say("question");
  world.pass(1s);
  EXPECT_EQ(world.target_heard, "question");
  world.answer("answer");
  world.pass(1s);
  EXPECT_EQ(world.client_heard, "answer");
  world.close_client();
  world.pass(1s);
  EXPECT_EQ(world.told, Told::nothing);
  world.close_target();
  world.pass(1s);
  EXPECT_EQ(world.told, Told::fin);
  EXPECT_EQ(world.ledger.target, "192.0.2.10:8080");
  EXPECT_EQ(world.ledger.entries, (std::vector{observe::Event::session_start, observe::Event::session_end}));
}

TEST(Diverted, GoesByTheNameBehindTheAddress) {
  World world("www.example");
  world.know("www.example");
  world.connect();
  world.say("question");
  world.pass(1s);
  EXPECT_EQ(world.target_heard, "question");
  EXPECT_EQ(world.ledger.target, "www.example:8080");
  world.close_client();
  world.close_target();
  world.pass(1s);
}

TEST(Diverted, ARefusalIsAReset) {
  for (const auto& [host, event, reason] : {std::tuple("denied.example", observe::Event::denied, Reason::deny_policy),
                                            std::tuple("203.0.113.1", observe::Event::denied, Reason::deny_policy),
                                            std::tuple("nobody.example", observe::Event::error, Reason::dns_not_found),
                                            std::tuple("192.0.2.11", observe::Event::error, Reason::dial_refused)}) {
    World world(host);
    world.connect();
    world.say("question");
    world.pass(1min);
    EXPECT_EQ(world.told, Told::reset) << host;
    EXPECT_EQ(world.client_heard, "") << host;
    EXPECT_EQ(world.target_heard, "") << host;
    ASSERT_EQ(world.ledger.entries.size(), 1U) << host;
    EXPECT_EQ(world.ledger.entries[0], event) << host;
    EXPECT_EQ(world.ledger.reason, reason) << host << " " << token(world.ledger.reason);
  }
}

TEST(Diverted, WhatWasArrangedIsASessionLikeOthers) {
  World world("192.0.2.10");
  world.arrange();
  world.say("question");
  world.pass(1s);
  EXPECT_EQ(world.target_heard, "question");
  world.answer("answer");
  world.pass(1s);
  EXPECT_EQ(world.client_heard, "answer");
  world.close_target();
  world.pass(1s);
  EXPECT_EQ(world.told, Told::fin);
  world.close_client();
  world.pass(1s);
  EXPECT_EQ(world.ledger.target, "192.0.2.10:21");
  EXPECT_EQ(world.ledger.entries, (std::vector{observe::Event::session_start, observe::Event::session_end}));
}

TEST(Diverted, WhoCallsTheListenerItselfIsReset) {
  World world("192.0.2.10", 0, ErrorKind::no_memory, World::By::hosts, called);
  world.connect();
  world.pass(1s);
  EXPECT_EQ(world.told, Told::reset);
  EXPECT_TRUE(world.ledger.entries.empty());
}

TEST(Diverted, TheFirstNetworkSaysWhoItIs) {
  Common common;
  common.network_users = {{*Cidr::parse("10.1.2.7"), "alice"}, {*Cidr::parse("10.1.2.0/24"), "guests"}};
  const auto users = auth::Users::parse("alice:*:staff,ops\n");
  ASSERT_TRUE(users.has_value());
  common.users = std::make_shared<const auth::Users>(*users);
  const Identity alice = common.network_user(Address::v4(10, 1, 2, 7));
  EXPECT_EQ(alice.user(), "alice");
  EXPECT_EQ(alice.groups(), (std::vector<std::string>{"staff", "ops"}));
  EXPECT_EQ(alice.method(), "network");
  EXPECT_EQ(common.network_user(Address::v4(10, 1, 2, 8)).user(), "guests");
  EXPECT_TRUE(common.network_user(Address::v4(10, 1, 2, 8)).groups().empty());
  EXPECT_TRUE(common.network_user(Address::v4(10, 1, 3, 7)).is_anonymous());
  EXPECT_TRUE(common.network_user(*Address::parse("fd00::7")).is_anonymous());
}

// Whatever fails, the client gets all of it, or a reset: never an end that would pass for its target's.
TEST(Diverted, EveryCallMayFail) {
  const auto run = [](World& world) {
    const std::uint64_t calls = world.calls();
    world.connect();
    world.say("question");
    world.pass(1min);
    return world.calls() - calls;
  };
  std::uint64_t calls = 0;
  {
    World world("192.0.2.10");
    calls = run(world);
    EXPECT_EQ(world.target_heard, "question");
    world.close_client();
    world.close_target();
    world.pass(1s);
  }
  EXPECT_GT(calls, 4U);
  for (const ErrorKind kind : {ErrorKind::no_memory, ErrorKind::reset}) {
    for (std::uint64_t nth = 1; nth <= calls; ++nth) {
      World world("192.0.2.10", nth, kind);
      run(world);
      EXPECT_NE(world.told, Told::fin) << nth;
      EXPECT_EQ(world.client_heard, "") << nth;
      EXPECT_TRUE(world.target_heard.empty() || world.target_heard == "question") << nth;
      if (world.told == Told::nothing && !world.target_heard.empty()) {
        world.close_client();
        world.close_target();
        world.pass(1s);
      }
    }
  }
}

// Of a listener with one target, whatever address its clients called.
TEST(Forwarded, IsCarriedToTheListenersTarget) {
  World world("www.example", 0, {}, World::By::listener);
  world.know("www.example");
  world.connect();
  world.say("question");
  world.pass(1s);
  EXPECT_EQ(world.target_heard, "question");
  world.answer("answer");
  world.pass(1s);
  EXPECT_EQ(world.client_heard, "answer");
  EXPECT_EQ(world.ledger.target, "www.example:8080");
  world.close_target();
  world.pass(1s);
  EXPECT_EQ(world.told, Told::fin);
  world.close_client();
  world.pass(1s);
  EXPECT_EQ(world.ledger.entries, (std::vector{observe::Event::session_start, observe::Event::session_end}));
}

TEST(Forwarded, ARefusalIsAReset) {
  World world("192.0.2.11", 0, {}, World::By::listener);
  world.connect();
  world.say("question");
  world.pass(1min);
  EXPECT_EQ(world.told, Told::reset);
  EXPECT_EQ(world.ledger.reason, Reason::dial_refused);
}

}  // namespace
}  // namespace stile::server
