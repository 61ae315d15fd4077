#include "server/enclosure.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/control.h"
#include "sys/call_filter.h"
#include "sys/landlock.h"
#include "sys/process.h"
#include "sys/wait_any.h"

namespace stile::server {
namespace {

constexpr auto long_enough = std::chrono::seconds(20);

enum class Where : std::uint8_t { main_thread, worker };

class EnclosureTest : public testing::TestWithParam<Where> {
 protected:
  EnclosureTest() {
    for (const auto* const name : {"etc", "state", "run", "elsewhere"})
      std::filesystem::create_directories(folder_ / name);
    std::ofstream(at("etc/stile.toml")) << "# nothing";
    std::ofstream(at("elsewhere/file")) << "secret";
    auto parsed = config::parse("user = 'root'\n[accounting]\nfile = '" + at("state/accounts.db") +
                                "'\n[admin]\nsocket = 'unix:" + at("run/control.sock") + "'\n");
    config_ = std::move(*parsed);
  }
  ~EnclosureTest() override { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    if (sys::landlock_version() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  }

  [[nodiscard]] std::string at(const std::string& name) const { return folder_ / name; }

  /// What comes of one call in a process that has entered as a server of this configuration does, on its main thread or
  /// on a worker's: its errno, 0 where it succeeded.
  sys::Ending attempt(Where where, const std::function<long()>& call) const {
    auto process = sys::Process::fork("test", {}, [&] {
      const auto enclosure = Enclosure::plan(config_, {at("etc/stile.toml")});
      if (!enclosure || !enclosure->enter().missing.empty()) return 99;
      int code = 98;
      const auto make = [&] { code = call() == -1 ? errno : 0; };
      if (where == Where::main_thread) {
        make();
      } else {
        std::thread([&] {
          if (!enclosure->enter_worker()) make();
        }).join();
      }
      return code;
    });
    return process ? process->await(long_enough).value_or(sys::Ending{.code = 96}) : sys::Ending{.code = 97};
  }

  void expect_closed(const char* path, int flags) const {
    EXPECT_EQ(attempt(GetParam(), [&] { return ::open(path, flags | O_CLOEXEC, 0600); }).code, EACCES) << path;
  }
  void expect_no_call(const char* what, const std::function<long()>& call) const {
    const sys::Ending ending = attempt(GetParam(), call);
    EXPECT_TRUE(sys::calls_are_for_sanitizers() ? ending.signal == SIGSYS : ending.code == EPERM)
        << what << ": " << ending.code << ", signal " << ending.signal;
  }

  const std::filesystem::path folder_ = testing::TempDir() + "stile-enclosure-test-" + std::to_string(::getpid());
  config::Config config_;
};

TEST_P(EnclosureTest, NoFileThatTheConfigurationDoesNotName) {
  expect_closed("/etc/passwd", O_RDONLY);
  expect_closed("/etc/shadow", O_RDONLY);
  expect_closed("/etc/resolv.conf", O_RDONLY);
  expect_closed("/bin/sh", O_RDONLY);
  expect_closed("/", O_RDONLY | O_DIRECTORY);
  expect_closed(at("elsewhere/file").c_str(), O_RDONLY);
  expect_closed(at("elsewhere/file").c_str(), O_WRONLY);
  expect_closed(at("etc/stile.toml").c_str(), O_WRONLY);
  expect_closed(at("etc/new").c_str(), O_CREAT | O_WRONLY);
}

TEST_P(EnclosureTest, NoProgramNoProcessNoOtherSocket) {
  expect_no_call("execve", [] {
    char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
    return ::syscall(SYS_execve, words[0], words, words + 1);
  });
  expect_no_call("io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); });
  for (const int family : {AF_PACKET, AF_BLUETOOTH, AF_VSOCK, AF_ALG}) {
    expect_no_call("a socket", [&] { return ::syscall(SYS_socket, family, SOCK_RAW, 0); });
  }
  if (sys::calls_are_for_sanitizers()) return;  // their own code makes these
  expect_no_call("fork", [] { return ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr); });
  expect_no_call("ptrace", [] { return ::syscall(SYS_ptrace, PTRACE_ATTACH, ::getppid(), nullptr, nullptr); });
}

TEST_P(EnclosureTest, NoRightOfRootIsLeft) {
  EXPECT_EQ(attempt(GetParam(), [] { return ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP); }).code, EPERM);
}

INSTANTIATE_TEST_SUITE_P(Threads, EnclosureTest, testing::Values(Where::main_thread, Where::worker),
                         [](const auto& one) { return one.param == Where::worker ? "worker" : "main"; });

TEST_F(EnclosureTest, WhatTheServerStillNeedsStaysWithinReach) {
  const auto opens = [&](Where where, const std::string& name, int flags) {
    return attempt(where, [&] { return ::open(at(name).c_str(), flags | O_CLOEXEC, 0600); }).code;
  };
  EXPECT_EQ(opens(Where::main_thread, "etc/stile.toml", O_RDONLY), 0) << "a reload";
  EXPECT_EQ(opens(Where::main_thread, "state/accounts.db", O_CREAT | O_RDWR), 0);
  const auto make_socket = [&] { return ::mknod(at("run/control.sock").c_str(), S_IFSOCK | 0600, 0); };
  const auto remove_socket = [&] { return ::unlink(at("run/control.sock").c_str()); };
  ASSERT_EQ(make_socket(), 0);
  EXPECT_EQ(attempt(Where::main_thread, remove_socket).code, 0) << "at the end";
  EXPECT_EQ(opens(Where::worker, "etc/stile.toml", O_RDONLY), EACCES);
  EXPECT_EQ(opens(Where::worker, "state/accounts.db", O_RDONLY), EACCES);
  EXPECT_EQ(attempt(Where::worker, [] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }).code, 0);
}

TEST_F(EnclosureTest, AnUnknownUserIsAnErrorWhereItWasAskedFor) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes somebody else";
  const auto asked = config::parse("user = 'nobody-is-called-so'\n");
  EXPECT_FALSE(Enclosure::plan(*asked, {}));
  config::Config unasked;
  unasked.user = "nobody-is-called-so";
  EXPECT_TRUE(Enclosure::plan(unasked, {}));
}

TEST_F(EnclosureTest, ItBecomesTheUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes somebody else";
  const auto asked = config::parse("user = 'nobody'\n");
  auto process = sys::Process::fork("test", {}, [&] {
    const auto entered = Enclosure::plan(*asked, {})->enter();
    const bool told = entered.fact == "user nobody, files confined, system calls filtered";
    return told && ::getuid() != 0 && ::geteuid() == ::getuid() ? 0 : 1;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->await(long_enough).value_or(sys::Ending{.code = 96}).code, 0);
}

TEST_F(EnclosureTest, SwitchedOffItLeavesEverything) {
  config_.sandbox = config::Sandbox::off;
  EXPECT_EQ(attempt(Where::main_thread, [] { return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC); }).code, 0);
  EXPECT_EQ(attempt(Where::worker, [] { return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC); }).code, 0);
}

}  // namespace
}  // namespace stile::server
