#include "sys/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

namespace stile::sys {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() : path_(testing::TempDir() + "stile-file-test-" + std::to_string(::getpid())) {}
  ~FileTest() override { std::remove(path_.c_str()); }

  void write(const std::string& content) { std::ofstream(path_, std::ios::trunc) << content; }

  std::string path_;
};

TEST_F(FileTest, ReadsWholeFiles) {
  write("");
  EXPECT_EQ(read_file(path_, 10), "");
  const std::string large(200'000, 'x');
  write(large);
  EXPECT_EQ(read_file(path_, 1'000'000), large);
}

TEST_F(FileTest, HoldsTheBound) {
  write("0123456789");
  EXPECT_EQ(read_file(path_, 10), "0123456789");
  const auto refused = read_file(path_, 9);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().os_code, EFBIG);
}

TEST_F(FileTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(read_file(path_, 10).error().kind, ErrorKind::not_found);
  EXPECT_EQ(file_stamp(path_).error().kind, ErrorKind::not_found);
  EXPECT_EQ(read_file(testing::TempDir(), 10).error().os_code, EISDIR);
}

TEST_F(FileTest, StampTellsAChange) {
  write("one");
  const auto before = file_stamp(path_);
  ASSERT_TRUE(before);
  EXPECT_EQ(file_stamp(path_), before);
  write("three");
  EXPECT_NE(file_stamp(path_), before);
}

TEST(File, TextInMemoryIsReadAsAFile) {
  const std::string text(100'000, 'x');
  const auto file = file_in_memory(text);
  ASSERT_TRUE(file);
  EXPECT_EQ(read_file(file->path, text.size()), text);
  EXPECT_EQ(read_file(file->path, text.size()), text) << "from its beginning, each time";
  EXPECT_EQ(read_file(file_in_memory("")->path, 1), "");
}

}  // namespace
}  // namespace stile::sys
