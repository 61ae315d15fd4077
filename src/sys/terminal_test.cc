#include "sys/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>  // posix_openpt and its kind
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    reader = UniqueFd(ends[0]);
    writer = UniqueFd(ends[1]);
  }
  void send(std::string_view text) const {
    EXPECT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  UniqueFd reader;
  UniqueFd writer;
};

std::string line_of(const Pipe& pipe, std::size_t octets_max = 255) {
  const auto line = read_secret_line(pipe.reader.get(), octets_max);
  return line ? std::string(line->reveal()) : "no line " + std::to_string(static_cast<int>(line.error()));
}

TEST(SecretLine, IsTheNextLineAndNoMore) {
  Pipe pipe;
  pipe.send("first\nsecond");
  EXPECT_EQ(line_of(pipe), "first");
  pipe.writer.reset();
  EXPECT_EQ(line_of(pipe), "second") << "the last line needs no end";
  EXPECT_EQ(line_of(pipe), "no line 0");
}

TEST(SecretLine, HasABound) {
  Pipe pipe;
  pipe.send("abcd\nabcde\n");
  EXPECT_EQ(line_of(pipe, 4), "abcd");
  EXPECT_EQ(line_of(pipe, 4), "no line 2");
}

/// A terminal that the test types at.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    EXPECT_EQ(::grantpt(master_.get()), 0);
    EXPECT_EQ(::unlockpt(master_.get()), 0);
    slave_ = UniqueFd(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY));
    // As a terminal would be while the password is asked for, so that what is typed before is not lost to the flush.
    EXPECT_EQ(::tcgetattr(slave_.get(), &before_), 0);
  }

  [[nodiscard]] int slave() const noexcept { return slave_.get(); }
  void type(std::string_view keys) const {
    EXPECT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  [[nodiscard]] std::string shown() const {
    std::array<char, 256> text{};
    const ssize_t count = ::read(master_.get(), text.data(), text.size());
    return {text.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  }
  [[nodiscard]] bool is_as_before() const {
    termios after{};
    return ::tcgetattr(slave_.get(), &after) == 0 && after.c_lflag == before_.c_lflag;
  }

 private:
  UniqueFd master_;
  UniqueFd slave_;
  termios before_{};
};

TEST(AskSecret, ShowsThePromptAndNothingElse) {
  const Terminal terminal;
  std::string shown;
  // Typed only once the prompt is there: what came before is thrown away, as it was not meant as a password.
  std::thread typist([&] {
    while (shown.find("Password: ") == std::string::npos) shown += terminal.shown();
    terminal.type("wrong\x15secreu\x7ft\r");
  });
  const auto secret = ask_secret(terminal.slave(), "Password: ", 255);
  typist.join();
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->reveal(), "secret");
  while (shown.find('\n') == std::string::npos) shown += terminal.shown();
  EXPECT_EQ(shown, "Password: \r\n");
  EXPECT_TRUE(terminal.is_as_before());
}

TEST(AskSecret, AnInterruptLeavesTheTerminalAsItWas) {
  const Terminal terminal;
  std::thread typist([&] {
    std::string shown;
    while (shown.find("Password: ") == std::string::npos) shown += terminal.shown();
    terminal.type("abc\x03");
  });
  const auto secret = ask_secret(terminal.slave(), "Password: ", 255);
  typist.join();
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error(), NoLine::interrupted);
  EXPECT_TRUE(terminal.is_as_before());
}

TEST(AskSecret, NeedsATerminal) {
  const Pipe pipe;
  EXPECT_FALSE(ask_secret(pipe.reader.get(), "Password: ", 255));
}

}  // namespace
}  // namespace stile::sys
