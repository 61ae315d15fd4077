#include "resolve/hosts_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "base/limits.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;

HostName host(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

class HostsSourceTest : public testing::Test {
 protected:
  HostsSourceTest() : path_(testing::TempDir() + "stile-hosts-test-" + std::to_string(::getpid())), source_(path_) {}
  ~HostsSourceTest() override { std::remove(path_.c_str()); }

  void write(const std::string& content) { std::ofstream(path_, std::ios::trunc) << content; }

  std::string path_;
  HostsSource source_;
  Instant now_{};
};

TEST_F(HostsSourceTest, FollowsTheFileOnceASecond) {
  EXPECT_EQ(source_.current(now_).size(), 0U);
  write("192.0.2.1 one\n");
  EXPECT_EQ(source_.current(now_ + 999ms).size(), 0U);
  EXPECT_NE(source_.current(now_ + 1s).find(host("one")), nullptr);
  write("192.0.2.1 another\n192.0.2.2 more\n");
  EXPECT_EQ(source_.current(now_ + 1999ms).size(), 1U);
  EXPECT_EQ(source_.current(now_ + 2s).size(), 2U);
  std::remove(path_.c_str());
  EXPECT_EQ(source_.current(now_ + 3s).size(), 0U);
  EXPECT_EQ(source_.error(), std::nullopt);
}

TEST_F(HostsSourceTest, AFileBeyondTheLimitIsSaidToBe) {
  write(std::string(limits::hosts_file_octets_max + 1, '#'));
  EXPECT_EQ(source_.current(now_).size(), 0U);
  ASSERT_TRUE(source_.error());
  EXPECT_EQ(source_.error()->os_code, EFBIG);
  write("192.0.2.1 one\n");
  EXPECT_EQ(source_.current(now_ + 1s).size(), 1U);
  EXPECT_EQ(source_.error(), std::nullopt);
}

TEST(HostsSource, NoPathReadsNothing) {
  HostsSource source("");
  EXPECT_EQ(source.current(Instant{}).size(), 0U);
  EXPECT_EQ(source.error(), std::nullopt);
}

}  // namespace
}  // namespace stile::resolve
