// The server's side of RFC 1961 with a context that is easy to see through; a real one is in tests/e2e/gssapi_test.py.
#include "protect/gss_acceptance.h"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"
#include "protect/gss_context_for_tests.h"

namespace stile::protect {
namespace {

using wire::GssMessage;
using Octets = std::vector<std::uint8_t>;

Octets octets_of(std::string_view text) {
  return {text.begin(), text.end()};
}
Octets frame(GssMessage message, ConstBytes token) {
  const auto header = wire::encode_gss_header(message, token.size());
  Octets octets(header.begin(), header.end());
  octets.insert(octets.end(), token.begin(), token.end());
  return octets;
}
const Octets abort_message{0x01, 0xFF};

/// A client and the server's transform. The mechanism takes "hello", answers "welcome", and is through; "more" makes it
/// ask for another token, "no" is refused.
class Conversation {
 public:
  explicit Conversation(GssRules rules = {}, bool can_encrypt = true)
      : server(rules), client(can_encrypt), can_encrypt_(can_encrypt) {}

  void send(ConstBytes octets) {
    server.take(octets);
    advance();
  }
  /// As the driver does.
  void advance() {
    for (;;) {
      const auto done = server.established() ? Result<void>{} : server.handshake();
      if (done || !server.waits()) break;
      const std::string token(server.token().begin(), server.token().end());
      ++asked;
      if (token == "hello") {
        server.complete(octets_of("welcome"), std::make_unique<ContextToSee>(can_encrypt_));
      } else if (token == "more") {
        server.advance(octets_of("go on"));
      } else {
        server.refuse(Reason::gss_accept);
      }
    }
    const ConstBytes sent = server.to_send();
    said.insert(said.end(), sent.begin(), sent.end());
    server.sent(sent.size());
  }
  Octets taken() { return std::exchange(said, {}); }

  Octets wrapped(std::string_view text, bool encrypt) {
    Octets token;
    EXPECT_TRUE(client.wrap(octets_of(text), encrypt, token));
    return token;
  }
  Octets data(std::string_view text, bool encrypt = true) { return frame(GssMessage::data, wrapped(text, encrypt)); }
  void establish() {
    send(frame(GssMessage::context, octets_of("hello")));
    EXPECT_EQ(taken(), frame(GssMessage::context, octets_of("welcome")));
  }
  /// What is granted, or -1.
  int ask(std::uint8_t level) {
    const char octet = static_cast<char>(level);
    send(frame(GssMessage::level, wrapped({&octet, 1}, false)));
    const Octets answer = taken();
    if (answer.size() < wire::gss_header_octets) return -1;
    Octets plain;
    const auto unwrapped = client.unwrap(ConstBytes(answer).subspan(wire::gss_header_octets), plain);
    EXPECT_TRUE(unwrapped && plain.size() == 1 && !unwrapped->confidential);
    return plain[0];
  }
  std::string read() {
    std::string text;
    std::array<std::uint8_t, 7> room{};
    for (;;) {
      const auto opened = server.open(room);
      if (!opened) break;
      text.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*opened));
    }
    return text;
  }

  GssAcceptance server;
  ContextToSee client;
  Octets said;
  int asked = 0;

 private:
  bool can_encrypt_;
};

TEST(GssAcceptance, GrantsLevels) {
  struct Row {
    GssRules rules;
    bool can_encrypt;
    std::array<int, 5> granted;  // to who asks for 0, 1, 2, 3, 4
  };
  const std::array rows{
      Row{{}, true, {-1, 1, 2, 2, -1}},
      Row{{}, false, {-1, 1, 1, 1, -1}},
      Row{{.encrypt = true}, true, {-1, 2, 2, 2, -1}},
      Row{{.encrypt = true}, false, {-1, -1, -1, -1, -1}},
      Row{{.clear = true}, true, {0, 1, 2, 2, -1}},
  };
  for (const Row& row : rows) {
    for (std::uint8_t asked = 0; asked < row.granted.size(); ++asked) {
      Conversation one(row.rules, row.can_encrypt);
      one.establish();
      EXPECT_EQ(one.ask(asked), row.granted[asked]) << int{asked};
      EXPECT_EQ(one.server.established(), row.granted[asked] >= 0);
      EXPECT_EQ(one.server.is_clear(), row.granted[asked] == 0);
      EXPECT_EQ(one.server.failure(), row.granted[asked] < 0 ? Reason::gss_level : Reason::none);
    }
  }
}

