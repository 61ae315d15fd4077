// DNS rebinding (threat TS4): a name whose answers alternate between a public and an inside address, TTL 0, asked for
// 100,000 times through a whole worker in the simulation, by every command that takes a name. Whatever the name server
// says and whenever it says it, nothing goes inside.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "server/worker_rig_for_tests.h"
#include "wire/udp_header.h"

namespace stile::server {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using engine::SimEngine;
using resolve::TableResolver;

const Endpoint server{Address::v4(198, 51, 100, 1), 1080};
const Address client = Address::v4(8, 8, 4, 4);
const Endpoint public_place{Address::v4(8, 8, 8, 8), 80};
const Endpoint public_place6{Address::parse("2600::8").value(), 80};
const std::array<Address, 5> inside{Address::v4(127, 0, 0, 1), Address::parse("::1").value(),
                                    Address::v4(169, 254, 169, 254), Address::v4(10, 0, 0, 5),
                                    Address::parse("fd00::5").value()};
constexpr std::string_view name = "rebind.example";

constexpr int tries = sanitized ? 10'000 : 100'000;

using Party = TestSocket;

/// What a client is told.
struct Answer {
  std::string octets;
  [[nodiscard]] bool granted() const {
    return octets.starts_with("\x05\x00\x05\x00"s) || octets.starts_with("\x00\x5A"s) ||
           octets.starts_with("HTTP/1.1 200");
  }
};

class World : public WorkerRig {
 public:
  World() : WorkerRig(server) {
    engine_.set_own_address(Address::parse("2600::1").value());
    auto common = common_of("all: allow anyone to tcp udp resolve any");
    common->own.sockets = {server};
    common->udp.mapping_idle = 1s;  // each datagram asks again
    start_worker(std::move(common), nullptr);
    const SimEngine::Bystander ours(engine_);
    for (const Endpoint& place : {public_place, public_place6}) {
      EXPECT_TRUE(engine_.listen(outside_.emplace_back().socket, place, {}));
      EXPECT_TRUE(engine_.open_udp(outside_ports_.emplace_back().socket, place));
    }
    for (const Address& address : inside) {
      EXPECT_TRUE(engine_.listen(inside_.emplace_back().socket, {address, public_place.port}, {}));
      EXPECT_TRUE(engine_.open_udp(inside_ports_.emplace_back().socket, {address, public_place.port}));
    }
    add_rows();
  }

  ~World() {
    {
      const SimEngine::Bystander ours(engine_);
      for (auto* const group : {&outside_, &outside_ports_, &inside_, &inside_ports_, &parties_}) {
        for (Party& party : *group) engine_.close(party.socket);
      }
    }
    end_worker();
  }

  /// A client of its own says this, and hears that until nothing more comes.
  Answer ask(const std::string& octets) {
    Party party;
    connect(party, octets);
    engine_.run_for(300ms);  // longer than an attempt waits before the other family is dialled, too
    Answer answer;
    receive(party, answer.octets);
    for (Party& listener : outside_) {
      Party target;
      const SimEngine::Bystander ours(engine_);
      while (engine_.try_accept(listener.socket, target.socket)) {
        ++reached_outside;
        engine_.abort(target.socket);
      }
    }
    {
      const SimEngine::Bystander ours(engine_);
      engine_.abort(party.socket);
    }
    engine_.run_for(1s);  // the resolver keeps an answer no longer than that
    look_inside();
    return answer;
  }

