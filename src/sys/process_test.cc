#include "sys/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

constexpr auto long_enough = 20s;

std::string read_all(const UniqueFd& from) {
  std::string text;
  std::array<char, 256> room{};
  std::array watched{Waited{.descriptor = from.get()}};
  while (wait_any(watched, long_enough)) {
    const ssize_t got = ::read(from.get(), room.data(), room.size());
    if (got <= 0) break;
    text.append(room.data(), static_cast<std::size_t>(got));
  }
  return text;
}

TEST(Process, ItsEndIsSeen) {
  auto process = Process::fork("test", {}, [] { return 7; });
  ASSERT_TRUE(process);
  const auto ending = process->await(long_enough);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->code, 7);
  EXPECT_EQ(ending->signal, 0);
  EXPECT_FALSE(process->running());
  EXPECT_FALSE(process->ended());
}

TEST(Process, ItHasNoDescriptorButThoseItWasGiven) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  const std::array keep{pair->there.get()};
  const int other = pair->here.get();
  auto process = Process::fork("test", keep, [&] {
    int open = 0;
    for (int descriptor = 3; descriptor < 1024; ++descriptor) open += ::fcntl(descriptor, F_GETFD) >= 0 ? 1 : 0;
    char octet = 0;
    const bool nowhere = ::write(STDOUT_FILENO, "x", 1) == 1 && ::read(STDIN_FILENO, &octet, 1) == 0;
    return open == 1 && nowhere && ::fcntl(other, F_GETFD) < 0 && ::getsid(0) == ::getpid() ? 0 : 1;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->await(long_enough).value_or(Ending{.code = 99}).code, 0);
}

TEST(Process, NoSignalIsBlockedInIt) {
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  auto process = Process::fork("test", {}, [] {
    sigset_t own;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &own);
    return ::sigismember(&own, SIGTERM);
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->await(long_enough).value_or(Ending{.code = 99}).code, 0);
}

TEST(Process, IsEndedByWhoeverHoldsIt) {
  pid_t id = 0;
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  {
    const std::array keep{pair->there.get()};
    auto process = Process::fork("test", keep, [&] {
      ignore_end_signals();
      static_cast<void>(send_record(keep[0], std::array<std::uint8_t, 1>{1}));
      for (;;) ::pause();
      return 0;
    });
    ASSERT_TRUE(process);
    id = process->id();
    std::array watched{Waited{.descriptor = pair->here.get()}};
    ASSERT_TRUE(wait_any(watched, long_enough));
    ::kill(id, SIGTERM);
    EXPECT_FALSE(process->await(50ms)) << "it does not end by a signal that is meant for all";
  }
  EXPECT_EQ(::kill(id, 0), -1);
}

TEST(Process, ASignalIsNoCode) {
  auto process = Process::fork("test", {}, []() -> int {
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->await(long_enough).value_or(Ending{}).signal, SIGKILL);
}

TEST(Process, BecomesAProgram) {
  auto executed = Process::execute({"/bin/sh", "-c", "read line; echo \"got $line\"; echo oops >&2; exit 3"});
  ASSERT_TRUE(executed);
  ASSERT_EQ(::write(executed->streams.input.get(), "hello\n", 6), 6);
  EXPECT_EQ(read_all(executed->streams.output), "got hello\n");
  EXPECT_EQ(read_all(executed->streams.error), "oops\n");
  EXPECT_EQ(executed->process.await(long_enough).value_or(Ending{}).code, 3);
}

TEST(Process, WhatCannotBeExecutedEnds) {
  auto executed = Process::execute({"/nonexistent/program"});
  ASSERT_TRUE(executed);
  EXPECT_EQ(executed->process.await(long_enough).value_or(Ending{}).code, 127);
}

TEST(Process, KnowsItsOwnFile) {
  const auto path = own_executable();
  ASSERT_TRUE(path.has_value());
  EXPECT_TRUE(path->starts_with("/") && path->ends_with("/sys_test")) << *path;
}

}  // namespace
}  // namespace stile::sys
