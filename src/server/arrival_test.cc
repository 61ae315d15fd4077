// How clients arrive, on the simulation: PROXY headers with their limits in virtual time, the header towards a target
// with every call made to fail in turn, and Unix-domain sockets.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/worker_rig_for_tests.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
const Endpoint origin{Address::v4(192, 0, 2, 10), 80};
const Address balancer = Address::v4(10, 0, 0, 5);
const Address stranger = Address::v4(10, 0, 0, 6);

constexpr std::string_view rules = R"(
clients: allow anyone from 203.0.113.0/24, 10.0.0.6 to tcp 192.0.2.0/24
local:   allow uid:1000 to tcp udp 192.0.2.0/24
)";

const std::string header_in = "PROXY TCP4 203.0.113.9 198.51.100.1 5000 1080\r\n";
const std::string connect = "\x05\x01\x00"s + "\x05\x01\x00\x01\xC0\x00\x02\x0A\x00\x50"s;
const std::string header_out = "PROXY TCP4 203.0.113.9 192.0.2.10 5000 80\r\n";

struct Ledger final : Reporter {
  bool account(observe::AccountingKind, const observe::Record&) noexcept override { return true; }
  [[nodiscard]] bool refuses() const noexcept override { return false; }
  struct Entry {
    observe::Event event;
    Reason reason;
    std::string client;
    std::string user;
  };
  void report(const observe::Record& record) noexcept override {
    entries.push_back(
        {record.event, record.reason, record.client ? record.client->to_string() : "", std::string(record.user)});
  }
  std::vector<Entry> entries;
};

using Party = TestSocket;

class World : public WorkerRig {
 public:
  explicit World(std::uint64_t fail_nth = 0, ErrorKind kind = ErrorKind::no_memory) : WorkerRig(server) {
    auto common = common_of(rules);
    common->proxy_protocol_to = {{.targets = {{Cidr::host(origin.address), {80, 80}}}, .version = 1}};
    start_worker(std::move(common), &ledger_, {.protocols = {}, .proxy_protocol_from = {Cidr::host(balancer)}});
    engine::Socket file;
    EXPECT_TRUE(engine_.listen_local(file, "/run/s", {}));
    worker_->listen_local(file, "unix:/run/s", {});
    const engine::SimEngine::Bystander ours(engine_);
    EXPECT_TRUE(engine_.listen(listener_.socket, origin, {}));
    if (fail_nth != 0) engine_.fail_nth(engine_.calls() + fail_nth, Error{kind, 0});
  }

  ~World() {
    {
      const engine::SimEngine::Bystander ours(engine_);
      for (Party* const party : {&client_, &target_, &listener_}) engine_.close(party->socket);
    }
    engine_.run_for(1s);
    end_worker();
  }

