// The client's side of RFC 1961 against the server's, with a context and a mechanism that are easy to see through.
#include "protect/gss_initiation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "protect/gss_acceptance.h"
#include "protect/gss_context_for_tests.h"

namespace stile::protect {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets octets_of(std::string_view text) {
  return {text.begin(), text.end()};
}

/// So many tokens each way; the last word is the server's where `mutual`.
class TicketToSee final : public GssInitiator {
 public:
  explicit TicketToSee(int tokens, bool last_is_ours = false) : tokens_(tokens), last_is_ours_(last_is_ours) {}
  std::optional<Octets> step(ConstBytes token) override {
    if (tokens_ == 0) return std::nullopt;
    if (++steps_ > 1 && token.empty()) return std::nullopt;
    complete_ = steps_ > tokens_ || (last_is_ours_ && steps_ == tokens_);
    return complete_ && !last_is_ours_ ? Octets{} : octets_of("token");
  }
  [[nodiscard]] bool complete() const noexcept override { return complete_; }
  std::unique_ptr<GssContext> take() override { return std::make_unique<ContextToSee>(); }

 private:
  int tokens_;
  bool last_is_ours_;
  int steps_ = 0;
  bool complete_ = false;
};

/// Both ends, with what they say carried over in pieces.
struct Pair {
  explicit Pair(int tokens, bool last_is_ours = false, GssRules rules = {})
      : client(std::make_unique<TicketToSee>(tokens, last_is_ours)),
        server(rules),
        left(tokens),
        silent(last_is_ours) {}

  void run(std::size_t piece) {
    for (int i = 0; i < 1000 && client.failure() == Reason::none && server.failure() == Reason::none; ++i) {
      (void)client.handshake();
      carry(client, server, piece);
      if (!server.established()) (void)server.handshake();
      if (server.waits()) answer();
      carry(server, client, piece);
      if (client.established() && server.established()) return;
    }
  }
  void answer() {
    if (--left > 0) return server.advance(octets_of("answer"));
    server.complete(silent ? Octets{} : octets_of("answer"), std::make_unique<ContextToSee>());
  }
  static void carry(GssStream& from, GssStream& to, std::size_t piece) {
    const ConstBytes octets = from.to_send().first(std::min(piece, from.to_send().size()));
    if (octets.empty()) return;
    to.take(octets);
    from.sent(octets.size());
  }

  GssInitiation client;
  GssAcceptance server;
  int left;
  bool silent;
};

TEST(GssInitiation, BothEndsUnderstandEachOther) {
  for (const int tokens : {1, 2, 5}) {
    for (const bool last_is_ours : {false, true}) {
      for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
        Pair pair(tokens, last_is_ours);
        pair.run(piece);
        ASSERT_TRUE(pair.client.established() && pair.server.established()) << tokens << last_is_ours << piece;
        ASSERT_TRUE(pair.client.seal(octets_of("request")));
        Pair::carry(pair.client, pair.server, 1000);
        Octets room(100);
        EXPECT_EQ(pair.server.open(room), Result<std::size_t>(7));
        ASSERT_TRUE(pair.server.seal(octets_of("reply")));
        Pair::carry(pair.server, pair.client, 1000);
        EXPECT_EQ(pair.client.open(room), Result<std::size_t>(5));
      }
    }
  }
}

TEST(GssInitiation, WithoutATicketNothingIsAskedFor) {
  Pair pair(0);
  pair.run(1000);
  EXPECT_EQ(pair.client.failure(), Reason::gss_ticket);
  GssInitiation nobody(nullptr);
  EXPECT_FALSE(nobody.handshake());
  EXPECT_EQ(nobody.failure(), Reason::gss_ticket);
}

