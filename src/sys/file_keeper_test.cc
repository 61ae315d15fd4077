#include "sys/file_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace stile::sys {
namespace {

class FileKeeperTest : public testing::Test {
 protected:
  ~FileKeeperTest() override { std::remove(path_.c_str()); }
  const std::string path_ = testing::TempDir() + "stile-keeper-test-" + std::to_string(::getpid());
};

TEST_F(FileKeeperTest, ReadsItsFilesAndNoOthers) {
  std::ofstream(path_) << "one";
  auto keeper = FileKeeper::start({"/is-not-there", path_}, [] { return true; });
  ASSERT_TRUE(keeper);
  EXPECT_EQ((*keeper)->read(path_, 100), "one");
  EXPECT_EQ((*keeper)->read("/is-not-there", 100).error().kind, ErrorKind::not_found);
  EXPECT_EQ((*keeper)->read("/etc/passwd", 100).error().kind, ErrorKind::not_found);
  EXPECT_FALSE((*keeper)->read(path_, 2)) << "the caller's bound";
}

TEST_F(FileKeeperTest, AReplacedFileIsFoundAgain) {
  std::ofstream(path_) << "one";
  auto keeper = FileKeeper::start({path_}, [] { return true; });
  ASSERT_TRUE(keeper);
  EXPECT_EQ((*keeper)->read(path_, 100), "one");
  std::ofstream(path_ + "-new") << "two";
  ASSERT_EQ(std::rename((path_ + "-new").c_str(), path_.c_str()), 0);
  EXPECT_EQ((*keeper)->read(path_, 100), "two");
  std::remove(path_.c_str());
  EXPECT_EQ((*keeper)->read(path_, 100).error().kind, ErrorKind::not_found);
}

TEST_F(FileKeeperTest, OneThatEndedIsAnErrorAndNoWait) {
  auto keeper = FileKeeper::start({path_}, [] { return false; });
  ASSERT_TRUE(keeper);
  EXPECT_FALSE((*keeper)->read(path_, 100));
}

}  // namespace
}  // namespace stile::sys
