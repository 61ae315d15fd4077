// A private network, its sockets and files, in the hands of a program. Where this system lets nobody have one, the
// tests say so and are skipped.
#include "sys/private_network.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "sys/diverted_socket.h"
#include "sys/foreground_command.h"
#include "sys/packet_rules.h"
#include "sys/private_files.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

using Kind = PrivateNetworkPlan::Opening::Kind;

const Address own = Address::v4(198, 18, 0, 1);
const Address own_six = *Address::parse("fd73:7469:6c65::1");

PrivateNetworkPlan plan() {
  return {.addresses = {own, own_six},
          .rules =
              "table inet t { chain c { type filter hook prerouting priority mangle; policy accept;\n"
              "ip daddr { 127.0.0.0/8, 198.18.0.1 } accept\n"
              "meta mark " +
              std::to_string(arriving_mark) +
              " accept\n"
              "tcp flags & (syn | ack) != syn accept\n"
              "meta nfproto ipv4 meta l4proto tcp tproxy ip to 198.18.0.1:7000 accept\n"
              "}\n}\n",
          .openings = {{Kind::diverted_listener, {own, 7000}},
                       {Kind::addressed_datagrams, {Address{}, 53}},
                       {Kind::addressed_datagrams, {*Address::parse("::"), 53}}}};
}

class PrivateNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_packet_rules()) GTEST_SKIP() << "built without nftables";
    network_ = PrivateNetwork::create(plan());
    using Step = PrivateNetworkRefusal::Step;
    if (!network_ &&
        (network_.error().step == Step::user_namespace || network_.error().step == Step::network_namespace)) {
      GTEST_SKIP() << "this system gives no private networks";
    }
    ASSERT_TRUE(network_) << static_cast<int>(network_.error().step) << " " << network_.error().told;
    ASSERT_EQ(network_->sockets.size(), 3U);
    for (const UniqueFd& fd : network_->sockets) EXPECT_TRUE(fd);
  }

  /// Runs a script inside; what it wrote.
  std::string run(const std::string& script, const std::function<void()>& meanwhile = [] {}) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    auto command = ForegroundCommand::fork({"bash", "-c", script}, {"PATH=/usr/bin:/bin:/usr/sbin:/sbin"},
                                           [&]() -> std::optional<ForegroundCommand::Fault> {
                                             ::dup2(pipe[1], STDOUT_FILENO);
                                             ::close(pipe[0]);
                                             ::close(pipe[1]);
                                             if (auto entered = network_->enter(); !entered)
                                               return {{1, entered.error()}};
                                             if (auto seen = see_private_files(files_, folders_); !seen)
                                               return {{2, seen.error()}};
                                             return std::nullopt;
                                           });
    EXPECT_TRUE(command);
    ::close(pipe[1]);
    const auto refused = command->start();
    EXPECT_FALSE(refused) << (refused ? refused->step : 0) << " " << (refused ? refused->error.os_code : 0);
    meanwhile();
    std::string said;
    for (std::array<char, 512> room;;) {
      const ssize_t got = ::read(pipe[0], room.data(), room.size());
      if (got <= 0) break;
      said.append(room.data(), static_cast<std::size_t>(got));
    }
    ::close(pipe[0]);
    pollfd watched{.fd = command->descriptor(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&watched, 1, -1), 1);
    EXPECT_TRUE(command->ended());
    return said;
  }

  static void await(const UniqueFd& fd) {
    pollfd watched{.fd = fd.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&watched, 1, 10'000), 1);
  }

  std::expected<PrivateNetwork, PrivateNetworkRefusal> network_{std::unexpected(PrivateNetworkRefusal{})};
  std::vector<PrivateFile> files_;
  std::vector<std::string> folders_;
};