TEST(GssInitiation, TellsARefusedTicketFromARefusedLevel) {
  GssInitiation client(std::make_unique<TicketToSee>(1));
  EXPECT_FALSE(client.handshake());
  client.take(wire::encode_gss_abort());
  EXPECT_FALSE(client.handshake());
  EXPECT_EQ(client.failure(), Reason::gss_accept);

  const auto header = [](wire::GssMessage message, std::size_t octets) {
    return wire::encode_gss_header(message, octets);
  };
  for (const std::string_view answer : {"abort", "weak", "changed", "order"}) {
    GssInitiation one(std::make_unique<TicketToSee>(1));
    ContextToSee server;
    EXPECT_FALSE(one.handshake());
    one.take(header(wire::GssMessage::context, 1));
    one.take(octets_of("x"));
    EXPECT_FALSE(one.handshake());
    Octets token;
    ASSERT_TRUE(server.wrap(Octets{answer == "weak" ? std::uint8_t{1} : std::uint8_t{2}}, false, token));
    if (answer == "changed") token.back() ^= 1;
    if (answer == "abort") {
      one.take(wire::encode_gss_abort());
    } else {
      one.take(header(answer == "order" ? wire::GssMessage::data : wire::GssMessage::level, token.size()));
      one.take(token);
    }
    EXPECT_FALSE(one.handshake());
    EXPECT_EQ(one.failure(), answer == "changed" ? Reason::gss_token
                             : answer == "order" ? Reason::gss_order
                                                 : Reason::gss_level)
        << answer;
  }
}

void grant(GssInitiation& client, std::uint8_t level, ContextToSee& server) {
  EXPECT_FALSE(client.handshake());
  client.take(wire::encode_gss_header(wire::GssMessage::context, 1));
  client.take(octets_of("x"));
  EXPECT_FALSE(client.handshake());
  Octets token;
  EXPECT_TRUE(server.wrap(Octets{level}, false, token));
  client.take(wire::encode_gss_header(wire::GssMessage::level, token.size()));
  client.take(token);
  (void)client.handshake();
}

TEST(GssInitiation, TakesWhatItAskedForAndMore) {
  for (const bool encrypted : {false, true}) {
    for (const int level : {0, 1, 2, 3, 255}) {
      ContextToSee server;
      GssInitiation client(std::make_unique<TicketToSee>(1), encrypted);
      grant(client, static_cast<std::uint8_t>(level), server);
      const bool good = level == 2 || (level == 1 && !encrypted);
      EXPECT_EQ(client.established(), good) << encrypted << level;
      EXPECT_EQ(client.failure(), good ? Reason::none : Reason::gss_level) << encrypted << level;
      if (!good) continue;
      client.sent(client.to_send().size());
      ASSERT_TRUE(client.seal(octets_of("said")));
      const Octets sent(client.to_send().begin(), client.to_send().end());
      const bool readable = std::ranges::search(sent, octets_of("said")).begin() != sent.end();
      EXPECT_EQ(readable, level == 1) << "as the server has granted it";
    }
  }
}

TEST(GssInitiation, AsksForItsLevel) {
  for (const bool encrypted : {false, true}) {
    GssInitiation client(std::make_unique<TicketToSee>(1), encrypted);
    ContextToSee server;
    EXPECT_FALSE(client.handshake());
    client.sent(client.to_send().size());
    client.take(wire::encode_gss_header(wire::GssMessage::context, 1));
    client.take(octets_of("x"));
    EXPECT_FALSE(client.handshake());
    Octets asked;
    ASSERT_TRUE(server.unwrap(client.to_send().subspan(wire::gss_header_octets), asked));
    EXPECT_EQ(asked, Octets{encrypted ? std::uint8_t{2} : std::uint8_t{1}});
  }
}

TEST(GssInitiation, AnEmptyTokenIsNoTokenBeforeItsTime) {
  GssInitiation client(std::make_unique<TicketToSee>(2));
  EXPECT_FALSE(client.handshake());
  client.take(wire::encode_gss_header(wire::GssMessage::context, 0));
  EXPECT_FALSE(client.handshake());
  EXPECT_EQ(client.failure(), Reason::gss_token);
}

}  // namespace
}  // namespace stile::protect
