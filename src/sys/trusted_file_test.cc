#include "sys/trusted_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace stile::sys {
namespace {

namespace fs = std::filesystem;

class TrustedFileTest : public testing::Test {
 protected:
  TrustedFileTest() : folder_(testing::TempDir() + "stile-trusted-file-test-" + std::to_string(::getpid())) {
    fs::create_directory(folder_);
    ::chmod(folder_.c_str(), 0755);
    path_ = folder_ + "/stile.toml";
    std::ofstream(path_) << "log = \"json\"\n";
    ::chmod(path_.c_str(), 0600);
  }
  ~TrustedFileTest() override { fs::remove_all(folder_); }

  static std::string why(const std::string& path) {
    const auto content = read_trusted_file(path, 100);
    return content ? "read" : content.error().why;
  }

  std::string folder_;
  std::string path_;
};

// Threat TM2: every mode of the file and of its folder.
TEST_F(TrustedFileTest, MatrixOfModes) {
  for (mode_t mode = 0; mode <= 0777; ++mode) {
    const bool others = (mode & 022) != 0;
    ::chmod(path_.c_str(), mode | 0400);
    EXPECT_EQ(why(path_), others ? "it is writable by its group or by others" : "read") << std::oct << mode;
  }
  ::chmod(path_.c_str(), 0644);
  for (mode_t mode = 0; mode <= 0777; ++mode) {
    const bool others = (mode & 022) != 0;
    ::chmod(folder_.c_str(), mode | 0700);
    EXPECT_EQ(why(path_) == "read", !others) << std::oct << mode;
    ::chmod(folder_.c_str(), mode | 01700);
    EXPECT_EQ(why(path_), "read") << std::oct << mode;
  }
}

TEST_F(TrustedFileTest, ASecretIsNotForEverybodyToRead) {
  const auto taken = [&](mode_t mode) {
    ::chmod(path_.c_str(), mode);
    return read_trusted_file(path_, 100, Secrecy::secret).has_value();
  };
  EXPECT_TRUE(taken(0600));
  EXPECT_TRUE(taken(0640)) << "a group of its own may";
  EXPECT_FALSE(taken(0644));
  EXPECT_FALSE(taken(0604));
  EXPECT_EQ(read_trusted_file(path_, 100, Secrecy::secret).error().cure, "chmod o-r " + path_);
}

TEST_F(TrustedFileTest, TheCureIsACommand) {
  ::chmod(path_.c_str(), 0666);
  EXPECT_EQ(read_trusted_file(path_, 100).error().cure, "chmod go-w " + path_);
}

TEST_F(TrustedFileTest, LinksInsideTheFolderAreFollowed) {
  fs::create_directory(folder_ + "/data");
  ::chmod((folder_ + "/data").c_str(), 0755);
  fs::rename(path_, folder_ + "/data/stile.toml");
  fs::create_symlink("data/stile.toml", path_);
  EXPECT_EQ(why(path_), "read");
  ::chmod((folder_ + "/data").c_str(), 0775);
  EXPECT_NE(why(path_), "read");
}

TEST_F(TrustedFileTest, LinksOutOfTheFolderAreRefused) {
  fs::create_directory(folder_ + "/etc");
  ::chmod((folder_ + "/etc").c_str(), 0755);
  fs::create_symlink("../stile.toml", folder_ + "/etc/stile.toml");
  EXPECT_EQ(why(folder_ + "/etc/stile.toml"),
            "it is a symbolic link out of its folder, to " + fs::canonical(path_).string());
}

TEST_F(TrustedFileTest, OnlyRegularFilesWithinTheBoundAreRead) {
  EXPECT_EQ(why(folder_), "it is a folder");
  EXPECT_EQ(why(folder_ + "/none"), "No such file or directory");
  ASSERT_EQ(::mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(why(folder_ + "/pipe"), "it is not a regular file");
  std::ofstream(path_) << std::string(101, 'x');
  EXPECT_EQ(why(path_), "it is larger than 100 octets");
}

TEST_F(TrustedFileTest, RelativeNamesWork) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  EXPECT_EQ(why("stile.toml"), "read");
  fs::current_path(before);
}

}  // namespace
}  // namespace stile::sys
