#include "sys/background.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "sys/errno_table.h"
#include "sys/unique_fd.h"

namespace stile::sys {

void close_inherited() noexcept {
  (void)::close_range(STDERR_FILENO + 1, UINT_MAX, 0);
  int nowhere = 0;
  do nowhere = ::open("/dev/null", O_RDWR);
  while (nowhere >= 0 && nowhere <= STDERR_FILENO);
  if (nowhere > STDERR_FILENO) ::close(nowhere);
}

Result<void> go_to_background() noexcept {
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nowhere) return std::unexpected(make_error(errno));
  const pid_t child = ::fork();
  if (child < 0) return std::unexpected(make_error(errno));
  if (child > 0) ::_exit(0);
  (void)::setsid();
  if (::chdir("/") != 0) return std::unexpected(make_error(errno));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(nowhere.get(), stream) < 0) return std::unexpected(make_error(errno));
  }
  return {};
}

}  // namespace stile::sys
