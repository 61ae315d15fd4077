#include "sys/socket_calls.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>

#include "sys/record_socket.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

using Kind = SocketCall::Kind;

/// A process whose calls are heard.
class HeardProcess {
 public:
  explicit HeardProcess(const std::function<int()>& body) {
    auto pair = record_pair();
    EXPECT_TRUE(pair);
    id_ = ::fork();
    if (id_ == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);  // the tests may be anybody's
      const auto watch = hear_socket_calls();
      if (!send_descriptor(pair->there.get(), watch) || !watch) ::_exit(100);
      ::_exit(body());
    }
    pair->there.reset();
    pollfd ready{.fd = pair->here.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&ready, 1, -1), 1);
    auto watch = receive_descriptor(pair->here.get());
    if (watch) {
      watch_ = *std::move(watch);
    } else {
      refused_ = watch.error().os_code;
    }
  }
  ~HeardProcess() {
    if (id_ > 0) code();
  }

  [[nodiscard]] int watch() const { return watch_.get(); }
  [[nodiscard]] int refused() const { return refused_; }
  [[nodiscard]] SocketCall next() const {
    for (;;) {
      pollfd ready{.fd = watch_.get(), .events = POLLIN, .revents = 0};
      EXPECT_EQ(::poll(&ready, 1, -1), 1);
      const auto call = next_socket_call(watch_.get());
      if (call) return *call;
      if (call.error().kind != ErrorKind::would_block) {
        ADD_FAILURE() << "the process has ended";
        return {};
      }
    }
  }
  void end() const { EXPECT_EQ(::kill(id_, SIGKILL), 0); }
  /// How it has ended.
  int code() {
    int status = 0;
    EXPECT_EQ(::waitpid(id_, &status, 0), id_);
    id_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int id_ = -1;
  UniqueFd watch_;
  int refused_ = 0;
};

int make_socket(const Endpoint& local = {}, bool bound = false) {
  const int fd = ::socket(address_family(local.address), SOCK_STREAM, 0);
  const SocketAddress address(local);
  if (bound && ::bind(fd, &address.generic, address.length) != 0) return -1;
  return fd;
}

class SocketCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    const HeardProcess probe([] { return 0; });
    if (probe.watch() < 0) GTEST_SKIP() << "this system lets no calls be heard: " << std::strerror(probe.refused());
  }
};

TEST_F(SocketCalls, AreHeardBeforeTheyAreMade) {
  const HeardProcess idle([] { return ::pause(); });
  EXPECT_EQ(next_socket_call(idle.watch()).error().kind, ErrorKind::would_block);
  idle.end();
  HeardProcess process([] {
    const int fd = make_socket({Address::v4(127, 0, 0, 1), 0}, true);
    return fd < 0 ? 1 : ::listen(fd, 1) == 0 ? 0 : 2;
  });
  const SocketCall bound = process.next();
  EXPECT_EQ(bound.kind, Kind::bind);
  ASSERT_TRUE(bound.address);
  EXPECT_EQ(bound.address->to_string(), "127.0.0.1:0");
  const auto caller = caller_of(bound);
  ASSERT_TRUE(caller);
  EXPECT_TRUE(is_running(*caller));
  {
    const UniqueFd socket = socket_of(process.watch(), bound, *caller);
    const auto about = stream_socket_of(socket.get());
    ASSERT_TRUE(about);
    EXPECT_FALSE(about->is_v6);
    EXPECT_EQ(about->local.port, 0);
    EXPECT_NE(about->cookie, 0U);
  }
  let_go_on(process.watch(), bound);
  const SocketCall listening = process.next();
  EXPECT_EQ(listening.kind, Kind::listen);
  EXPECT_FALSE(listening.address);
  let_go_on(process.watch(), listening);
  EXPECT_EQ(process.code(), 0);
  EXPECT_FALSE(is_running(*caller));
}

