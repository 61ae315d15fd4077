// Every number that a server counts, exceeded by one on a whole worker in the simulation: what the client is told, what
// the record says, and that all is given back. And the options of rules that change a session's way.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "server/worker_rig_for_tests.h"
#include "wire/udp_header.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
const Address egress = Address::v4(198, 51, 100, 1);
const Address client = Address::v4(203, 0, 113, 9);
const Address other_client = Address::v4(203, 0, 113, 10);

Endpoint origin(std::uint8_t host) {
  return {Address::v4(192, 0, 2, host), 80};
}
const std::string greeting = "\x05\x01\x00"s;
std::string connect_to(std::uint8_t host) {
  return greeting + "\x05\x01\x00\x01\xC0\x00\x02"s + static_cast<char>(host) + "\x00\x50"s;
}
// Over a Unix-domain socket the client says from which port of loopback it will send.
const std::string associate = greeting + "\x05\x03\x00\x01\x7F\x00\x00\x01\x13\x88"s;

struct Records final : Reporter {
  bool account(observe::AccountingKind, const observe::Record&) noexcept override { return true; }
  [[nodiscard]] bool refuses() const noexcept override { return false; }
  struct Entry {
    observe::Event event;
    Reason reason;
    std::optional<UdpDrop> drop;
    std::string rule;
    std::uint64_t octets = 0;
  };
  void report(const observe::Record& record) noexcept override {
    entries.push_back({record.event, record.reason, record.drop, std::string(record.rule),
                       record.bytes_up.value_or(0) + record.bytes_down.value_or(0)});
  }
  std::vector<Entry> entries;
};

struct Party : TestSocket {
  std::string heard;
  bool ended = false;
  /// Behind the answer to the greeting.
  [[nodiscard]] int reply() const { return heard.size() < 4 ? -1 : static_cast<unsigned char>(heard[3]); }
};

class World : public WorkerRig {
 public:
  explicit World(const std::string& rules, const config::Limits& limits = {}) : WorkerRig(server) {
    auto common = common_of(rules);
    common->limits = limits;
    common->own.sockets = {server};
    usage_ = common->usage;
    start_worker(std::move(common), &records_);
    engine::Socket file;
    EXPECT_TRUE(engine_.listen_local(file, "/run/s", {}));
    worker_->listen_local(file, "unix:/run/s", {});
    const engine::SimEngine::Bystander ours(engine_);
    for (std::uint8_t host = 0; host < 3; ++host) {
      EXPECT_TRUE(engine_.listen(listeners_.emplace_back().socket, origin(host), {}));
    }
  }

  ~World() {
    close_all();
    engine_.run_for(1s);
    EXPECT_EQ(usage_->listener(server.to_string()), 0U) << "a session was not given back";
    end_worker();
  }

  void close_all() {
    const engine::SimEngine::Bystander ours(engine_);
    for (auto* const group : {&clients_, &targets_, &listeners_, &ports_}) {
      for (Party& party : *group) engine_.close(party.socket);
    }
  }

  /// A client that says this, from this address.
  Party& ask(const std::string& octets, const Address& from = client) {
    Party& party = clients_.emplace_back();
    connect_from(from, party);
    return begin(party, octets);
  }
  Party& ask_as(std::uint32_t user, const std::string& octets) {
    Party& party = clients_.emplace_back();
    {
      const engine::SimEngine::Bystander ours(engine_);
      EXPECT_TRUE(engine_.connect_local(party.socket, "/run/s", user));
    }
    return begin(party, octets);
  }
  void say(Party& party, const std::string& octets) { send(party, octets); }
  void hang_up(Party& party) {
    {
      const engine::SimEngine::Bystander ours(engine_);
      engine_.abort(party.socket);
    }
    pass(1s);
  }
  void pass(Duration time) {
    for (Duration passed{}; passed < time; passed += 1ms) {
      engine_.run_for(1ms);
      const engine::SimEngine::Bystander ours(engine_);
      for (Party& listener : listeners_) {
        Party target;
        if (!engine_.try_accept(listener.socket, target.socket)) continue;
        engine_.move(target.socket, targets_.emplace_back().socket);
      }
      for (Party& party : clients_) read(party);
      for (Party& party : targets_) read(party);
    }
  }
  void sleep(Duration time) { engine_.run_for(time); }

