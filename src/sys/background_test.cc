#include "sys/background.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace stile::sys {
namespace {

TEST(Background, TheStarterGoesOnAndTheChildIsAlone) {
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  const pid_t starter = ::fork();
  if (starter == 0) {
    if (!go_to_background().has_value()) ::_exit(1);
    std::array<char, 8> folder{};
    const bool alone = ::getsid(0) == ::getpid() && ::getcwd(folder.data(), folder.size()) != nullptr &&
                       folder[0] == '/' && folder[1] == '\0' && ::isatty(2) == 0;
    const char word = alone ? 'y' : 'n';
    (void)!::write(report[1], &word, 1);
    ::_exit(7);
  }
  ::close(report[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(starter, &status, 0), starter);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  char word = 0;
  EXPECT_EQ(::read(report[0], &word, 1), 1);
  EXPECT_EQ(word, 'y');
  EXPECT_EQ(::read(report[0], &word, 1), 0);
  ::close(report[0]);
}

TEST(Background, InheritedDescriptorsAreClosed) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int one = ::open("/dev/null", O_RDONLY);
    close_inherited();
    ::_exit(::fcntl(one, F_GETFD) == -1 && ::fcntl(2, F_GETFD) != -1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Background, StandardStreamsThatAreClosedLeadNowhere) {
  for (const int closed : {0, 1, 2}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(closed);
      close_inherited();
      const int next = ::open("/dev/null", O_RDONLY);
      ::_exit(::fcntl(closed, F_GETFD) == 0 && next == 3 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << closed;
  }
}

}  // namespace
}  // namespace stile::sys
