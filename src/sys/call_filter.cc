#include "sys/call_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <new>
#include <span>
#include <vector>

#include "base/assert.h"
#include "sys/errno_table.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STILE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STILE_SANITIZED 1
#endif
#endif
#ifndef STILE_SANITIZED
#define STILE_SANITIZED 0
#endif

namespace stile::sys {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
constexpr std::uint32_t first_foreign_call = 0x40000000;  // of the x32 ABI, which is not served
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t first_foreign_call = 0xFFFFFFFF;
#else
constexpr std::uint32_t architecture = 0;
constexpr std::uint32_t first_foreign_call = 0;
#endif

constexpr std::uint32_t denied = STILE_SANITIZED != 0 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t unknown_call = SECCOMP_RET_ERRNO | ENOSYS;

// ── the lists ───────────────────────────────────────────────────────────────────────────────────────────────────────

// What reading, writing, waiting and remembering take.
constexpr long worker_calls[] = {
    // descriptors
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_fcntl,
    SYS_splice,
    SYS_pipe2,
    SYS_dup,
    SYS_dup3,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_create1,
    SYS_eventfd2,
    SYS_ppoll,
    SYS_pselect6,
    // sockets
    SYS_accept,
    SYS_accept4,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    // files: which of them, Landlock says; the resolver's are read for it (file_keeper.h) and kept in memory
    SYS_openat,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_memfd_create,
    SYS_ftruncate,
    // memory
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    // time, threads, signals, chance
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_futex,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_membarrier,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_exit,
    SYS_exit_group,
    SYS_restart_syscall,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_getrusage,
    SYS_getrandom,
#if defined(__x86_64__)
    SYS_epoll_wait,
    SYS_poll,
    SYS_select,
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_dup2,
    SYS_time,
#endif
};

// More, for the main thread and the threads that write records and accounts or answer the operator.
constexpr long process_calls[] = {
    // files
    SYS_pread64,
    SYS_pwrite64,
    SYS_fsync,
    SYS_fdatasync,
    SYS_fallocate,
    SYS_flock,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_statfs,
    SYS_fstatfs,
    SYS_unlinkat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_umask,
    SYS_utimensat,
    SYS_fadvise64,
    // the process itself
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_capget,
    SYS_times,
    SYS_sysinfo,
    SYS_uname,
    SYS_signalfd4,
    SYS_set_tid_address,
    SYS_rt_sigtimedwait,
    SYS_rt_sigpending,
    // those that it started before: to end them, and to see that they ended
    SYS_kill,
    SYS_wait4,
    SYS_waitid,
    // a pair of sockets within the process
    SYS_socketpair,
    // what takes calls and files away
    SYS_seccomp,
    SYS_landlock_create_ruleset,
    SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
#if defined(__x86_64__)
    SYS_access,
    SYS_readlink,
    SYS_unlink,
    SYS_chmod,
#endif
};

// Of the sanitizers' own code, as leak detection at the end.
constexpr long sanitizer_calls[] = {
    SYS_ptrace,     SYS_wait4,      SYS_process_vm_readv, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_getdents64, SYS_readlinkat, SYS_personality,      SYS_mincore,        SYS_mlock,
    SYS_munlock,    SYS_getuid,     SYS_geteuid,          SYS_uname,          SYS_clone,
    SYS_prctl,      SYS_mmap,       SYS_mprotect,
#if defined(__x86_64__)
    SYS_readlink,   SYS_access,     SYS_arch_prctl,
#endif
};

/// A call that depends on one of its arguments.
struct Judged {
  enum class How : std::uint8_t {
    one_of,  // the argument is one of the values
    no_bit,  // it has none of the bits of values[0]
    bits,    // it has all bits of values[0], and none of values[1]
  };
  long call;
  unsigned argument;
  How how;
  std::span<const std::uint32_t> values;
};

constexpr std::uint32_t no_code[] = {PROT_EXEC};
constexpr std::uint32_t a_thread[] = {CLONE_THREAD, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                                        CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP};
constexpr std::uint32_t nothing[] = {0};
constexpr std::uint32_t questions[] = {FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ};
constexpr std::uint32_t worker_families[] = {AF_INET, AF_INET6};
constexpr std::uint32_t process_families[] = {AF_INET, AF_INET6, AF_UNIX};
constexpr std::uint32_t own_matters[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK, PR_GET_DUMPABLE,
                                         PR_GET_NO_NEW_PRIVS};
constexpr std::uint32_t own_matters_of_process[] = {PR_SET_NAME,     PR_GET_NAME,         PR_SET_TIMERSLACK,
                                                    PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS};

constexpr Judged worker_judged[] = {
    {SYS_mmap, 2, Judged::How::no_bit, no_code},           {SYS_mprotect, 2, Judged::How::no_bit, no_code},
    {SYS_socket, 0, Judged::How::one_of, worker_families}, {SYS_ioctl, 1, Judged::How::one_of, questions},
    {SYS_prctl, 0, Judged::How::one_of, own_matters},
};
constexpr Judged process_judged[] = {
    {SYS_mmap, 2, Judged::How::no_bit, no_code},
    {SYS_mprotect, 2, Judged::How::no_bit, no_code},
    {SYS_socket, 0, Judged::How::one_of, process_families},
    {SYS_ioctl, 1, Judged::How::one_of, questions},
    {SYS_prctl, 0, Judged::How::one_of, own_matters_of_process},
    {SYS_clone, 0, Judged::How::bits, a_thread},
    {SYS_prlimit64, 2, Judged::How::one_of, nothing},  // no new limit
};

// ── the program ─────────────────────────────────────────────────────────────────────────────────────────────────────

constexpr std::uint32_t argument_at(unsigned number) noexcept {
  constexpr std::size_t first = offsetof(seccomp_data, args);
  return static_cast<std::uint32_t>(first + number * sizeof(std::uint64_t));  // the low half, on little-endian machines
}

/// Writes the filter, front to back: each rule is a comparison of the call's number that is still loaded, and either
/// ends there or goes on behind the rule.
class Program {
 public:
  Program() {
    load(offsetof(seccomp_data, arch));
    compare(BPF_JEQ, architecture, 1, 0);
    answer(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    compare(BPF_JGE, first_foreign_call, 0, 1);
    answer(denied);
  }

  void allow(std::span<const long> calls) {
    for (const long call : calls) answer_call(call, SECCOMP_RET_ALLOW);
  }

  void answer_call(long call, std::uint32_t how) {
    compare(BPF_JEQ, static_cast<std::uint32_t>(call), 0, 1);
    answer(how);
  }

  void judge(const Judged& rule) {
    const std::size_t begin = code_.size();
    compare(BPF_JEQ, static_cast<std::uint32_t>(rule.call), 0, 0);
    load(argument_at(rule.argument));
    switch (rule.how) {
      case Judged::How::one_of:
        for (const std::uint32_t value : rule.values) answer_call(value, SECCOMP_RET_ALLOW);
        break;
      case Judged::How::no_bit:
        compare(BPF_JSET, rule.values[0], 1, 0);
        answer(SECCOMP_RET_ALLOW);
        break;
      case Judged::How::bits:
        compare(BPF_JSET, rule.values[1], 2, 0);
        compare(BPF_JSET, rule.values[0], 0, 1);
        answer(SECCOMP_RET_ALLOW);
        break;
    }
    answer(denied);
    skip_from(begin);
  }

  // Netlink: that of routes alone.
  void judge_netlink() {
    const std::size_t begin = code_.size();
    compare(BPF_JEQ, SYS_socket, 0, 0);
    load(argument_at(0));
    const std::size_t family = code_.size();
    compare(BPF_JEQ, AF_NETLINK, 0, 0);
    load(argument_at(2));
    answer_call(NETLINK_ROUTE, SECCOMP_RET_ALLOW);
    answer(denied);
    skip_from(family);
    load(offsetof(seccomp_data, nr));
    skip_from(begin);
  }

  [[nodiscard]] std::span<sock_filter> finish() {
    answer(denied);
    return code_;
  }

 private:
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void answer(std::uint32_t how) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, how)); }
  void compare(unsigned how, std::uint32_t with, std::uint8_t if_so, std::uint8_t if_not) {
    code_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | how), with, if_so, if_not));
  }
  // Where the comparison at `index` does not hold, what was written since is passed over.
  void skip_from(std::size_t index) {
    const std::size_t distance = code_.size() - index - 1;
    STILE_ASSERT(distance <= UINT8_MAX);
    code_[index].jf = static_cast<std::uint8_t>(distance);
  }

  std::vector<sock_filter> code_;
};

