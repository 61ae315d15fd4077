#include "conformance/echo_world.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "sys/unique_fd.h"

namespace stile::engine::conformance {
namespace {

/// This thread in a namespace of its own, and next to it, in another process's, the router.
struct KernelWorld final : EchoWorld {
  explicit KernelWorld(EpollEngine& which) : engine(which) {}
  // A new namespace grants nobody datagram sockets, and to root raw ones.
  void grant(bool datagram_sockets) override {
    if (datagram_sockets) {
      // NOLINTNEXTLINE(cert-env33-c): a test's own words
      EXPECT_EQ(std::system("echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range"), 0);
    }
    EXPECT_TRUE(engine.prepare_icmp());
  }
  ~KernelWorld() override {
    if (router > 0) {
      ::kill(router, SIGKILL);
      ::waitpid(router, nullptr, 0);
    }
    if (home.is_open()) ::setns(home.get(), CLONE_NEWNET);
  }

  EpollEngine& engine;
  sys::UniqueFd home;  // the namespace that the thread came from
  pid_t router = -1;
};

struct SimulatedWorld final : EchoWorld {
  explicit SimulatedWorld(SimEngine& which) : engine(which) { engine.set_icmp_refused(true); }
  void grant(bool /*datagram_sockets*/) override { engine.set_icmp_refused(false); }

  SimEngine& engine;
};

/// Starts the process whose namespace is the router's; it does nothing but live.
pid_t start_router() {
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) == -1) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    const char made = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
    if (::write(ready[1], &made, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char made = 'n';
  const bool answered = child > 0 && ::read(ready[0], &made, 1) == 1 && made == 'y';
  ::close(ready[0]);
  if (answered || child <= 0) return child;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return -1;
}

/// Cables, addresses and routes, with iproute2.
bool build(pid_t router) {
  const std::string there = "nsenter --target " + std::to_string(router) + " --net ";
  const std::string script =
      "set -e; exec 2>/dev/null; ip link set lo up; ip link add echo type veth peer name echo netns " +
      std::to_string(router) +
      "; ip address add 10.96.0.1/24 dev echo; ip address add fd96::1/64 dev echo nodad; ip link set echo up;" + there +
      "sh -ec 'echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; ip link set lo up;"
      " ip address add 10.96.0.2/24 dev echo; ip address add fd96::2/64 dev echo nodad; ip link set echo up;"
      " echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding;"
      " for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 > $f; done;"
      " echo 0 > /proc/sys/net/ipv4/icmp_ratemask; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit;"
      " ip route add unreachable 10.96.1.0/24; ip route add prohibit 10.96.2.0/24;"
      " ip route add 10.96.3.0/24 via 10.96.0.1; ip route add unreachable fd96:1::/64;"
      " ip route add fd96:3::/64 via fd96::1';"
      "ip route add default via 10.96.0.2; ip route add default via fd96::2";
  return std::system(script.c_str()) == 0;  // NOLINT(cert-env33-c): a test's own words
}

std::unique_ptr<EchoWorld> make_kernel_world(EpollEngine& engine, std::string& why_not) {
  auto world = std::make_unique<KernelWorld>(engine);
  world->home = sys::UniqueFd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (::unshare(CLONE_NEWNET) == -1) {
    why_not = std::string("no network namespace can be made: ") + std::strerror(errno);
    return nullptr;
  }
  world->router = start_router();
  if (world->router == -1 || !build(world->router)) {
    why_not = "no router can be made with ip(8)";
    return nullptr;
  }
  return world;
}

std::unique_ptr<EchoWorld> make_simulated_world(SimEngine& sim) {
  auto world = std::make_unique<SimulatedWorld>(sim);
  for (const Address& address : {world->unreachable, world->unreachable6, world->forbidden, world->far, world->far6}) {
    const Address router = address.is_v4() ? world->near : world->near6;
    sim.set_path(Cidr{address, static_cast<std::uint8_t>(address.is_v4() ? 32 : 128)}, {router});
  }
  sim.set_route(world->unreachable, SimBehaviour::host_unreachable(Family::ipv4));
  sim.set_route(world->unreachable6, SimBehaviour::net_unreachable(Family::ipv6));
  sim.set_route(world->forbidden, SimBehaviour::icmp_error({ErrorKind::host_unreachable, EHOSTUNREACH},
                                                           {.family = Family::ipv4, .type = 3, .code = 13}));
  return world;
}

}  // namespace

std::unique_ptr<EchoWorld> make_echo_world(Engine& engine, std::string& why_not) {
  if (auto* const sim = dynamic_cast<SimEngine*>(&engine)) return make_simulated_world(*sim);
  return make_kernel_world(dynamic_cast<EpollEngine&>(engine), why_not);
}

}  // namespace stile::engine::conformance
