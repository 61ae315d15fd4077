// An association whose client's datagrams are wrapped (RFC 1961 section 5): who is served, with what, and what is
// counted is as without; what does not unwrap is dropped. With trains and without.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/sim/sim_engine.h"
#include "protect/gss_acceptance.h"
#include "protect/gss_context_for_tests.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"

namespace stile::relay {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets octets_of(std::string_view text) {
  return {text.begin(), text.end()};
}

/// A server's stream at level 2, and the client's end of its context.
class Protection {
 public:
  Protection() {
    take(wire::GssMessage::context, octets_of("hello"));
    (void)stream.handshake();
    stream.complete(octets_of("welcome"), std::make_unique<protect::ContextToSee>());
    Octets level;
    (void)client_.wrap(Octets{2}, false, level);
    take(wire::GssMessage::level, level);
    (void)stream.handshake();
    stream.sent(stream.to_send().size());
  }
  [[nodiscard]] std::string wrapped(const std::string& plain, bool encrypt = true) {
    Octets token;
    (void)client_.wrap(octets_of(plain), encrypt, token);
    return framed(token);
  }
  [[nodiscard]] std::string unwrapped(const std::string& datagram) {
    const Octets octets = octets_of(datagram);
    const auto token = wire::decode_gss_datagram(octets);
    Octets plain;
    if (!token || !client_.unwrap(*token, plain)) return "no frame";
    return {plain.begin(), plain.end()};
  }

  protect::GssAcceptance stream{{}};

 private:
  static std::string framed(const Octets& token) {
    const auto header = wire::encode_gss_header(wire::GssMessage::data, token.size());
    return std::string(header.begin(), header.end()) + std::string(token.begin(), token.end());
  }
  void take(wire::GssMessage message, const Octets& token) {
    stream.take(wire::encode_gss_header(message, token.size()));
    stream.take(token);
  }

  protect::ContextToSee client_;
};

class UdpProtected : public ::testing::TestWithParam<double> {
 protected:
  UdpProtected() {
    rig_.owner.admits = [](const Target&, const std::optional<Address>&) { return true; };
    AssociationRequest request;
    request.client = ip("198.51.100.7");
    request.local = ip("10.0.0.1");
    request.protection = &protection_.stream;
    association_ = &rig_.open(request);
  }
  void send(const std::string& octets) { client_.send(association_->bound(), octets); }
  [[nodiscard]] std::uint64_t dropped() const { return association_->totals().dropped(UdpDrop::token); }

  engine::SimEngine engine_{1, {.udp_train = GetParam()}};
  UdpRig rig_{engine_};
  Protection protection_;
  UdpPeer& client_ = rig_.peer(at("198.51.100.7:5000"));
  UdpPeer& origin_ = rig_.peer(at("192.0.2.1:53"));
  Association* association_ = nullptr;
};

TEST_P(UdpProtected, DatagramsGoBothWays) {
  ASSERT_TRUE(protection_.stream.established());
  const Target target = target_of("192.0.2.1", 53);
  const std::vector<std::string> payloads{"first", "second", "", std::string(1200, 'x'), "again", "again"};
  for (const std::string& payload : payloads) send(protection_.wrapped(packet(target, payload)));
  rig_.settle();
  EXPECT_EQ(origin_.payloads(), payloads);
  const Endpoint back = origin_.received().front().from;
  for (const std::string& payload : payloads) origin_.send(back, payload);
  rig_.settle();
  ASSERT_EQ(client_.received().size(), payloads.size());
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    EXPECT_EQ(protection_.unwrapped(client_.received()[i].octets), packet(target, payloads[i])) << i;
  }
  std::size_t octets = 0;
  for (const std::string& payload : payloads) octets += payload.size();
  const AssociationTotals& totals = association_->totals();
  EXPECT_EQ(totals.up.octets, octets);
  EXPECT_EQ(totals.down.octets, octets);
  EXPECT_EQ(totals.down.datagrams, payloads.size());
  EXPECT_EQ(dropped(), 0U);
}

TEST_P(UdpProtected, WhatDoesNotUnwrapIsDroppedAndPinsNothing) {
  const Target target = target_of("192.0.2.1", 53);
  const std::string good = protection_.wrapped(packet(target, "good"));
  const std::string weak = protection_.wrapped(packet(target, "weak"), false);
  std::string changed = protection_.wrapped(packet(target, "changed"));
  changed[12] = static_cast<char>(changed[12] ^ 1);
  UdpPeer& forger = rig_.peer(at("198.51.100.7:5001"));
  for (const std::string& bad : {packet(target, "plain"), weak, changed, good + "x", good.substr(0, good.size() - 1),
                                 std::string("\1\3\0\0", 4)}) {
    forger.send(association_->bound(), bad);
  }
  rig_.settle();
  EXPECT_EQ(dropped(), 6U);
  send(good);
  send(good);
  rig_.settle();
  EXPECT_EQ(origin_.payloads(), std::vector<std::string>{"good"}) << "the forger has not taken the client's place";
  EXPECT_EQ(dropped(), 7U);
}

TEST_P(UdpProtected, AnAnswerThatIsTooLongOnceItIsWrappedIsDropped) {
  const Target target = target_of("192.0.2.1", 53);
  send(protection_.wrapped(packet(target, "ask")));
  rig_.settle();
  origin_.send(origin_.received().front().from, std::string(limits::udp_payload_octets_max - 12, 'x'));
  rig_.settle();
  EXPECT_TRUE(client_.received().empty());
  EXPECT_EQ(association_->totals().dropped(UdpDrop::too_big) + dropped(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Trains, UdpProtected, ::testing::Values(0.0, 1.0));

}  // namespace
}  // namespace stile::relay
