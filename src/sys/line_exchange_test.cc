#include "sys/line_exchange.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "sys/main_loop.h"
#include "sys/unix_listener.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

class LineExchange : public testing::Test {
 protected:
  void serve(LineLimits limits = {}) {
    std::string folder = std::filesystem::temp_directory_path() / "stile-lines-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder_ + "/control";
    auto listener = UnixListener::create({.path = path_, .mode = 0600, .owner = {}, .group = {}});
    ASSERT_TRUE(listener);
    listener_.emplace(std::move(*listener));
    stop_.emplace(Notification::create().value());
    thread_ = std::thread([this, limits] {
      const UniqueFd listening = listener_->duplicate().value();
      serve_lines(listening, stop_->descriptor(), limits,
                  [](std::string_view line) { return "<" + std::string(line) + ">"; });
    });
  }

  void TearDown() override {
    if (stop_) stop_->notify();
    if (thread_.joinable()) thread_.join();
    listener_.reset();
    std::filesystem::remove_all(folder_);
  }

  UniqueFd connected() {
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static std::string read_all(const UniqueFd& fd) {
    std::string all;
    char buffer[256];
    for (ssize_t n = 0; (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<size_t>(n));
    return all;
  }

  std::string folder_;
  std::string path_;
  std::optional<UnixListener> listener_;
  std::optional<Notification> stop_;
  std::thread thread_;
};

TEST_F(LineExchange, ALineIsAnswered) {
  serve();
  EXPECT_EQ(ask_line(path_, "reload").value(), "<reload>");
  EXPECT_EQ(ask_line(path_, "").value(), "<>");
}

TEST_F(LineExchange, AnAnswerLargerThanASocketHoldsArrivesWhole) {
  serve({.clients_max = 32, .octets_max = 900'000});
  const std::string line(800'000, 'x');
  EXPECT_EQ(ask_line(path_, line).value(), "<" + line + ">");
}

TEST_F(LineExchange, ARequestMayComeOctetByOctet) {
  serve();
  const UniqueFd fd = connected();
  for (const char octet : std::string("ab\n")) ASSERT_EQ(::write(fd.get(), &octet, 1), 1);
  EXPECT_EQ(read_all(fd), "<ab>\n");
}

TEST_F(LineExchange, WhoSaysNothingKeepsNobodyWaiting) {
  serve({.clients_max = 3});
  const UniqueFd silent = connected();
  const UniqueFd silent_too = connected();
  EXPECT_EQ(ask_line(path_, "a").value(), "<a>");
}

TEST_F(LineExchange, WhoSaysTooMuchOrNothingInTimeIsClosedWithoutAWord) {
  serve({.clients_max = 32, .octets_max = 10, .wait = 50ms});
  const UniqueFd talker = connected();
  const std::string much(100, 'x');
  ASSERT_EQ(::write(talker.get(), much.data(), much.size()), 100);
  EXPECT_EQ(read_all(talker), "");
  const UniqueFd silent = connected();
  EXPECT_EQ(read_all(silent), "");
}

TEST_F(LineExchange, WhereNobodyListensTheErrorSaysSo) {
  serve();
  EXPECT_EQ(ask_line(folder_ + "/nothing", "a").error().kind, ErrorKind::not_found);
  EXPECT_FALSE(ask_line("/" + std::string(200, 'x'), "a"));
}

}  // namespace
}  // namespace stile::sys
