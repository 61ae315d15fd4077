#include "sys/errno_table.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>

namespace stile::sys {
namespace {

TEST(ErrnoTable, EveryNumberHasAKindAndKeepsItsCode) {
  std::set<ErrorKind> seen;
  for (int value = 1; value <= errno_max; ++value) {
    const Error error = make_error(value);
    EXPECT_EQ(error.os_code, value);
    EXPECT_LT(static_cast<int>(error.kind), error_kind_count) << strerrorname_np(value);
    seen.insert(error.kind);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(error_kind_count)) << "some kind has no errno";
}

TEST(ErrnoTable, CoversEveryErrnoOfThisKernel) {
  EXPECT_NE(strerrorname_np(errno_max), nullptr);
  EXPECT_EQ(strerrorname_np(errno_max + 1), nullptr) << "a number above errno_max exists";
}

TEST(ErrnoTable, OutsideTheTableIsOther) {
  for (const int value : {-1, 0, errno_max + 1, 4095}) EXPECT_EQ(error_kind(value), ErrorKind::other) << value;
}

// The outcome table of the protocol reference, section 2.5, as far as it names error numbers.
TEST(ErrnoTable, DialOutcomes) {
  struct Case {
    int errno_value;
    ErrorKind kind;
  };
  constexpr std::array cases{
      Case{ECONNREFUSED, ErrorKind::refused},
      Case{ECONNRESET, ErrorKind::reset},
      Case{ENETUNREACH, ErrorKind::net_unreachable},
      Case{ENETDOWN, ErrorKind::net_unreachable},
      Case{EINVAL, ErrorKind::invalid},
      Case{EHOSTUNREACH, ErrorKind::host_unreachable},
      Case{EHOSTDOWN, ErrorKind::host_unreachable},
      Case{ENONET, ErrorKind::host_unreachable},
      Case{EACCES, ErrorKind::not_permitted},
      Case{EPERM, ErrorKind::not_permitted},
      Case{ENOPROTOOPT, ErrorKind::protocol},
      Case{EPROTO, ErrorKind::protocol},
      Case{EOPNOTSUPP, ErrorKind::protocol},
      Case{EMSGSIZE, ErrorKind::message_too_big},
      Case{ETIMEDOUT, ErrorKind::timed_out},
      Case{EAFNOSUPPORT, ErrorKind::family_unsupported},
      Case{EADDRNOTAVAIL, ErrorKind::address_unavailable},
      Case{EADDRINUSE, ErrorKind::address_in_use},
      Case{EMFILE, ErrorKind::no_descriptors},
      Case{ENFILE, ErrorKind::no_descriptors},
      Case{ENOMEM, ErrorKind::no_memory},
      Case{ENOBUFS, ErrorKind::no_memory},
  };
  for (const Case& one : cases) EXPECT_EQ(error_kind(one.errno_value), one.kind) << strerrorname_np(one.errno_value);
}

TEST(ErrnoTable, TryAgainIsWouldBlock) {
  EXPECT_EQ(error_kind(EAGAIN), ErrorKind::would_block);
  EXPECT_EQ(error_kind(EWOULDBLOCK), ErrorKind::would_block);
  EXPECT_EQ(error_kind(EINTR), ErrorKind::other) << "an interrupted call is repeated where it is made";
}

}  // namespace
}  // namespace stile::sys
