#include "sys/unix_listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace stile::sys {
namespace {

namespace fs = std::filesystem;

class UnixListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "stile-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name = "s") const { return (folder_ / name).string(); }

  // 0, or the errno of a client's attempt.
  static int connect_to(const std::string& path) {
    const UniqueFd client{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int result = ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return result == 0 ? 0 : errno;
  }

  // A socket file whose server is dead.
  void leave_stale(const std::string& path) {
    const UniqueFd dead{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  fs::path folder_;
};

TEST_F(UnixListenerTest, ListensWithItsPermissionsAndIsRemoved) {
  const mode_t umask_before = ::umask(0);
  ::umask(umask_before);
  for (const std::uint32_t mode : {0660U, 0600U, 0666U, 0777U, 0000U}) {
    {
      const auto listener = UnixListener::create({.path = path(), .mode = mode, .owner = {}, .group = {}});
      ASSERT_TRUE(listener) << listener.error().why;
      struct stat status{};
      ASSERT_EQ(::lstat(path().c_str(), &status), 0);
      EXPECT_TRUE(S_ISSOCK(status.st_mode));
      EXPECT_EQ(status.st_mode & 07777, mode);
      if (::geteuid() == 0 || mode != 0) {
        EXPECT_EQ(connect_to(path()), 0);
      }
    }
    EXPECT_EQ(connect_to(path()), ENOENT);
  }
  EXPECT_EQ(::umask(umask_before), umask_before);
}

TEST_F(UnixListenerTest, AStaleSocketIsReplaced) {
  leave_stale(path());
  ASSERT_EQ(connect_to(path()), ECONNREFUSED);
  const auto listener = UnixListener::create({.path = path(), .owner = {}, .group = {}});
  ASSERT_TRUE(listener) << listener.error().why;
  EXPECT_EQ(connect_to(path()), 0);
}

TEST_F(UnixListenerTest, ALiveSocketIsInUse) {
  const auto first = UnixListener::create({.path = path(), .owner = {}, .group = {}});
  ASSERT_TRUE(first);
  const auto second = UnixListener::create({.path = path(), .owner = {}, .group = {}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().why, "Address already in use");
  EXPECT_EQ(connect_to(path()), 0) << "the refused one has removed nothing";
}

TEST_F(UnixListenerTest, WhatIsNoSocketIsNeverTouched) {
  std::ofstream(path("file")) << "precious";
  fs::create_directory(folder_ / "directory");
  leave_stale(path("stale"));
  fs::create_symlink(path("stale"), folder_ / "link");
  for (const char* const name : {"file", "directory", "link"}) {
    const auto listener = UnixListener::create({.path = path(name), .owner = {}, .group = {}});
    ASSERT_FALSE(listener) << name;
    EXPECT_EQ(listener.error().why, "something that is no socket stands there");
    EXPECT_FALSE(listener.error().cure.empty());
    EXPECT_TRUE(fs::exists(fs::symlink_status(folder_ / name))) << name;
  }
  std::ifstream file(path("file"));
  std::string content;
  file >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(UnixListenerTest, AFileThatTookItsPlaceStays) {
  {
    const auto listener = UnixListener::create({.path = path(), .owner = {}, .group = {}});
    ASSERT_TRUE(listener);
    fs::remove(path());
    std::ofstream(path()) << "another's";
  }
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(UnixListenerTest, AFolderThatIsNotThereIsToldOf) {
  const auto listener = UnixListener::create({.path = path("no/s"), .owner = {}, .group = {}});
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().why, "its folder cannot be opened: No such file or directory");
}

TEST_F(UnixListenerTest, OwnerAndGroupAreSetAndFailuresLeaveNothing) {
  const auto own = UnixListener::create({.path = path(), .owner = ::geteuid(), .group = ::getegid()});
  EXPECT_TRUE(own) << own.error().why;
  if (::geteuid() != 0) GTEST_SKIP() << "giving a file away needs root";
  const auto listener = UnixListener::create({.path = path("t"), .owner = 65534, .group = 1});
  ASSERT_TRUE(listener) << listener.error().why;
  struct stat status{};
  ASSERT_EQ(::lstat(path("t").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534U);
  EXPECT_EQ(status.st_gid, 1U);
}

TEST_F(UnixListenerTest, DuplicatesAreTheSameSocket) {
  std::optional<UniqueFd> copy;
  {
    const auto listener = UnixListener::create({.path = path(), .owner = {}, .group = {}});
    ASSERT_TRUE(listener);
    copy = std::move(listener->duplicate().value());
    ASSERT_EQ(connect_to(path()), 0);
  }
  const UniqueFd accepted{::accept(copy->get(), nullptr, nullptr)};
  EXPECT_TRUE(accepted.is_open()) << "the connection that was made before";
}

}  // namespace
}  // namespace stile::sys