  void connect_from(const Address& source) { WorkerRig::connect_from(source, client_); }
  void connect_as(std::uint32_t user) {
    const engine::SimEngine::Bystander ours(engine_);
    EXPECT_TRUE(engine_.connect_local(client_.socket, "/run/s", user));
  }
  void pass(Duration time) {
    engine_.run_for(time);
    const engine::SimEngine::Bystander ours(engine_);
    if (!target_.socket.is_open()) static_cast<void>(engine_.try_accept(listener_.socket, target_.socket));
    if (!receive(client_, client_heard)) client_ended = true;
    receive(target_, target_heard);
  }
  void say(const std::string& octets) {
    pass(10ms);
    const engine::SimEngine::Bystander ours(engine_);
    if (client_.socket.pending()) return;
    const ConstBytes bytes(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
    static_cast<void>(engine_.send(client_.socket, bytes));
  }
  [[nodiscard]] std::uint64_t calls() const { return engine_.calls(); }
  [[nodiscard]] const std::vector<Ledger::Entry>& records() const { return ledger_.entries; }

  std::string client_heard;
  std::string target_heard;
  bool client_ended = false;

 private:
  Ledger ledger_;
  Party client_;
  Party target_;
  Party listener_;
};

TEST(ProxyIn, TheHeaderHasFiveSecondsOfItsOwn) {
  World world;
  world.connect_from(balancer);
  world.say("PROXY ");
  world.pass(limits::proxy_header_wait - 50ms);
  EXPECT_FALSE(world.client_ended);
  world.pass(100ms);
  EXPECT_TRUE(world.client_ended);
  EXPECT_EQ(world.client_heard, "");
  ASSERT_EQ(world.records().size(), 1U);
  EXPECT_EQ(world.records()[0].reason, Reason::proxy_timeout);
}

TEST(ProxyIn, BehindItTheHandshakeCountsFromTheAcceptedConnection) {
  World world;
  world.connect_from(balancer);
  world.pass(4s);
  world.say(header_in);
  world.pass(limits::handshake - 4s - 50ms);
  EXPECT_FALSE(world.client_ended);
  world.pass(100ms);
  EXPECT_TRUE(world.client_ended);
  ASSERT_EQ(world.records().size(), 1U);
  EXPECT_EQ(world.records()[0].reason, Reason::timeout_handshake);
  EXPECT_EQ(world.records()[0].client, "203.0.113.9:5000");
}

TEST(ProxyIn, OtherSourcesAreServedWithoutOne) {
  World world;
  world.connect_from(stranger);
  world.say(connect);
  world.pass(1s);
  EXPECT_EQ(world.client_heard.substr(0, 4), "\x05\x00\x05\x00"s);
  EXPECT_EQ(world.records().at(0).client.substr(0, 9), "10.0.0.6:");
}

TEST(ProxyOut, TheHeaderComesBeforeEverything) {
  World world;
  world.connect_from(balancer);
  world.say(header_in + connect);
  world.pass(1s);
  EXPECT_EQ(world.target_heard, header_out) << "also where the client waits for the target";
  world.say("payload");
  world.pass(1s);
  EXPECT_EQ(world.target_heard, header_out + "payload");
}

// Whatever fails, a target hears the whole header before the first octet of a client, or nothing.
TEST(ProxyOut, EveryCallMayFail) {
  std::uint64_t calls = 0;
  {
    World world;
    calls = world.calls();
    world.connect_from(balancer);
    world.say(header_in + connect + "payload");
    world.pass(1min);
    EXPECT_EQ(world.target_heard, header_out + "payload");
    calls = world.calls() - calls;
  }
  ASSERT_EQ(calls, 10U) << "one more or less: see that the sweep still covers the header";
  for (const ErrorKind kind : {ErrorKind::no_memory, ErrorKind::reset}) {
    for (std::uint64_t nth = 1; nth <= calls; ++nth) {
      World world(nth, kind);
      world.connect_from(balancer);
      world.say(header_in + connect + "payload");
      world.pass(1min);
      const std::string& heard = world.target_heard;
      EXPECT_TRUE(heard.empty() || heard.size() >= header_out.size()) << nth << ": " << heard;
      EXPECT_EQ(heard, (header_out + "payload").substr(0, heard.size())) << nth;
    }
  }
}

TEST(UnixClients, AreTheUserThatTheKernelNames) {
  World world;
  world.connect_as(1000);
  world.say(connect + "x");
  world.pass(1s);
  EXPECT_EQ(world.client_heard.substr(0, 4), "\x05\x00\x05\x00"s);
  EXPECT_TRUE(world.target_heard.starts_with("PROXY TCP4 198.51.100.1 192.0.2.10 ") &&
              world.target_heard.ends_with(" 80\r\nx"))
      << world.target_heard << ": no client has an address: our own end is named";
  ASSERT_EQ(world.records().size(), 1U);
  EXPECT_EQ(world.records()[0].user, "uid:1000");
  EXPECT_EQ(world.records()[0].client, "");
}

TEST(UnixClients, OthersAreDenied) {
  for (const std::string& request : {connect, "\x04\x01\x00\x50\xC0\x00\x02\x0A\x00"s}) {
    World world;
    world.connect_as(1001);
    world.say(request);
    world.pass(limits::reply_drain + 1s);
    ASSERT_EQ(world.records().size(), 1U);
    EXPECT_EQ(world.records()[0].event, observe::Event::denied);
    EXPECT_EQ(world.records()[0].user, "uid:1001") << "in SOCKS4 as well";
  }
}

TEST(UnixClients, SayWhereTheirDatagramsComeFrom) {
  const auto associate = [](const std::string& destination) {
    World world;
    world.connect_as(1000);
    world.say("\x05\x01\x00\x05\x03\x00"s + destination);
    world.pass(1s);
    return world.client_heard.size() > 3 ? static_cast<int>(world.client_heard[3]) : -1;
  };
  EXPECT_EQ(associate("\x01\x7F\x00\x00\x01\x13\x88"s), 0);
  EXPECT_EQ(associate("\x01\x7F\x00\x00\x01\x00\x00"s), 1);
  EXPECT_EQ(associate("\x01\x00\x00\x00\x00\x00\x00"s), 1);
  EXPECT_EQ(associate("\x01\xC0\x00\x02\x01\x13\x88"s), 1);
  EXPECT_EQ(associate("\x03\x01"
                      "a"
                      "\x13\x88"s),
            1);
}

}  // namespace
}  // namespace stile::server