  /// Datagrams to the name through one association.
  void send_datagrams(int count) {
    Party& control = parties_.emplace_back();
    connect(control, "\x05\x01\x00"s + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"s);
    engine_.run_for(100ms);
    std::string reply;
    receive(control, reply);
    ASSERT_EQ(reply.size(), 12U);
    const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(reply[i]); };
    const Endpoint relay{Address::v4(octet(6), octet(7), octet(8), octet(9)),
                         static_cast<std::uint16_t>(octet(10) << 8 | octet(11))};
    Party& own = parties_.emplace_back();
    auto datagram = to_octets(wire::encode_udp_header({std::get<HostName>(*canonical_host(name)), 80}).octets());
    datagram.push_back('x');
    {
      const SimEngine::Bystander ours(engine_);
      ASSERT_TRUE(engine_.open_udp(own.socket, {client, 5000}));
    }
    for (int i = 0; i < count; ++i) {
      {
        const SimEngine::Bystander ours(engine_);
        const std::array one{engine::Datagram{relay, datagram}};
        ASSERT_TRUE(engine_.send_datagrams(own.socket, one));
      }
      engine_.run_for(1'100ms);
      for (Party& port : outside_ports_) reached_outside += received(port);
      look_inside();
    }
  }

  int reached_outside = 0;
  int reached_inside = 0;
  [[nodiscard]] std::size_t questions() const { return names_.questions(); }

 private:
  // Seven rows, so that neither the two families nor any even number of questions keep step with them.
  void add_rows() {
    const Address good = public_place.address;
    const Address good6 = public_place6.address;
    const auto add = [&](std::vector<Address> ipv4, std::vector<Address> ipv6) {
      names_.add(std::get<HostName>(*canonical_host(name)),
                 {.ipv4 = TableResolver::half(std::move(ipv4), 0s), .ipv6 = TableResolver::half(std::move(ipv6), 0s)});
    };
    add({good}, {});
    add({inside[0]}, {});
    add({good}, {inside[1]});
    add({inside[2]}, {good6});
    add({inside[0], good}, {});
    add({good, inside[3]}, {inside[4], good6});
    add({inside[3]}, {inside[4]});
  }
  static std::vector<std::uint8_t> to_octets(ConstBytes bytes) { return {bytes.begin(), bytes.end()}; }
  void connect(Party& party, const std::string& octets) {
    connect_from(client, party);
    engine_.run_for(10ms);
    send(party, octets);
  }
  int received(Party& port) {
    const SimEngine::Bystander ours(engine_);
    std::array<std::uint8_t, 64> room;
    std::array one{engine::Datagram{{}, room}};
    int count = 0;
    for (; engine_.receive_datagrams(port.socket, one); one[0].payload = room) ++count;
    return count;
  }
  void look_inside() {
    for (Party& port : inside_ports_) reached_inside += received(port);
    const SimEngine::Bystander ours(engine_);
    for (Party& listener : inside_) {
      Party target;
      while (engine_.try_accept(listener.socket, target.socket)) {
        ++reached_inside;
        engine_.abort(target.socket);
      }
    }
  }

  std::deque<Party> outside_;
  std::deque<Party> outside_ports_;
  std::deque<Party> inside_;
  std::deque<Party> inside_ports_;
  std::deque<Party> parties_;
};

std::string host() {
  return std::string(name);
}

TEST(Rebinding, NoConnectionGoesInside) {
  const std::array<std::string, 4> ways{"\x05\x01\x00\x05\x01\x00\x03\x0E"s + host() + "\x00\x50"s,
                                        "\x04\x01\x00\x50\x00\x00\x00\x01\x00"s + host() + "\x00"s,
                                        "CONNECT " + host() + ":80 HTTP/1.1\r\nHost: " + host() + ":80\r\n\r\n",
                                        "GET http://" + host() + "/ HTTP/1.1\r\nHost: " + host() + "\r\n\r\n"};
  World world;
  std::array<int, 4> granted{};
  for (int i = 0; i < tries; ++i) {
    // Five a way, that the rows and the ways do not keep step either.
    const auto way = static_cast<std::size_t>(i / 5) % ways.size();
    if (world.ask(ways[way]).granted()) ++granted[way];
  }
  EXPECT_EQ(world.reached_inside, 0);
  EXPECT_GE(world.questions(), static_cast<std::size_t>(tries)) << "an answer lived longer than its TTL";
  // Five rows of seven hold an address that may be reached. (The origin says nothing, so a GET is never answered.)
  EXPECT_NEAR(world.reached_outside, tries * 5 / 7, tries / 100);
  for (std::size_t way = 0; way < 3; ++way) EXPECT_NEAR(granted[way], tries / 4 * 5 / 7, tries / 100) << way;
  EXPECT_EQ(granted[3], 0);
}

TEST(Rebinding, NoAnswerNamesAnInsideAddress) {
  World world;
  int answered = 0;
  for (int i = 0; i < tries / 10; ++i) {
    const std::string octets = world.ask("\x05\x01\x00\x05\xF0\x00\x03\x0E"s + host() + "\x00\x00"s).octets;
    ASSERT_GE(octets.size(), 12U);
    if (octets[3] != 0) continue;
    ++answered;
    const auto bytes = reinterpret_cast<const std::uint8_t*>(octets.data()) + 6;
    const Address said = octets[5] == 1 ? Address::v4(bytes[0], bytes[1], bytes[2], bytes[3])
                                        : Address::v6(std::span<const std::uint8_t, 16>(bytes, 16));
    ASSERT_TRUE(said == public_place.address || said == public_place6.address) << said.to_string();
  }
  EXPECT_NEAR(answered, tries / 10 * 5 / 7, tries / 1'000);
  EXPECT_EQ(world.reached_inside + world.reached_outside, 0);
}

TEST(Rebinding, NoDatagramGoesInside) {
  World world;
  world.send_datagrams(tries / 10);
  EXPECT_EQ(world.reached_inside, 0);
  EXPECT_NEAR(world.reached_outside, tries / 10 * 5 / 7, tries / 1'000);
}

}  // namespace
}  // namespace stile::server