TEST_F(SocketCalls, MayBeAnsweredInTheirPlace) {
  HeardProcess process([] {
    const int fd = make_socket({Address{}, 0}, true);
    SocketAddress local;
    if (fd < 0 || ::getsockname(fd, &local.generic, &local.length) != 0) return 1;
    return local.endpoint().address == Address::v4(127, 0, 0, 9) && local.endpoint().port != 0 ? 0 : 2;
  });
  const SocketCall call = process.next();
  const auto caller = caller_of(call);
  ASSERT_TRUE(caller);
  {
    const UniqueFd socket = socket_of(process.watch(), call, *caller);
    const auto about = stream_socket_of(socket.get());
    ASSERT_TRUE(about);
    const UniqueFd free(make_socket({Address::v4(127, 0, 0, 9), 0}, true));
    SocketAddress local;
    ASSERT_EQ(::getsockname(free.get(), &local.generic, &local.length), 0);
    EXPECT_FALSE(bind_freely(socket.get(), *about, local.endpoint()));  // it is taken
    EXPECT_TRUE(bind_freely(socket.get(), *about,
                            {Address::v4(127, 0, 0, 9), static_cast<std::uint16_t>(local.endpoint().port ^ 1U)}));
  }
  EXPECT_TRUE(answer_success(process.watch(), call));
  EXPECT_FALSE(answer_success(process.watch(), call));
  EXPECT_EQ(process.code(), 0);
}

TEST_F(SocketCalls, ConnectionsOfTheInternetAreHeardAndOthersAreNot) {
  HeardProcess process([] {
    const int local = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un nowhere{};
    nowhere.sun_family = AF_UNIX;
    std::strcpy(nowhere.sun_path, "/nonexistent");
    if (::connect(local, reinterpret_cast<const sockaddr*>(&nowhere), sizeof nowhere) == 0) return 1;
    const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
    sockaddr_storage room{};
    const SocketAddress six(Endpoint{*Address::parse("::1"), 9});
    std::memcpy(&room, &six.v6, sizeof six.v6);
    // Nobody is called: it is answered in the place of the system.
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&room), sizeof room) != 0) return 2;
    const SocketAddress four(Endpoint{Address::v4(192, 0, 2, 1), 21});
    return ::connect(make_socket(), &four.generic, four.length) == 0 ? 0 : 3;
  });
  const SocketCall six = process.next();
  EXPECT_EQ(six.kind, Kind::connect);
  ASSERT_TRUE(six.address);
  EXPECT_EQ(six.address->to_string(), "[::1]:9");
  EXPECT_TRUE(answer_success(process.watch(), six));
  const SocketCall four = process.next();
  ASSERT_TRUE(four.address);
  EXPECT_EQ(four.address->to_string(), "192.0.2.1:21");
  EXPECT_TRUE(answer_success(process.watch(), four));
  EXPECT_EQ(process.code(), 0);
}

TEST_F(SocketCalls, WhatIsReadOfOthersMayBeNothing) {
  HeardProcess process([] {
    const int fd = make_socket();
    if (::syscall(SYS_bind, fd, 8, sizeof(sockaddr_in)) == 0 || errno != EFAULT) return 1;
    if (::syscall(SYS_bind, fd, 8, sizeof(sockaddr_in6)) == 0) return 2;
    if (::syscall(SYS_bind, fd, 8, 3) == 0) return 5;  // no address of the Internet: nobody hears of it
    if (::listen(-1, 1) == 0 || errno != EBADF) return 3;
    const int datagrams = ::socket(AF_INET, SOCK_DGRAM, 0);
    return ::listen(datagrams, 1) == 0 || errno != EOPNOTSUPP ? 4 : 0;
  });
  for (int i = 0; i < 2; ++i) {
    const SocketCall call = process.next();
    EXPECT_EQ(call.kind, Kind::bind);
    EXPECT_FALSE(call.address);
    let_go_on(process.watch(), call);
  }
  for (const bool open : {false, true}) {
    const SocketCall call = process.next();
    const auto caller = caller_of(call);
    ASSERT_TRUE(caller);
    {
      const UniqueFd socket = socket_of(process.watch(), call, *caller);
      EXPECT_EQ(socket.is_open(), open);
      EXPECT_FALSE(stream_socket_of(socket.get()));
    }
    let_go_on(process.watch(), call);
  }
  EXPECT_EQ(process.code(), 0);
}