  Party& last_target() { return targets_.back(); }
  [[nodiscard]] std::size_t targets() const { return targets_.size(); }
  [[nodiscard]] const Records::Entry& last_record() const { return records_.entries.back(); }
  [[nodiscard]] const std::vector<Records::Entry>& records() const { return records_.entries; }
  [[nodiscard]] std::size_t questions() const { return names_.questions(); }
  [[nodiscard]] engine::SimEngine& engine() { return engine_; }
  Party& port() { return ports_.emplace_back(); }

 private:
  Party& begin(Party& party, const std::string& octets) {
    pass(10ms);
    say(party, octets);
    pass(100ms);
    return party;
  }
  void read(Party& party) {
    if (!party.ended) party.ended = !receive(party, party.heard);
  }

  Records records_;
  std::shared_ptr<Usage> usage_;
  std::deque<Party> clients_;
  std::deque<Party> targets_;
  std::deque<Party> listeners_;
  std::deque<Party> ports_;
};

constexpr const char* open_to_all = "web: allow anyone to tcp udp 192.0.2.0/24";

void expect_refused(World& world, Party& party, int reply, observe::Event event, Reason reason) {
  EXPECT_EQ(party.reply(), reply);
  EXPECT_TRUE(party.ended);
  world.hang_up(party);  // which completes the record
  EXPECT_EQ(world.last_record().event, event);
  EXPECT_EQ(world.last_record().reason, reason) << token(world.last_record().reason);
}

TEST(Limits, SessionsOfAListener) {
  World world(open_to_all, {.sessions_per_listener = 2});
  Party& first = world.ask(connect_to(0));
  EXPECT_EQ(first.reply(), 0);
  EXPECT_EQ(world.ask(connect_to(0), other_client).reply(), 0);
  expect_refused(world, world.ask(connect_to(0)), 1, observe::Event::error, Reason::limit_listener);
  EXPECT_EQ(world.ask_as(1000, connect_to(0)).reply(), 0) << "another listener";
  world.hang_up(first);
  EXPECT_EQ(world.ask(connect_to(0)).reply(), 0);
}

TEST(Limits, SessionsOfASource) {
  World world(open_to_all, {.sessions_per_source = 2});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(world.ask(connect_to(0)).reply(), 0);
  expect_refused(world, world.ask(connect_to(0)), 2, observe::Event::denied, Reason::limit_source);
  EXPECT_EQ(world.ask(connect_to(0), other_client).reply(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.ask(connect_to(0), Address::v4(127, 0, 0, 1)).reply(), 0) << "loopback";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.ask_as(1000, connect_to(0)).reply(), 0) << "this host";
}

TEST(Limits, SessionsOfAUser) {
  World world(open_to_all, {.sessions_per_user = 2});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(world.ask_as(1000, connect_to(0)).reply(), 0);
  expect_refused(world, world.ask_as(1000, connect_to(0)), 2, observe::Event::denied, Reason::limit_user);
  EXPECT_EQ(world.ask_as(1001, connect_to(0)).reply(), 0);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(world.ask(connect_to(0)).reply(), 0) << "nobody in particular";
}

TEST(Limits, AssociationsOfAUser) {
  World world(open_to_all, {.udp_associations_per_user = 1});
  Party& first = world.ask_as(1000, associate);
  EXPECT_EQ(first.reply(), 0);
  expect_refused(world, world.ask_as(1000, associate), 2, observe::Event::denied, Reason::limit_associations);
  EXPECT_EQ(world.ask_as(1000, connect_to(0)).reply(), 0);
  world.hang_up(first);
  EXPECT_EQ(world.ask_as(1000, associate).reply(), 0);
}

