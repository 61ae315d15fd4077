#include "sys/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "sys/privileges.h"
#include "sys/process.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

constexpr auto long_enough = std::chrono::seconds(20);

class LandlockTest : public testing::Test {
 protected:
  LandlockTest() {
    if (landlock_version() == 0) return;
    for (const auto* const name : {"read", "write", "sockets", "other"}) {
      std::filesystem::create_directories(folder_ / name);
      std::ofstream(folder_ / name / "file") << "text";
    }
  }
  ~LandlockTest() override { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    if (landlock_version() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  }

  [[nodiscard]] std::string at(const std::string& name) const { return folder_ / name; }

  /// Whether what `body` says holds in a process that has these grants.
  bool confined(Contact contact, const std::function<bool()>& body) {
    const std::vector<FileGrant> grants{{at("read"), FileUse::read},
                                        {at("write"), FileUse::write},
                                        {at("sockets"), FileUse::sockets},
                                        {at("is-not-there"), FileUse::write}};
    auto process = Process::fork("test", {}, [&] {
      const bool closed = forbid_new_privileges() && confine_files(grants, contact);
      return closed && body() ? 0 : 1;
    });
    return process && process->await(long_enough).value_or(Ending{.code = 99}).code == 0;
  }

  static bool opens(const std::string& path, int flags) {
    return UniqueFd{::open(path.c_str(), flags | O_CLOEXEC, 0600)}.is_open();
  }
  static bool denied(const std::string& path, int flags) { return !opens(path, flags) && errno == EACCES; }

  const std::filesystem::path folder_ = testing::TempDir() + "stile-landlock-test-" + std::to_string(::getpid());
};

TEST_F(LandlockTest, OnlyWhatIsGrantedIsOpened) {
  EXPECT_TRUE(confined(Contact::all, [&] {
    return opens(at("read/file"), O_RDONLY) && denied(at("read/file"), O_WRONLY) &&
           denied(at("read/new"), O_CREAT | O_WRONLY) && denied(at("other/file"), O_RDONLY) &&
           denied("/etc/passwd", O_RDONLY) && denied("/", O_RDONLY | O_DIRECTORY);
  }));
}

TEST_F(LandlockTest, AFolderToWriteTakesFiles) {
  EXPECT_TRUE(confined(Contact::all, [&] {
    return opens(at("write/file"), O_RDWR | O_TRUNC) && opens(at("write/new"), O_CREAT | O_RDWR) &&
           ::unlink(at("write/new").c_str()) == 0 && ::mkdir(at("write/folder").c_str(), 0700) != 0 &&
           ::symlink("/etc", at("write/link").c_str()) != 0 &&
           ::rename(at("write/file").c_str(), at("read/file").c_str()) != 0;
  }));
}

TEST_F(LandlockTest, AFolderForSocketsTakesNothingElse) {
  EXPECT_TRUE(confined(Contact::all, [&] {
    return opens(at("sockets"), O_RDONLY | O_DIRECTORY) && denied(at("sockets/file"), O_RDONLY) &&
           denied(at("sockets/new"), O_CREAT | O_WRONLY) &&
           ::mknod(at("sockets/socket").c_str(), S_IFSOCK | 0600, 0) == 0 &&
           ::unlink(at("sockets/socket").c_str()) == 0;
  }));
}

TEST_F(LandlockTest, NothingIsExecuted) {
  EXPECT_TRUE(confined(Contact::all, [&] {
    char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
    return ::execv(words[0], words) != 0 && errno == EACCES;
  }));
}

TEST_F(LandlockTest, WhatIsOpenStaysOpen) {
  const UniqueFd file{::open(at("other/file").c_str(), O_RDONLY | O_CLOEXEC)};
  const FileGrant none{.path = "/is-not-there", .use = FileUse::read};
  const std::array kept{file.get()};
  auto process = Process::fork("test", kept, [&] {
    char octet = 0;
    const bool closed = forbid_new_privileges() && confine_files({&none, 1}, Contact::all);
    return closed && ::read(kept[0], &octet, 1) == 1 && octet == 't' ? 0 : 1;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->await(long_enough).value_or(Ending{.code = 99}).code, 0);
}

TEST_F(LandlockTest, LayersOnlyTake) {
  EXPECT_TRUE(confined(Contact::all, [&] {
    const std::vector<FileGrant> more{{at("other"), FileUse::read}, {at("write"), FileUse::read}};
    return confine_files(more, Contact::all).has_value() && denied(at("other/file"), O_RDONLY) &&
           denied(at("read/file"), O_RDONLY) && opens(at("write/file"), O_RDONLY) && denied(at("write/file"), O_WRONLY);
  }));
}

TEST_F(LandlockTest, NoSignalLeavesWhereTheKernelKnowsThat) {
  if (landlock_version() < 6) GTEST_SKIP() << "this kernel's Landlock is of version " << landlock_version();
  EXPECT_TRUE(confined(Contact::own_process, [] { return ::kill(::getppid(), 0) != 0; }));
  EXPECT_TRUE(confined(Contact::all, [] { return ::kill(::getppid(), 0) == 0; }));
}

TEST_F(LandlockTest, RightsMustHaveBeenGivenUpFirst) {
  if (is_root()) GTEST_SKIP() << "root may do without";
  EXPECT_FALSE(confine_files({}, Contact::all));
}

}  // namespace
}  // namespace stile::sys
