#include "sys/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace stile::sys {
namespace {

bool is_valid(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

TEST(UniqueFd, ClosesWhatItOwns) {
  int raw = -1;
  {
    const UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    raw = fd.get();
    ASSERT_TRUE(is_valid(raw));
  }
  EXPECT_FALSE(is_valid(raw));
}

TEST(UniqueFd, MovesOwnership) {
  UniqueFd first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  UniqueFd second{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int kept = first.get();
  const int closed = second.get();
  second = std::move(first);
  EXPECT_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move): the moved-from state is what is tested
  EXPECT_EQ(second.get(), kept);
  EXPECT_FALSE(is_valid(closed));
}

TEST(UniqueFd, ReleaseGivesUpWithoutClosing) {
  UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const UniqueFd other{fd.release()};
  EXPECT_FALSE(fd.is_open());
  EXPECT_TRUE(is_valid(other.get()));
}

}  // namespace
}  // namespace stile::sys
