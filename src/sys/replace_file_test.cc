#include "sys/replace_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "sys/file.h"

namespace stile::sys {
namespace {

class ReplaceFile : public testing::Test {
 protected:
  ReplaceFile() : folder_(::mkdtemp(template_.data())) {}
  ~ReplaceFile() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] static mode_t mode(const std::string& path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0U;
  }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()));
  }

  std::string template_ = testing::TempDir() + "stile-replace-XXXXXX";
  std::string folder_;
};

TEST_F(ReplaceFile, MakesAndReplaces) {
  ASSERT_TRUE(replace_file(path("users"), "one\n", 0640));
  EXPECT_EQ(read_file(path("users"), 100), "one\n");
  EXPECT_EQ(mode(path("users")), 0640U);
  const auto before = file_stamp(path("users"));
  ASSERT_TRUE(replace_file(path("users"), "two\n", 0640));
  EXPECT_EQ(read_file(path("users"), 100), "two\n");
  EXPECT_NE(file_stamp(path("users"))->inode, before->inode) << "a reader of the old one is not disturbed";
  EXPECT_EQ(entries(), 1U) << "nothing is left beside it";
}

TEST_F(ReplaceFile, KeepsAStricterModeAndTakesAwayALooserOne) {
  ASSERT_TRUE(replace_file(path("users"), "", 0640));
  ASSERT_EQ(::chmod(path("users").c_str(), 0600), 0);
  ASSERT_TRUE(replace_file(path("users"), "", 0640));
  EXPECT_EQ(mode(path("users")), 0600U);
  ASSERT_EQ(::chmod(path("users").c_str(), 0666), 0);
  ASSERT_TRUE(replace_file(path("users"), "", 0640));
  EXPECT_EQ(mode(path("users")), 0640U);
}

TEST_F(ReplaceFile, KeepsTheOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give a file away";
  ASSERT_TRUE(replace_file(path("users"), "", 0640));
  ASSERT_EQ(::chown(path("users").c_str(), 65534, 65534), 0);
  ASSERT_TRUE(replace_file(path("users"), "x", 0640));
  struct stat status{};
  ASSERT_EQ(::stat(path("users").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534U);
  EXPECT_EQ(status.st_gid, 65534U);
}

TEST_F(ReplaceFile, RefusesLinksAndFolders) {
  ASSERT_TRUE(replace_file(path("target"), "kept", 0640));
  ASSERT_EQ(::symlink("target", path("link").c_str()), 0);
  EXPECT_FALSE(replace_file(path("link"), "x", 0640));
  EXPECT_EQ(read_file(path("target"), 100), "kept");
  EXPECT_FALSE(replace_file(folder_, "x", 0640));
  EXPECT_FALSE(replace_file(path("no/such"), "x", 0640));
  EXPECT_EQ(entries(), 2U);
}

TEST_F(ReplaceFile, OneProgramAtATimeHasTheLock) {
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY);
  {
    const auto lock = FolderLock::of_file(path("users"));
    ASSERT_TRUE(lock);
    EXPECT_NE(::syscall(SYS_flock, folder, LOCK_EX | LOCK_NB), 0);
  }
  EXPECT_EQ(::syscall(SYS_flock, folder, LOCK_EX | LOCK_NB), 0);
  ::close(folder);
}

}  // namespace
}  // namespace stile::sys