TEST(Limits, SessionsOfARule) {
  World world("one: allow anyone to 192.0.2.1 sessions 1\nrest: allow anyone to 192.0.2.0/24");
  Party& first = world.ask(connect_to(1));
  EXPECT_EQ(first.reply(), 0);
  expect_refused(world, world.ask(connect_to(1)), 2, observe::Event::denied, Reason::limit_rule);
  EXPECT_EQ(world.last_record().rule, "one");
  EXPECT_EQ(world.targets(), 1U) << "refused before it is dialled";
  EXPECT_EQ(world.ask(connect_to(2)).reply(), 0);
  world.hang_up(first);
  EXPECT_EQ(world.ask(connect_to(1)).reply(), 0);
}

TEST(Limits, HttpIsToldByStatus) {
  const std::string request = "CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n";
  {
    World world("one: allow anyone to 192.0.2.1 sessions 1");
    EXPECT_TRUE(world.ask(request).heard.starts_with("HTTP/1.1 200 "));
    Party& refused = world.ask(request);
    EXPECT_TRUE(refused.heard.starts_with("HTTP/1.1 403 "));
    world.hang_up(refused);
    EXPECT_EQ(world.last_record().event, observe::Event::denied);
    EXPECT_EQ(world.last_record().reason, Reason::limit_rule);
  }
  World world(open_to_all, {.sessions_per_listener = 1});
  EXPECT_TRUE(world.ask(request).heard.starts_with("HTTP/1.1 200 "));
  Party& refused = world.ask(request);
  EXPECT_TRUE(refused.heard.starts_with("HTTP/1.1 503 ")) << refused.heard;
  EXPECT_NE(refused.heard.find("\r\nRetry-After: "), std::string::npos);
  world.hang_up(refused);
  EXPECT_EQ(world.last_record().reason, Reason::limit_listener);
}