Program program_for(CallList list) {
  Program program;
  if (STILE_SANITIZED != 0) program.allow(sanitizer_calls);
  if (list == CallList::process) program.judge_netlink();
  for (const Judged& rule : list == CallList::process ? std::span<const Judged>(process_judged) : worker_judged) {
    program.judge(rule);
  }
  program.allow(worker_calls);
  if (list == CallList::process) program.allow(process_calls);
  // The C library asks for the newer call first, whose flags no filter can see, and then takes clone.
  program.answer_call(SYS_clone3, unknown_call);
  return program;
}

}  // namespace

bool calls_are_for_sanitizers() noexcept {
  return STILE_SANITIZED != 0;
}

Result<void> filter_calls(CallList list) noexcept {
  if (architecture == 0) return std::unexpected(Error{.kind = ErrorKind::not_found, .os_code = ENOSYS});
  Program program = program_for(list);
  const std::span<sock_filter> code = program.finish();
  const sock_fprog filter{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  const unsigned long scope = list == CallList::process ? SECCOMP_FILTER_FLAG_TSYNC : 0;
  const long failed = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, scope, &filter);
  if (failed == 0) return {};
  // Above zero: a thread that has another filter of its own.
  const int code_of_error = failed > 0 ? EBUSY : errno;
  const bool absent = code_of_error == ENOSYS || code_of_error == EINVAL;
  return std::unexpected(absent ? Error{.kind = ErrorKind::not_found, .os_code = code_of_error}
                                : make_error(code_of_error));
}

}  // namespace stile::sys
