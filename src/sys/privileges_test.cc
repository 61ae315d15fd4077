#include "sys/privileges.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "sys/process.h"

namespace stile::sys {
namespace {

constexpr auto long_enough = std::chrono::seconds(20);

int code_of(const std::function<int()>& body) {
  auto process = Process::fork("test", {}, body);
  return process ? process->await(long_enough).value_or(Ending{.code = 99}).code : 98;
}

/// A line of this process's status.
std::string status_of(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

TEST(Privileges, CapabilitiesAreGone) {
  EXPECT_EQ(code_of([] {
              if (!forbid_capabilities() || !drop_capabilities()) return 1;
              for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
                if (status_of(set) != "0000000000000000") return 2;
              }
              if (is_root() && status_of("CapBnd") != "0000000000000000") return 3;
              return forbid_capabilities() && drop_capabilities() ? 0 : 4;
            }),
            0);
}

TEST(Privileges, OneCapabilityStaysWhereItIsAskedFor) {
  if (!is_root()) GTEST_SKIP() << "only root has one to keep";
  const auto nobody = account_named("nobody");
  ASSERT_TRUE(nobody);
  for (const bool as_root : {true, false}) {
    EXPECT_EQ(code_of([&] {
                if (!forbid_capabilities()) return 1;
                if (!as_root && !become(*nobody, cap_net_raw)) return 2;
                if (!drop_capabilities(cap_net_raw) || !has_capabilities(cap_net_raw)) return 3;
                if (status_of("CapPrm") != "0000000000002000" || status_of("CapEff") != "0000000000002000") return 4;
                if (status_of("CapInh") != "0000000000000000" || status_of("CapAmb") != "0000000000000000") return 5;
                if (as_root != is_root() || (!as_root && ::setuid(0) == 0)) return 6;
                return drop_capabilities() && !has_capabilities(cap_net_raw) ? 0 : 7;
              }),
              0)
        << as_root;
  }
}

TEST(Privileges, NoProgramHasMore) {
  EXPECT_EQ(code_of([] { return forbid_new_privileges() && status_of("NoNewPrivs") == "1" ? 0 : 1; }), 0);
}

TEST(Privileges, AnotherUserIsAWholeOne) {
  if (!is_root()) GTEST_SKIP() << "only root becomes somebody else";
  const auto nobody = account_named("nobody");
  ASSERT_TRUE(nobody);
  EXPECT_EQ(code_of([&] {
              if (!become(*nobody)) return 1;
              if (::getuid() != nobody->user || ::getgid() != nobody->group) return 2;
              if (::getgroups(0, nullptr) != static_cast<int>(nobody->groups.size())) return 3;
              if (status_of("CapEff") != "0000000000000000") return 4;
              return ::setuid(0) == 0 || become(*account_named("root")) ? 5 : 0;
            }),
            0);
}

}  // namespace
}  // namespace stile::sys