TEST(Limits, AFailedDialGivesItsSessionBack) {
  World world("one: allow anyone to 192.0.2.0/24 sessions 1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.ask(connect_to(9)).reply(), 5);
  EXPECT_EQ(world.ask(connect_to(1)).reply(), 0);
}

TEST(Limits, AQuotaEndsItsTunnelsAndRefusesOthers) {
  World world("daily: allow anyone to 192.0.2.0/24 quota 1000B/day\nrest: allow anyone to any");
  Party& first = world.ask(connect_to(0));
  Party& second = world.ask(connect_to(1));
  world.say(first, std::string(1'000, 'x'));
  world.pass(100ms);
  EXPECT_FALSE(first.ended) << "all of it may be used";
  expect_refused(world, world.ask(connect_to(0)), 2, observe::Event::denied, Reason::limit_quota);
  world.say(world.last_target(), "x");
  world.pass(100ms);
  EXPECT_TRUE(first.ended);
  EXPECT_TRUE(second.ended);
  int ended = 0;
  for (const Records::Entry& record : world.records()) {
    if (record.event == observe::Event::session_end && record.reason == Reason::limit_quota) ++ended;
  }
  EXPECT_EQ(ended, 2);
  world.sleep(25h);
  EXPECT_EQ(world.ask(connect_to(0)).reply(), 0) << "another day";
}

// Nothing else happens at midnight than that a new quota begins.
TEST(Limits, ATunnelThatLivesOverMidnightHasANewQuota) {
  World world("daily: allow anyone to 192.0.2.0/24 quota 1000B/day");
  Party& party = world.ask(connect_to(0));
  for (int day = 0; day < 3; ++day) {
    world.say(party, std::string(900, 'x'));
    world.pass(100ms);
    EXPECT_FALSE(party.ended) << day;
    world.sleep(24h);
  }
  world.say(party, std::string(1'001, 'x'));
  world.pass(100ms);
  EXPECT_TRUE(party.ended);
}

std::string http_get(std::uint8_t host) {
  const std::string name = origin(host).address.to_string();
  return "GET http://" + name + "/ HTTP/1.1\r\nHost: " + name + "\r\n\r\n";
}
std::string http_answer(std::size_t octets) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(octets) + "\r\n\r\n" + std::string(octets, 'x');
}

TEST(Limits, RatesHoldForTunnelsAndForwardedBodies) {
  World world("slow: allow anyone to 192.0.2.0/24 rate 100KB/s");
  Party& tunnel = world.ask(connect_to(0));
  world.say(world.last_target(), std::string(200'000, 'x'));
  world.pass(1s);
  EXPECT_NEAR(static_cast<double>(tunnel.heard.size()), 101'000.0, 3'000.0);
  world.pass(1s);
  EXPECT_EQ(tunnel.heard.size(), 12 + 200'000U);

  Party& browser = world.ask(http_get(1));
  world.say(world.last_target(), http_answer(200'000));
  world.pass(1s);
  EXPECT_NEAR(static_cast<double>(browser.heard.size()), 101'000.0, 3'000.0);
  // Two share it.
  world.say(world.last_target(), http_answer(0));
  world.pass(1200ms);
  EXPECT_GT(browser.heard.size(), 200'000U);
}

TEST(Limits, AQuotaEndsAForwardedRequest) {
  World world("daily: allow anyone to 192.0.2.0/24 quota 50KB/day");
  Party& browser = world.ask(http_get(1));
  world.say(world.last_target(), http_answer(100'000));
  world.pass(100ms);
  EXPECT_TRUE(browser.ended);
  EXPECT_EQ(world.last_record().event, observe::Event::session_end);
  EXPECT_EQ(world.last_record().reason, Reason::limit_quota);
  Party& refused = world.ask(http_get(1));
  EXPECT_TRUE(refused.heard.starts_with("HTTP/1.1 403 "));
  world.hang_up(refused);
  EXPECT_EQ(world.last_record().event, observe::Event::denied);
}

TEST(Limits, ARuleHasAnIdleLimitOfItsOwn) {
  World world("short: allow anyone to 192.0.2.1 idle 2s\nrest: allow anyone to 192.0.2.0/24", {.idle = 60s});
  Party& quiet = world.ask(connect_to(1));
  Party& other = world.ask(connect_to(2));
  world.pass(3s);
  EXPECT_TRUE(quiet.ended);
  EXPECT_FALSE(other.ended);
  EXPECT_EQ(world.last_record().reason, Reason::idle);
}

/// A client of an association over the Unix-domain socket, and a target that counts.
class Datagrams {
 public:
  explicit Datagrams(World& world)
      : world_(world), control_(world.ask_as(1000, associate)), own_(world.port()), target_(world.port()) {
    const engine::SimEngine::Bystander ours(world_.engine());
    EXPECT_TRUE(world_.engine().open_udp(own_.socket, {Address::v4(127, 0, 0, 1), 5000}));
    EXPECT_TRUE(world_.engine().open_udp(target_.socket, origin(1)));
  }

  void send(std::size_t octets) {
    const engine::SimEngine::Bystander ours(world_.engine());
    const auto header = wire::encode_udp_header({origin(1).address, origin(1).port});
    std::vector<std::uint8_t> packet(header.octets().begin(), header.octets().end());
    packet.resize(packet.size() + octets);
    const auto port = static_cast<std::uint16_t>(static_cast<unsigned char>(control_.heard[10]) << 8U |
                                                 static_cast<unsigned char>(control_.heard[11]));
    const std::array one{engine::Datagram{{Address::v4(127, 0, 0, 1), port}, packet}};
    EXPECT_TRUE(world_.engine().send_datagrams(own_.socket, one));
  }
  /// Datagrams that arrived at the target since the last call.
  std::size_t arrived() {
    const engine::SimEngine::Bystander ours(world_.engine());
    std::size_t count = 0;
    std::array<std::uint8_t, 65'536> room;
    std::array one{engine::Datagram{{}, room}};
    while (world_.engine().receive_datagrams(target_.socket, one)) {
      ++count;
      one[0].payload = room;
    }
    return count;
  }

 private:
  World& world_;
  Party& control_;
  Party& own_;
  Party& target_;
};

TEST(Limits, DatagramsBeyondTheRateAreDropped) {
  World world("slow: allow anyone to udp 192.0.2.0/24 rate 100KB/s");
  Datagrams datagrams(world);
  std::size_t arrived = 0;
  for (int i = 0; i < 2'000; ++i) {  // 1 MB in 2 s
    datagrams.send(500);
    world.engine().run_for(1ms);
    arrived += datagrams.arrived();
  }
  EXPECT_NEAR(static_cast<double>(arrived), 400.0, 20.0);
  EXPECT_EQ(world.last_record().event, observe::Event::drop);
  EXPECT_EQ(world.last_record().drop, UdpDrop::rate);
}

TEST(Limits, DatagramsBeyondTheQuotaAreDropped) {
  World world("daily: allow anyone to tcp udp 192.0.2.0/24 quota 10KB/day");
  Party& tunnel = world.ask(connect_to(0));
  Datagrams datagrams(world);
  for (int i = 0; i < 50; ++i) datagrams.send(500);
  world.pass(100ms);
  EXPECT_EQ(datagrams.arrived(), 20U);
  EXPECT_FALSE(tunnel.ended);
  EXPECT_EQ(world.last_record().drop, UdpDrop::quota);
  expect_refused(world, world.ask(connect_to(0)), 2, observe::Event::denied, Reason::limit_quota);
  world.sleep(24h);
  datagrams.send(500);
  world.pass(100ms);
  EXPECT_EQ(datagrams.arrived(), 1U) << "another day";
}

TEST(Limits, AnAssociationIsASessionOfItsRules) {
  World world("one: allow anyone to tcp udp 192.0.2.0/24 sessions 1");
  Datagrams datagrams(world);
  datagrams.send(1);
  world.pass(100ms);
  EXPECT_EQ(datagrams.arrived(), 1U);
  expect_refused(world, world.ask(connect_to(0)), 2, observe::Event::denied, Reason::limit_rule);
}

TEST(RuleOptions, EgressAndRedirect) {
  World world(
      "moved: allow anyone to moved.example redirect 192.0.2.2:80\n"
      "loop: allow anyone to loop.example redirect 198.51.100.1:1080\n"
      "out: allow anyone to 192.0.2.1 egress 198.51.100.1\n"
      "gone: allow anyone to 192.0.2.0 egress 198.51.100.77\n");
  EXPECT_EQ(world.ask(connect_to(1)).reply(), 0);
  EXPECT_EQ(world.engine().peer_endpoint(world.last_target().socket)->address, egress);
  expect_refused(world, world.ask(connect_to(0)), 1, observe::Event::error, Reason::dial_egress);
  EXPECT_EQ(world.ask(greeting + "\x05\x01\x00\x03\x0Dmoved.example\x01\xBB"s).reply(), 0);
  EXPECT_EQ(world.engine().local_endpoint(world.last_target().socket)->address, origin(2).address);
  EXPECT_EQ(world.questions(), 0U);
  const std::string get = "GET http://moved.example/ HTTP/1.1\r\nHost: moved.example\r\n\r\n";
  Party& browser = world.ask(get);
  for (int i = 0; i < 2; ++i) {  // on one origin connection
    world.say(world.last_target(), http_answer(1));
    world.pass(100ms);
    EXPECT_EQ(world.targets(), 3U);
    if (i == 0) world.say(browser, get);
    world.pass(100ms);
  }
  EXPECT_TRUE(browser.heard.ends_with("x"));
  expect_refused(world, world.ask(greeting + "\x05\x01\x00\x03\x0Cloop.example\x01\xBB"s), 2, observe::Event::denied,
                 Reason::deny_self);
}

}  // namespace
}  // namespace stile::server