TEST(GssAcceptance, TheBareLevelIsAnsweredBareWhereItIsAllowed) {
  const Octets bare = frame(GssMessage::level, Octets{2});
  Conversation strict;
  strict.establish();
  strict.send(bare);
  EXPECT_EQ(strict.taken(), abort_message);
  Conversation lenient({.bare_levels = true});
  lenient.establish();
  lenient.send(bare);
  EXPECT_EQ(lenient.taken(), bare);
  lenient.send(lenient.data("hi"));
  EXPECT_EQ(lenient.read(), "hi");
}

TEST(GssAcceptance, AnySplitGivesTheSame) {
  Conversation whole;
  Octets all = frame(GssMessage::context, octets_of("more"));
  for (const Octets& part :
       {frame(GssMessage::context, octets_of("hello")), frame(GssMessage::level, whole.wrapped("\2", false)),
        whole.data("early"), whole.data("late")}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  whole.send(all);
  EXPECT_EQ(whole.read(), "earlylate");
  const Octets answer = whole.taken();
  EXPECT_EQ(whole.asked, 2);
  for (std::size_t split = 1; split < all.size(); ++split) {
    Conversation one;
    one.send(ConstBytes(all).first(split));
    const std::string first = one.server.established() ? one.read() : "";
    one.send(ConstBytes(all).subspan(split));
    EXPECT_EQ(first + one.read(), "earlylate") << split;
    EXPECT_EQ(one.taken(), answer) << split;
  }
}

TEST(GssAcceptance, NothingIsTakenWhileSomebodyIsAsked) {
  GssAcceptance server({});
  server.take(frame(GssMessage::context, octets_of("hello")));
  EXPECT_FALSE(server.handshake());
  EXPECT_TRUE(server.waits());
  EXPECT_FALSE(server.handshake());
  EXPECT_TRUE(server.to_send().empty());
  server.refuse(Reason::auth_unavailable);
  EXPECT_FALSE(server.waits());
  EXPECT_EQ(server.failure(), Reason::auth_unavailable);
  EXPECT_EQ(Octets(server.to_send().begin(), server.to_send().end()), abort_message);
}

TEST(GssAcceptance, RefusesWhatIsOutOfTurn) {
  struct Row {
    Octets octets;
    Reason reason;
  };
  const std::array rows{
      Row{frame(GssMessage::level, Octets{1}), Reason::gss_order},
      Row{frame(GssMessage::data, Octets{1}), Reason::gss_order},
      Row{{0x01, 0x01, 0x00, 0x00}, Reason::gss_token},
      Row{{0x02}, Reason::gss_version},
      Row{{0x01, 0x04}, Reason::gss_order},
      Row{{0x01, 0xFF}, Reason::gss_order},
      Row{frame(GssMessage::context, octets_of("no")), Reason::gss_accept},
  };
  for (const Row& row : rows) {
    Conversation one;
    one.send(row.octets);
    EXPECT_EQ(one.server.failure(), row.reason);
    EXPECT_EQ(one.taken(), abort_message);
  }
  Conversation again;
  again.establish();
  again.send(frame(GssMessage::context, octets_of("hello")));
  EXPECT_EQ(again.server.failure(), Reason::gss_order);
  EXPECT_EQ(again.asked, 1);
  Conversation endless;
  for (int i = 0; i <= limits::gss_rounds_max; ++i) endless.send(frame(GssMessage::context, octets_of("more")));
  EXPECT_EQ(endless.asked, limits::gss_rounds_max);
  EXPECT_EQ(endless.server.failure(), Reason::gss_accept);
}

TEST(GssAcceptance, LevelsThatDoNotUnwrapAreNone) {
  for (const bool twice : {false, true}) {
    Conversation one;
    one.establish();
    Octets token = one.wrapped(twice ? "\2\2" : "\2", false);
    if (!twice) token.back() ^= 1;
    one.send(frame(GssMessage::level, token));
    EXPECT_EQ(one.server.failure(), twice ? Reason::gss_level : Reason::gss_token);
    EXPECT_EQ(one.taken(), abort_message);
  }
}

Conversation& entered(Conversation& one, std::uint8_t level = 2) {
  one.establish();
  EXPECT_EQ(one.ask(level), level);
  return one;
}

TEST(GssStream, CarriesOctetsBothWays) {
  for (const std::uint8_t level : {std::uint8_t{1}, std::uint8_t{2}}) {
    Conversation one;
    entered(one, level);
    one.send(one.data("to the server", level == 2));
    EXPECT_TRUE(one.server.holds_input());
    EXPECT_EQ(one.read(), "to the server");
    EXPECT_FALSE(one.server.holds_input());
    const std::string long_text(3 * limits::gss_plain_octets_max / 2, 'x');
    EXPECT_EQ(*one.server.seal(octets_of(long_text)), limits::gss_plain_octets_max);
    one.advance();
    const Octets sent = one.taken();
    Octets plain;
    const auto unwrapped = one.client.unwrap(ConstBytes(sent).subspan(wire::gss_header_octets), plain);
    ASSERT_TRUE(unwrapped);
    EXPECT_EQ(unwrapped->confidential, level == 2);
    EXPECT_EQ(plain.size(), limits::gss_plain_octets_max);
    EXPECT_TRUE(one.server.connection_ended());
  }
}

TEST(GssStream, EmptyMessagesAreNoEnd) {
  Conversation one;
  entered(one);
  one.send(one.data(""));
  one.send(one.data("x"));
  EXPECT_EQ(one.read(), "x");
  EXPECT_EQ(one.server.failure(), Reason::none);
}

TEST(GssStream, BreaksOffAtWhatIsNotRight) {
  for (const std::string_view fault : {"changed", "twice", "gap", "raw", "weak", "empty", "level"}) {
    Conversation one;
    entered(one);
    Octets bad = one.data("secret");
    Reason reason = Reason::gss_token;
    if (fault == "changed") bad[10] ^= 1;
    if (fault == "twice") one.send(bad);
    if (fault == "gap") bad = one.data("the next");
    if (fault == "weak") bad = one.data("secret", false);
    if (fault == "empty") bad = {0x01, 0x03, 0x00, 0x00};
    if (fault == "raw") {
      bad = octets_of("GET /");
      reason = Reason::gss_version;
    }
    if (fault == "level") {
      bad = frame(GssMessage::level, bad);
      reason = Reason::gss_order;
    }
    one.send(bad);
    EXPECT_EQ(one.read(), fault == "twice" ? "secret" : "") << fault;
    EXPECT_EQ(one.server.failure(), reason) << fault;
    one.advance();
    EXPECT_EQ(one.taken(), abort_message) << fault;
    EXPECT_FALSE(one.server.seal(octets_of("x"))) << fault;
  }
}

TEST(GssStream, TheAbortMessageIsSaidBeforeAnythingWrappedOnly) {
  Conversation one;
  entered(one);
  EXPECT_TRUE(one.server.seal(octets_of("reply")));
  one.advance();
  (void)one.taken();
  one.send(octets_of("GET /"));
  EXPECT_EQ(one.read(), "");
  one.advance();
  EXPECT_TRUE(one.taken().empty());
}

TEST(GssStream, AFrameThatIsCutOffIsNoEnd) {
  Conversation one;
  entered(one);
  const Octets whole = one.data("x");
  one.send(ConstBytes(whole).first(whole.size() - 1));
  EXPECT_EQ(one.read(), "");
  EXPECT_FALSE(one.server.connection_ended());
  EXPECT_EQ(one.server.failure(), Reason::gss_token);
}

TEST(GssStream, DatagramsMayBeMissingAndLateButNotTwice) {
  Conversation one;
  entered(one);
  const Octets first = one.data("1");
  const Octets second = one.data("2");
  const Octets weak = one.data("w", false);
  const auto opened = [&](const Octets& datagram) {
    Octets plain;
    const bool good = one.server.unwrap_datagram(datagram, plain);
    return good ? std::string(plain.begin(), plain.end()) : "dropped";
  };
  EXPECT_EQ(opened(second), "2");
  EXPECT_EQ(opened(first), "1");
  EXPECT_EQ(opened(first), "dropped");
  EXPECT_EQ(opened(weak), "dropped");
  Octets longer = one.data("3");
  longer.push_back(0);
  EXPECT_EQ(opened(longer), "dropped");
  Octets datagram;
  EXPECT_TRUE(one.server.wrap_datagram(octets_of("answer"), datagram));
  Octets plain;
  EXPECT_TRUE(one.client.unwrap(ConstBytes(datagram).subspan(wire::gss_header_octets), plain));
  EXPECT_EQ(plain, octets_of("answer"));
  EXPECT_FALSE(one.server.wrap_datagram(Octets(65530), datagram));
}

}  // namespace
}  // namespace stile::protect
