#include "sys/file_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

namespace stile::sys {
namespace {

class FileLockTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/lock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] mode_t mode() const {
    struct stat status{};
    EXPECT_EQ(::stat(path_.c_str(), &status), 0);
    return status.st_mode & 0777;
  }

  std::string folder_ = "/tmp/stile-file-lock-XXXXXX";
  std::string path_;
};

TEST_F(FileLockTest, OneHoldsIt) {
  auto held = std::make_unique<FileLock>(FileLock::take(path_).value());
  const auto second = FileLock::take(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::would_block);
  held.reset();
  EXPECT_TRUE(FileLock::take(path_));
  EXPECT_EQ(mode() & 0007, 0U);
}

TEST_F(FileLockTest, AMissingFolderIsAnError) {
  EXPECT_FALSE(FileLock::take(folder_ + "/none/lock"));
  EXPECT_FALSE(create_private_file(folder_ + "/none/file"));
}

TEST_F(FileLockTest, APrivateFileIsMadeOnceAndKept) {
  ASSERT_TRUE(create_private_file(path_));
  EXPECT_EQ(mode() & 0007, 0U);
  std::filesystem::resize_file(path_, 7);
  ASSERT_TRUE(create_private_file(path_));
  EXPECT_EQ(std::filesystem::file_size(path_), 7U);
}

}  // namespace
}  // namespace stile::sys
