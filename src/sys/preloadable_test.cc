#include "sys/preloadable.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "sys/file.h"

namespace stile::sys {
namespace {

class PreloadableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "preloadable-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    own_ = read_file("/proc/self/exe", 256U << 20).value();
  }
  void TearDown() override {
    for (const std::string& one : made_) ::unlink(one.c_str());
    ::rmdir(folder_.c_str());
  }
  std::string file(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    made_.push_back(path);
    return path;
  }
  /// This test's own head, changed: each of its program headers is shown.
  template <class Change>
  std::string changed(const std::string& name, const Change& change) {
    std::string head = own_.substr(0, 64 * 1024);
    Elf64_Ehdr header{};
    std::memcpy(&header, head.data(), sizeof header);
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      char* const at = head.data() + header.e_phoff + i * sizeof(Elf64_Phdr);
      Elf64_Phdr one{};
      std::memcpy(&one, at, sizeof one);
      change(head, one);
      std::memcpy(at, &one, sizeof one);
    }
    return file(name, head);
  }

  std::string folder_;
  std::string own_;
  std::vector<std::string> made_;
};

TEST_F(PreloadableTest, ThisProgramIs) {
  EXPECT_EQ(preloadable("/proc/self/exe"), Preloadable::yes);
  EXPECT_EQ(preloadable("/bin/sh"), Preloadable::yes);
  EXPECT_EQ(preloadable(changed("same", [](std::string&, Elf64_Phdr&) {}).c_str()), Preloadable::yes);
}

TEST_F(PreloadableTest, AProgramWithoutALoaderIsStatic) {
  const std::string path = changed("static", [](std::string&, Elf64_Phdr& one) {
    if (one.p_type == PT_INTERP) one.p_type = PT_NULL;
  });
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::is_static);
  EXPECT_EQ(words(Preloadable::is_static), "a static program");
}

TEST_F(PreloadableTest, AnotherLoaderIsNotOurs) {
  const std::string path = changed("musl", [](std::string& head, Elf64_Phdr& one) {
    if (one.p_type == PT_INTERP) std::memcpy(head.data() + one.p_offset, "/bin/sh", 8);
  });
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::other_loader);
}

TEST_F(PreloadableTest, NorIsAnotherMachine) {
  std::string head = own_.substr(0, 64 * 1024);
  head[18] = static_cast<char>(head[18] + 1);  // e_machine
  EXPECT_EQ(preloadable(file("machine", head).c_str()), Preloadable::other_loader);
  head = own_.substr(0, 64 * 1024);
  head[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(preloadable(file("class", head).c_str()), Preloadable::other_loader);
}

TEST_F(PreloadableTest, ANoteTellsGo) {
  const std::string path = changed("go", [](std::string& head, Elf64_Phdr& one) {
    if (one.p_type != PT_NOTE) return;
    const std::array<std::uint32_t, 3> note{4, 4, 4};
    std::memcpy(head.data() + one.p_offset, note.data(), sizeof note);
    std::memcpy(head.data() + one.p_offset + sizeof note, "Go\0", 4);
  });
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::go);
}

TEST_F(PreloadableTest, RightsAreSeen) {
  const std::string path = file("rights", own_.substr(0, 64 * 1024));
  ASSERT_EQ(::chmod(path.c_str(), 04755), 0);
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::yes);  // it is the caller's own: nothing is gained
  if (::getuid() != 0) return;
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  ASSERT_EQ(::chmod(path.c_str(), 04755), 0);
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::gains_rights);
  ASSERT_EQ(::chmod(path.c_str(), 02755), 0);
  EXPECT_EQ(preloadable(path.c_str()), Preloadable::gains_rights);
}

TEST_F(PreloadableTest, AScriptIsItsInterpreter) {
  EXPECT_EQ(preloadable(file("script", "#!/bin/sh\n").c_str()), Preloadable::yes);
  EXPECT_EQ(preloadable(file("spaces", "#! \t/bin/sh -e x\n").c_str()), Preloadable::yes);
  const std::string target = changed("target", [](std::string&, Elf64_Phdr& one) {
    if (one.p_type == PT_INTERP) one.p_type = PT_NULL;
  });
  EXPECT_EQ(preloadable(file("deep", "#!" + target + "\n").c_str()), Preloadable::is_static);
  EXPECT_EQ(preloadable(file("deeper", "#!" + folder_ + "/deep").c_str()), Preloadable::is_static);
  EXPECT_EQ(preloadable(file("loop", "#!" + folder_ + "/loop\n").c_str()), Preloadable::unknown);
}

TEST_F(PreloadableTest, WhatIsNoProgramIsUnknown) {
  for (const char* const content : {"", "#", "#!", "#! \n", "echo hello\n", "\177ELF"}) {
    EXPECT_EQ(preloadable(file("other", content).c_str()), Preloadable::unknown) << content;
  }
  EXPECT_EQ(preloadable((folder_ + "/missing").c_str()), Preloadable::unknown);
  EXPECT_EQ(preloadable(folder_.c_str()), Preloadable::unknown);
}

TEST_F(PreloadableTest, WhatIsNeitherTextNorOfOurFormatIsAnothers) {
  EXPECT_EQ(preloadable(file("windows", std::string("MZ\x90\0\3", 5)).c_str()), Preloadable::other_loader);
}

TEST_F(PreloadableTest, ACutHeadIsNoProgramOfOurs) {
  Elf64_Ehdr header{};
  std::memcpy(&header, own_.data(), sizeof header);
  const std::size_t all = header.e_phoff + std::size_t{header.e_phnum} * sizeof(Elf64_Phdr);
  for (std::size_t octets = 0; octets < all; octets += 7) {
    EXPECT_NE(preloadable(file("cut", own_.substr(0, octets)).c_str()), Preloadable::yes) << octets;
  }
}

TEST_F(PreloadableTest, ProgramsAreFoundAsExecvpFindsThem) {
  const std::string first = file("tool", "#!/bin/sh\n", 0644);
  std::array<char, 256> room{};
  const auto found = [&](const char* name, const std::string& path) {
    const char* const at = find_program(name, path.c_str(), room.data(), room.size());
    return std::string(at == nullptr ? "-" : at);
  };
  EXPECT_EQ(found("sh", "/nowhere:" + folder_ + ":/bin"), "/bin/sh");
  EXPECT_EQ(found("tool", folder_), "-");  // not executable
  ASSERT_EQ(::chmod(first.c_str(), 0755), 0);
  EXPECT_EQ(found("tool", folder_ + ":/bin"), first);
  EXPECT_EQ(found("a/b", "/bin"), "a/b");
  EXPECT_EQ(found("", "/bin"), "-");
  EXPECT_EQ(found("no-such-program", "/bin:"), "-");
  EXPECT_EQ(found("sh", std::string(300, 'x') + ":/bin"), "/bin/sh");
}

}  // namespace
}  // namespace stile::sys