TEST_F(PrivateNetworkTest, HasNothingButLoopback) {
  EXPECT_EQ(run("sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo\n");
}

TEST_F(PrivateNetworkTest, KeepsUserAndGroup) {
  EXPECT_EQ(run("id -u; id -g"), std::to_string(::geteuid()) + "\n" + std::to_string(::getegid()) + "\n");
}

TEST_F(PrivateNetworkTest, DivertsConnectionsToASocketOutside) {
  SocketAddress called;
  SocketAddress from;
  const std::string said = run("exec 3<>/dev/tcp/192.0.2.7/80; read -r line <&3; echo \"$line\"", [&] {
    await(network_->sockets[0]);
    const UniqueFd client(::accept4(network_->sockets[0].get(), &from.generic, &from.length, SOCK_CLOEXEC));
    ASSERT_TRUE(client);
    EXPECT_EQ(::getsockname(client.get(), &called.generic, &called.length), 0);
    EXPECT_EQ(::send(client.get(), "hello\n", 6, 0), 6);
  });
  EXPECT_EQ(said, "hello\n");
  EXPECT_EQ(called.endpoint().to_string(), "192.0.2.7:80");
  EXPECT_EQ(from.endpoint().address, own);
}

TEST_F(PrivateNetworkTest, WhoComesFromOutsideIsLedInUnderHisOwnName) {
  const Endpoint peer{Address::v4(203, 0, 113, 9), 4711};
  const std::string script =
      "exec python3 -c 'import socket; s = socket.create_server((\"0.0.0.0\", 7777)); print(\"ready\", flush=True); "
      "c, a = s.accept(); print(a[0], a[1], c.getsockname()[0], c.recv(9).decode())'";
  UniqueFd arriving;
  const std::string said = run(script, [&] {
    // Until the program listens: it is refused before.
    for (SocketAddress found; !found.endpoint().port;) {
      auto opened = network_->open({Kind::arriving_stream, peer});
      ASSERT_TRUE(opened) << opened.error().os_code;
      arriving = *std::move(opened);
      ASSERT_TRUE(connect_stream(arriving.get(), {Address::v4(203, 0, 113, 1), 7777}));
      pollfd watched{.fd = arriving.get(), .events = POLLOUT, .revents = 0};
      EXPECT_EQ(::poll(&watched, 1, 10'000), 1);
      found = SocketAddress();
      if (::getpeername(arriving.get(), &found.generic, &found.length) != 0) found = SocketAddress();
    }
    EXPECT_EQ(::send(arriving.get(), "hello", 5, MSG_NOSIGNAL), 5);
  });
  EXPECT_EQ(said, "ready\n203.0.113.9 4711 203.0.113.1 hello\n");
  EXPECT_TRUE(network_->open({Kind::socket_ends, {}}));
  EXPECT_EQ(network_->open({Kind::diverted_listener, {own, 7000}}).error().kind, ErrorKind::address_in_use);
}

TEST_F(PrivateNetworkTest, LoopbackStaysInside) {
  EXPECT_EQ(run("exec 3<>/dev/tcp/127.0.0.1/7000 || echo refused"), "refused\n");
}

TEST_F(PrivateNetworkTest, DatagramsTellWhomTheyWereSentTo) {
  const auto answer = [](const UniqueFd& fd, const char* called) {
    await(fd);
    std::array<std::uint8_t, 64> room;
    const auto got = receive_addressed(fd.get(), room);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->octets, 4U);
    EXPECT_EQ(got->called.to_string(), called);
    EXPECT_EQ(got->hops, 64);
    EXPECT_TRUE(answer_addressed(fd.get(), got->called.address, got->from, ConstBytes(room).first(2)));
    EXPECT_EQ(receive_addressed(fd.get(), room).error().kind, ErrorKind::would_block);
  };
  // Connected sockets: an answer from another address would not reach them.
  EXPECT_EQ(run("exec 3<>/dev/udp/203.0.113.9/53; echo abc >&3; head -c2 <&3",
                [&] { answer(network_->sockets[1], "203.0.113.9:53"); }),
            "ab");
  EXPECT_EQ(run("exec 3<>/dev/udp/2001:db8::9/53; echo abc >&3; head -c2 <&3",
                [&] { answer(network_->sockets[2], "[2001:db8::9]:53"); }),
            "ab");
}

TEST_F(PrivateNetworkTest, FilesAndFoldersAreItsOwn) {
  const std::string folder = ::testing::TempDir() + "stile-private-" + std::to_string(::getpid());
  ASSERT_EQ(std::system(("mkdir -p " + folder + "/hidden && echo outside | tee " + folder + "/file " + folder +
                         "/hidden/socket " + folder + "/hidden/kept >/dev/null && cd " + folder +
                         " && ln -sf file link && ln -sf hidden/kept stub")
                            .c_str()),
            0);
  // A link into a folder that is hidden, whose target is named as well: as systemd-resolved has it.
  files_ = {{folder + "/link", "inside\n"},
            {folder + "/stub", "inside too\n"},
            {folder + "/hidden/kept", "inside too\n"},
            {folder + "/missing", "never"}};
  folders_ = {folder + "/hidden", folder + "/missing-folder", folder + "/hidden"};
  EXPECT_EQ(run("cd " + folder + "; cat link file stub; ls hidden; ls; echo x 2>/dev/null >file || echo read-only"),
            "inside\ninside\ninside too\nkept\nfile\nhidden\nlink\nstub\nread-only\n");
  EXPECT_EQ(std::system(("cd " + folder +
                         " && test \"$(cat file hidden/kept | tr -d '\\n')\" = outsideoutside && rm -r " + folder)
                            .c_str()),
            0);
}

TEST(PrivateNetwork, TellsWhichRuleIsWrong) {
  if (!has_packet_rules()) GTEST_SKIP() << "built without nftables";
  PrivateNetworkPlan wrong = plan();
  wrong.rules = "table inet t { nonsense }";
  const auto network = PrivateNetwork::create(wrong);
  ASSERT_FALSE(network);
  if (network.error().step == PrivateNetworkRefusal::Step::user_namespace) GTEST_SKIP() << "no private networks here";
  EXPECT_EQ(network.error().step, PrivateNetworkRefusal::Step::rules);
  EXPECT_NE(network.error().told.find("syntax error"), std::string::npos) << network.error().told;
}

}  // namespace
}  // namespace stile::sys
