#include "relay/tunnel_watch.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace stile::relay {
namespace {

using Seen = std::vector<std::string>;

class Watched final : public WatchOwner {
 public:
  bool look(std::string_view octets) {
    return watch_.look({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
  }
  Seen seen;

 private:
  void request_seen(void* context, const wire::HttpSighting& request) noexcept override {
    EXPECT_EQ(context, this);
    seen.push_back(describe(request, false));
  }
  void hello_seen(void* context, const wire::TlsClientHello& hello) noexcept override {
    EXPECT_EQ(context, this);
    std::string text = hello.server_name;
    for (const std::string& protocol : hello.protocols) text += " " + protocol;
    seen.push_back(text);
  }
  TunnelWatch watch_{*this, this};
};

/// A hello that names example.com and offers h2, in one record.
std::string hello() {
  const std::string names =
      std::string("\0\0\0\x10\0\x0e\0\0\x0b", 9) + "example.com" + std::string("\0\x10\0\5\0\3\2", 7) + "h2";
  const std::string body = std::string("\3\3", 2) + std::string(32, 'r') + std::string("\0\0\2\x13\1\1\0\0", 8) +
                           static_cast<char>(names.size()) + names;
  return std::string("\x16\3\1\0", 4) + static_cast<char>(body.size() + 4) + std::string("\1\0\0", 3) +
         static_cast<char>(body.size()) + body;
}

TEST(TunnelWatch, AHelloEndsIt) {
  Watched watched;
  EXPECT_FALSE(watched.look(hello() + "more"));
  EXPECT_EQ(watched.seen, Seen{"example.com h2"});
}

TEST(TunnelWatch, AHelloMayComeInParts) {
  const std::string whole = hello();
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Watched watched;
    EXPECT_TRUE(watched.look(whole.substr(0, cut)));
    EXPECT_FALSE(watched.look(whole.substr(cut)));
    EXPECT_EQ(watched.seen, Seen{"example.com h2"}) << cut;
  }
  Watched watched;
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) EXPECT_TRUE(watched.look(whole.substr(i, 1)));
  EXPECT_FALSE(watched.look(whole.substr(whole.size() - 1)));
  EXPECT_EQ(watched.seen, Seen{"example.com h2"});
}

TEST(TunnelWatch, AHelloWithoutEndIsGivenUp) {
  Watched watched;
  std::size_t octets = 0;
  while (watched.look(std::string("\x16\3\1\0\1\1", 6))) octets += 6;
  EXPECT_LE(octets, limits::tls_hello_octets_max + limits::KiB);
  EXPECT_EQ(watched.seen, Seen{});
}

TEST(TunnelWatch, RequestsAreSeenAsLongAsTheyAreUnderstood) {
  Watched watched;
  EXPECT_TRUE(watched.look("GET /a HTTP/1.1\r\nHost: b\r\n\r\nGET /c HT"));
  EXPECT_TRUE(watched.look("TP/1.1\r\nHost: b\r\n\r\n"));
  EXPECT_EQ(watched.seen, (Seen{"GET http://b/a", "GET http://b/c"}));
  EXPECT_FALSE(watched.look("\x81\x05"));
}

TEST(TunnelWatch, OtherProtocolsAreGivenUpAtTheirFirstOctet) {
  for (const std::string_view octets : {"\x13"
                                        "BitTorrent protocol",
                                        "\x05\x01", "ssh-2.0"}) {
    Watched watched;
    EXPECT_FALSE(watched.look(octets));
    EXPECT_EQ(watched.seen, Seen{});
  }
}

}  // namespace
}  // namespace stile::relay