TEST_F(SocketCalls, OfADeadCallerAreOver) {
  HeardProcess process([] {
    ::alarm(1);
    return ::listen(make_socket(), 1);
  });
  const SocketCall call = process.next();
  const auto caller = caller_of(call);
  ASSERT_TRUE(caller);
  EXPECT_EQ(process.code(), -1);
  EXPECT_FALSE(answer_success(process.watch(), call));
  EXPECT_FALSE(socket_of(process.watch(), call, *caller));
  EXPECT_FALSE(is_running(*caller));
  EXPECT_FALSE(caller_of(call));
  EXPECT_EQ(next_socket_call(process.watch()).error().kind, ErrorKind::not_found);
}

TEST_F(SocketCalls, AreHeardOnce) {
  HeardProcess process([] {
    const auto again = hear_socket_calls();
    return !again && again.error().os_code == EBUSY ? 0 : 1;
  });
  EXPECT_EQ(process.code(), 0);
}

#if defined(__x86_64__)
/// As a 32-bit program calls (int 0x80): its pointers have 32 bits.
long call_as_32_bit(long number, long first, void* second) {
  long result = 0;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first), "c"(second), "d"(0)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

TEST_F(SocketCalls, OfOtherKindsOfProgramsAreHeard) {
  HeardProcess process([] {
    auto* const low = static_cast<std::uint32_t*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    const int fd = make_socket();
    const SocketAddress address(Endpoint{Address::v4(127, 0, 0, 1), 0});
    std::memcpy(low + 16, &address.v4, sizeof address.v4);
    low[0] = static_cast<std::uint32_t>(fd);
    low[1] = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(low + 16));
    low[2] = sizeof address.v4;
    const long bound = call_as_32_bit(102, 2, low);       // socketcall(SYS_BIND, …)
    if (bound == -ENOSYS || bound == -EFAULT) return 50;  // this kernel has no such programs
    if (bound != 0) return 1;
    low[1] = 1;
    if (call_as_32_bit(102, 4, low) != 0) return 2;
    // x32: whether the kernel has it or not, the call is heard first.
    return ::syscall(0x40000000 | SYS_listen, fd, 1) == 0 ? 0 : 3;
  });
  const SocketCall bound = process.next();
  EXPECT_EQ(bound.kind, Kind::bind);
  ASSERT_TRUE(bound.address);
  EXPECT_EQ(bound.address->to_string(), "127.0.0.1:0");
  let_go_on(process.watch(), bound);
  const SocketCall listening = process.next();
  EXPECT_EQ(listening.kind, Kind::listen);
  EXPECT_EQ(listening.descriptor, bound.descriptor);
  let_go_on(process.watch(), listening);
  const SocketCall again = process.next();
  EXPECT_EQ(again.kind, Kind::listen);
  EXPECT_EQ(again.descriptor, bound.descriptor);
  EXPECT_TRUE(answer_success(process.watch(), again));
  EXPECT_EQ(process.code(), 0);
}
#endif

TEST(StreamSockets, TellTheirFamilies) {
  const UniqueFd both(::socket(AF_INET6, SOCK_STREAM, 0));
  const auto about = stream_socket_of(both.get());
  ASSERT_TRUE(about);
  EXPECT_TRUE(about->is_v6);
  EXPECT_FALSE(about->is_v6_only);
  EXPECT_FALSE(stream_socket_of(-1));
  // An IPv4 address is taken by a socket of both families, as is a foreign one.
  ASSERT_TRUE(bind_freely(both.get(), *about, {Address::v4(203, 0, 113, 77), 0}));
  EXPECT_EQ(stream_socket_of(both.get())->local.address.to_string(), "203.0.113.77");
  const UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_FALSE(stream_socket_of(datagrams.get()));
}

}  // namespace
}  // namespace stile::sys
