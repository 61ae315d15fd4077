#include "sys/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

class ServiceManagerTest : public testing::Test {
 protected:
  ServiceManagerTest() : name_("@stile-notify-" + std::to_string(::getpid())) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(::bind(manager_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  }
  ~ServiceManagerTest() override {
    for (const char* const name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  std::string heard() {
    std::array<char, 512> room{};
    const ssize_t got = ::recv(manager_.get(), room.data(), room.size(), MSG_DONTWAIT);
    return got < 0 ? "" : std::string(room.data(), static_cast<std::size_t>(got));
  }

  const std::string name_;
  const UniqueFd manager_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST_F(ServiceManagerTest, IsToldTheState) {
  ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  const auto manager = ServiceManager::of_environment();
  ASSERT_TRUE(manager);
  EXPECT_TRUE(manager->is_there());
  EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr) << "nobody else speaks in this process's name";
  manager->ready("serving");
  EXPECT_EQ(heard(), "READY=1\nSTATUS=serving");
  manager->reloading();
  EXPECT_EQ(heard().substr(0, 27), "RELOADING=1\nMONOTONIC_USEC=");
  manager->stopping("draining");
  EXPECT_EQ(heard(), "STOPPING=1\nSTATUS=draining");
  manager->alive();
  EXPECT_EQ(heard(), "WATCHDOG=1");
}

TEST_F(ServiceManagerTest, WhereThereIsNoneNothingIsSaid) {
  for (const char* const where : {"", "relative", "@", "/is/not/there", "vsock:2:1234"}) {
    ::setenv("NOTIFY_SOCKET", where, 1);
    const auto manager = ServiceManager::of_environment();
    ASSERT_TRUE(manager) << where;
    EXPECT_FALSE(manager->is_there()) << where;
    manager->ready("serving");
    EXPECT_EQ(heard(), "");
  }
}

TEST_F(ServiceManagerTest, SignsOfLifeAreAskedOfOneProcess) {
  const auto watchdog = [](const std::string& time, const std::string& process) {
    ::setenv("WATCHDOG_USEC", time.c_str(), 1);
    ::setenv("WATCHDOG_PID", process.c_str(), 1);
    return ServiceManager::of_environment()->watchdog();
  };
  const std::string own = std::to_string(::getpid());
  EXPECT_EQ(watchdog("30000000", own), Duration(30s));
  EXPECT_EQ(watchdog("30000000", ""), Duration(30s));
  EXPECT_EQ(watchdog("30000000", "1"), std::nullopt);
  EXPECT_EQ(watchdog("18446744073709551615", own), Duration(24h)) << "which is as good as never";
  EXPECT_EQ(watchdog("0", own), std::nullopt);
  EXPECT_EQ(watchdog("soon", own), std::nullopt);
}

TEST_F(ServiceManagerTest, SocketsForAnotherProcessAreNotTaken) {
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv("LISTEN_PID", "1", 1);
  const auto manager = ServiceManager::of_environment();
  ASSERT_TRUE(manager);
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

}  // namespace
}  // namespace stile::sys
