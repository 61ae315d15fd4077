#include "sys/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "sys/retry.h"

namespace stile::sys {
namespace {

constexpr char interrupt = 0x03;
constexpr char end_of_input = 0x04;
constexpr char backspace = 0x08;
constexpr char kill_line = 0x15;
constexpr char rub_out = 0x7F;

/// A line under way, in memory that never moves and is wiped.
class SecretLine {
 public:
  explicit SecretLine(std::size_t octets_max) { octets_.reserve(octets_max + 1); }
  ~SecretLine() { clear(); }
  SecretLine(const SecretLine&) = delete;
  SecretLine& operator=(const SecretLine&) = delete;

  /// False where there is no room.
  [[nodiscard]] bool add(char octet) {
    if (octets_.size() + 1 >= octets_.capacity()) return false;
    octets_.push_back(octet);
    return true;
  }
  void take_back() noexcept {
    if (!octets_.empty()) shrink_to(octets_.size() - 1);
  }
  void clear() noexcept { shrink_to(0); }
  [[nodiscard]] Secret secret() const { return Secret({octets_.data(), octets_.size()}); }
  [[nodiscard]] bool empty() const noexcept { return octets_.empty(); }

 private:
  void shrink_to(std::size_t size) noexcept {
    wipe({reinterpret_cast<std::uint8_t*>(octets_.data()) + size, octets_.size() - size});
    octets_.resize(size);
  }

  std::vector<char> octets_;
};

std::expected<char, NoLine> read_octet(int descriptor) {
  char octet = 0;
  const ssize_t count = retry([&] { return ::read(descriptor, &octet, 1); });
  if (count < 0) return std::unexpected(NoLine::failed);
  if (count == 0) return std::unexpected(NoLine::ended);
  return octet;
}

/// The terminal shows nothing and hands over each key, until this object goes.
class QuietTerminal {
 public:
  explicit QuietTerminal(int terminal) noexcept : terminal_(terminal) {
    if (::tcgetattr(terminal_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    is_quiet_ = ::tcsetattr(terminal_, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (is_quiet_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  [[nodiscard]] bool is_quiet() const noexcept { return is_quiet_; }

 private:
  int terminal_;
  termios before_{};
  bool is_quiet_ = false;
};

bool say(int terminal, std::string_view text) {
  return retry([&] { return ::write(terminal, text.data(), text.size()); }) == static_cast<ssize_t>(text.size());
}

std::expected<Secret, NoLine> read_keys(int terminal, std::size_t octets_max) {
  SecretLine line(octets_max);
  while (true) {
    const auto key = read_octet(terminal);
    if (!key) return std::unexpected(key.error());
    switch (*key) {
      case '\r':
      case '\n':
        return line.secret();
      case interrupt:
      case end_of_input:
        return std::unexpected(NoLine::interrupted);
      case backspace:
      case rub_out:
        line.take_back();
        break;
      case kill_line:
        line.clear();
        break;
      default:
        if (!line.add(*key)) return std::unexpected(NoLine::too_long);
    }
  }
}

}  // namespace

bool is_terminal(int descriptor) noexcept {
  return ::isatty(descriptor) == 1;
}

std::expected<Secret, NoLine> read_secret_line(int descriptor, std::size_t octets_max) {
  SecretLine line(octets_max);
  while (true) {
    const auto octet = read_octet(descriptor);
    if (!octet && octet.error() == NoLine::ended && !line.empty()) return line.secret();
    if (!octet) return std::unexpected(octet.error());
    if (*octet == '\n') return line.secret();
    if (!line.add(*octet)) return std::unexpected(NoLine::too_long);
  }
}

std::expected<Secret, NoLine> ask_secret(int terminal, std::string_view prompt, std::size_t octets_max) {
  const QuietTerminal quiet(terminal);
  if (!quiet.is_quiet() || !say(terminal, prompt)) return std::unexpected(NoLine::failed);
  auto line = read_keys(terminal, octets_max);
  return say(terminal, "\n") || !line ? std::move(line) : std::unexpected(NoLine::failed);
}

}  // namespace stile::sys
