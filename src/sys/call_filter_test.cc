#include "sys/call_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "sys/privileges.h"
#include "sys/process.h"

namespace stile::sys {
namespace {

constexpr auto long_enough = std::chrono::seconds(20);

/// Makes one call in a process of its own under the list; of the worker's list, on a thread as a worker's is.
Ending attempt(CallList list, const std::function<long()>& call) {
  auto process = Process::fork("test", {}, [&] {
    if (!forbid_new_privileges() || !filter_calls(CallList::process)) return 99;
    int code = 98;
    const auto make = [&] { code = call() == -1 ? errno : 0; };
    if (list == CallList::process) {
      make();
    } else {
      std::thread([&] {
        if (filter_calls(CallList::worker)) make();
      }).join();
    }
    return code;
  });
  if (!process) return Ending{.code = 97};
  return process->await(long_enough).value_or(Ending{.code = 96});
}

void expect_denied(CallList list, const char* what, const std::function<long()>& call) {
  const Ending ending = attempt(list, call);
  if (calls_are_for_sanitizers()) {
    EXPECT_EQ(ending.signal, SIGSYS) << what << " ended with " << ending.code;
  } else {
    EXPECT_EQ(ending.code, EPERM) << what;
  }
}

void expect_allowed(CallList list, const char* what, const std::function<long()>& call) {
  const Ending ending = attempt(list, call);
  EXPECT_EQ(ending.code, 0) << what;
  EXPECT_EQ(ending.signal, 0) << what;
}

long socket_of(int family, int type, int protocol) {
  return ::syscall(SYS_socket, family, type | SOCK_CLOEXEC, protocol);
}

class CallFilter : public testing::TestWithParam<CallList> {};

TEST_P(CallFilter, NoProgramAndNoProcess) {
  expect_denied(GetParam(), "execve", [] {
    char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
    return ::syscall(SYS_execve, words[0], words, words + 1);
  });
  expect_denied(GetParam(), "execveat",
                [] { return ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0); });
  expect_denied(GetParam(), "unshare", [] { return ::syscall(SYS_unshare, CLONE_NEWUSER); });
  expect_denied(GetParam(), "setns", [] { return ::syscall(SYS_setns, 0, 0); });
  if (calls_are_for_sanitizers()) return;  // their code clones and traces itself
  expect_denied(GetParam(), "clone", [] { return ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr); });
#ifdef SYS_fork
  expect_denied(GetParam(), "fork", [] { return ::syscall(SYS_fork); });
#endif
  expect_denied(GetParam(), "ptrace", [] { return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr); });
  expect_denied(GetParam(), "process_vm_readv",
                [] { return ::syscall(SYS_process_vm_readv, ::getpid(), nullptr, 0, nullptr, 0, 0); });
}

TEST_P(CallFilter, NoCodeAndNoOtherDoors) {
  expect_denied(GetParam(), "io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); });
  expect_denied(GetParam(), "bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); });
  expect_denied(GetParam(), "userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); });
  expect_denied(GetParam(), "keyctl", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); });
  expect_denied(GetParam(), "mount", [] { return ::syscall(SYS_mount, "x", "/", "tmpfs", 0, nullptr); });
  expect_denied(GetParam(), "perf_event_open", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); });
  expect_denied(GetParam(), "setresuid", [] { return ::syscall(SYS_setresuid, 0, 0, 0); });
  expect_denied(GetParam(), "pidfd_getfd", [] { return ::syscall(SYS_pidfd_getfd, 0, 0, 0); });
  expect_denied(GetParam(), "ioctl that types for a terminal", [] { return ::syscall(SYS_ioctl, 0, 0x5412, "x"); });
  if (calls_are_for_sanitizers()) return;
  expect_denied(GetParam(), "code in memory", [] {
    return ::syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  });
  expect_denied(GetParam(), "memory made code", [] {
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return ::syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
  });
  expect_denied(GetParam(), "prctl", [] { return ::syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); });
}

TEST_P(CallFilter, NoSocketsOfOtherFamilies) {
  for (const int family : {AF_PACKET, AF_BLUETOOTH, AF_VSOCK, AF_ALG, AF_KEY, AF_CAN}) {
    expect_denied(GetParam(), ("family " + std::to_string(family)).c_str(),
                  [&] { return socket_of(family, SOCK_RAW, 0); });
  }
  expect_denied(GetParam(), "netlink", [] { return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); });
  for (const int family : {AF_INET, AF_INET6}) {
    expect_allowed(GetParam(), "IP", [&] { return socket_of(family, SOCK_DGRAM, 0); });
  }
}

TEST_P(CallFilter, MemoryAndTimeGoOn) {
  expect_allowed(GetParam(), "memory", [] {
    const std::string much(10'000'000, 'x');
    return ::getpid() > 0 && much.back() == 'x' ? 0 : -1;
  });
  expect_allowed(GetParam(), "a file", [] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); });
}

INSTANTIATE_TEST_SUITE_P(Both, CallFilter, testing::Values(CallList::process, CallList::worker));

TEST(CallLists, WorkersHaveFewer) {
  expect_allowed(CallList::process, "a Unix-domain socket", [] { return socket_of(AF_UNIX, SOCK_STREAM, 0); });
  expect_allowed(CallList::process, "a routing socket", [] { return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); });
  expect_denied(CallList::worker, "a Unix-domain socket", [] { return socket_of(AF_UNIX, SOCK_STREAM, 0); });
  expect_denied(CallList::worker, "a routing socket", [] { return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); });
  expect_denied(CallList::worker, "a signal", [] { return ::syscall(SYS_kill, ::getppid(), 0); });
  expect_denied(CallList::worker, "a file's end", [] { return ::syscall(SYS_unlinkat, AT_FDCWD, "/is-not-there", 0); });
  expect_denied(CallList::process, "a new limit", [] {
    const rlimit limit{.rlim_cur = 10, .rlim_max = 10};
    return ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr);
  });
}

TEST(CallLists, ThreadsThatAreThereHaveTheListToo) {
  auto process = Process::fork("test", {}, [] {
    std::atomic<bool> closed{false};
    int code = 1;
    std::thread earlier([&] {
      while (!closed) std::this_thread::yield();
      code = socket_of(AF_PACKET, SOCK_RAW, 0) == -1 ? errno : 0;
    });
    if (!forbid_new_privileges() || !filter_calls(CallList::process)) ::_exit(99);
    closed = true;
    earlier.join();
    return code;
  });
  ASSERT_TRUE(process);
  const Ending ending = process->await(long_enough).value_or(Ending{.code = 96});
  EXPECT_TRUE(calls_are_for_sanitizers() ? ending.signal == SIGSYS : ending.code == EPERM)
      << ending.code << " " << ending.signal;
}

}  // namespace
}  // namespace stile::sys
