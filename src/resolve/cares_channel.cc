#include "resolve/cares_channel.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "sys/library_socket.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;

// The largest datagram asked for by EDNS: it passes every link unfragmented (the figure of DNS Flag Day 2020).
constexpr int edns_octets = 1232;

ares_addr_port_node server_node(const DnsServer& server) noexcept {
  ares_addr_port_node node{};
  node.family = server.address.is_v4() ? AF_INET : AF_INET6;
  const ConstBytes octets = server.address.octets();
  std::memcpy(&node.addr, octets.data(), octets.size());
  node.udp_port = server.port;
  node.tcp_port = server.port;
  return node;
}

/// c-ares' system calls, through sys/.
constexpr ares_socket_functions socket_functions{
    .asocket = [](int family, int type, int protocol,
                  void*) { return sys::library_socket_open(family, type, protocol); },
    .aclose = [](ares_socket_t fd, void*) { return sys::library_socket_close(fd); },
    .aconnect = [](ares_socket_t fd, const sockaddr* peer, ares_socklen_t octets,
                   void*) { return sys::library_socket_connect(fd, peer, octets); },
    .arecvfrom = [](ares_socket_t fd, void* into, std::size_t octets, int flags, sockaddr* peer,
                    ares_socklen_t* peer_octets,
                    void*) { return sys::library_socket_receive(fd, into, octets, flags, peer, peer_octets); },
    .asendv = [](ares_socket_t fd, const iovec* parts, int count,
                 void*) { return sys::library_socket_send(fd, parts, count); },
};

}  // namespace

Error cares_error(int status) noexcept {
  return Error{.kind = status == ARES_ENOMEM ? ErrorKind::no_memory : ErrorKind::other, .os_code = 0};
}

/// A socket of c-ares. After c-ares has closed it, `fd` is -1 and the watcher goes away once it is not pending.
class CaresChannel::Watcher {
 public:
  Watcher(CaresChannel& channel, int watched) : fd(watched), channel_(channel) {
    socket.bind<&Watcher::on_ready>(this);
    channel_.engine_.adopt(socket, fd);
  }

  /// Waits for what c-ares wants. A system call each, so not where such a wait is pending already.
  void follow() {
    const auto wanted = static_cast<engine::Interest>((readable ? 1 : 0) | (writable ? 2 : 0));
    if (socket.pending() && waited_for_ == wanted) return;
    waited_for_ = wanted;
    channel_.engine_.wait(socket, wanted);
  }

  engine::Socket socket;
  int fd;
  bool readable = false;
  bool writable = false;

 private:
  void on_ready(engine::Status status) { channel_.on_ready(*this, status); }

  CaresChannel& channel_;
  engine::Interest waited_for_ = engine::Interest::none;
};

Result<std::unique_ptr<CaresChannel>> CaresChannel::create(engine::EpollEngine& engine, const DnsServer& server,
                                                           Transport transport, Duration patience) {
  std::unique_ptr<CaresChannel> made(new CaresChannel(engine));
  // Servers, domains, lookups and an empty list to sort by are given, so that resolv.conf is not read and the
  // environment has no say here. NOCHECKRESP hands error responses over instead of hiding which one it was.
  ares_options options{};
  char lookups[] = "b";
  in_addr replaced_below{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS;
  if (transport == Transport::tcp) options.flags |= ARES_FLAG_USEVC;
  options.timeout = static_cast<int>(std::max<std::int64_t>(patience / 1ms, 1));
  options.tries = 1;
  options.ndots = 0;
  options.servers = &replaced_below;
  options.nservers = 1;
  options.lookups = lookups;
  options.ednspsz = edns_octets;
  options.sock_state_cb = [](void* channel, ares_socket_t fd, int readable, int writable) {
    static_cast<CaresChannel*>(channel)->on_socket_state(fd, readable != 0, writable != 0);
  };
  options.sock_state_cb_data = made.get();
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS |
                   ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&made->channel_, &options, mask);
  if (status != ARES_SUCCESS) return std::unexpected(cares_error(status));
  ares_set_socket_functions(made->channel_, &socket_functions, nullptr);
  ares_addr_port_node node = server_node(server);
  status = ares_set_servers_ports(made->channel_, &node);
  if (status != ARES_SUCCESS) return std::unexpected(cares_error(status));
  return made;
}

CaresChannel::CaresChannel(engine::EpollEngine& engine) : engine_(engine) {
  timer_.bind<&CaresChannel::on_timer>(this);
}

CaresChannel::~CaresChannel() {
  if (channel_ != nullptr) ares_destroy(channel_);
  STILE_ASSERT(watchers_.empty());
}

void CaresChannel::ask(const HostName& name, RecordType type, Callback callback, void* argument) {
  STILE_ASSERT(channel_ != nullptr);
  ares_query(channel_, name.text().c_str(), ns_c_in, static_cast<int>(type), callback, argument);
  follow();
}

void CaresChannel::close(engine::Operation& closed) noexcept {
  STILE_ASSERT(closed_ == nullptr);
  closed_ = &closed;
  ares_destroy(channel_);
  channel_ = nullptr;
  follow();
  post_closed_if_quiet();
}

// Called by c-ares with the socket still open; it closes it afterwards where neither is wanted.
void CaresChannel::on_socket_state(int fd, bool readable, bool writable) {
  auto known = std::ranges::find(watchers_, fd, [](const auto& watcher) { return watcher->fd; });
  const bool wanted = readable || writable;
  if (known == watchers_.end()) {
    if (!wanted) return;
    known = watchers_.insert(known, std::make_unique<Watcher>(*this, fd));
  }
  Watcher& watcher = **known;
  watcher.readable = readable;
  watcher.writable = writable;
  if (wanted) return;
  engine_.release(watcher.socket);
  watcher.fd = -1;
}

void CaresChannel::on_ready(Watcher& watcher, engine::Status status) {
  if (status == engine::Status::done && watcher.fd >= 0) {
    ares_process_fd(channel_, watcher.readable ? watcher.fd : ARES_SOCKET_BAD,
                    watcher.writable ? watcher.fd : ARES_SOCKET_BAD);
  }
  follow();
  post_closed_if_quiet();
}

void CaresChannel::on_timer(engine::Status status) {
  if (status == engine::Status::done && channel_ != nullptr) {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    follow();
  }
  post_closed_if_quiet();
}

void CaresChannel::follow() {
  std::erase_if(watchers_, [](const auto& watcher) { return watcher->fd < 0 && !watcher->socket.pending(); });
  for (const auto& watcher : watchers_) {
    if (watcher->fd >= 0) watcher->follow();
  }
  timeval left{};
  if (channel_ == nullptr || ares_timeout(channel_, nullptr, &left) == nullptr) {
    engine_.cancel(timer_);
    return;
  }
  // c-ares reads its own clock, a little ahead of the engine's: a millisecond more spares a turn for nothing.
  engine_.start_timer(
      timer_, engine_.now() + std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec) + 1ms);
}

void CaresChannel::post_closed_if_quiet() {
  if (closed_ == nullptr || !watchers_.empty() || timer_.pending()) return;
  engine_.post(*std::exchange(closed_, nullptr));
}

}  // namespace stile::resolve
