// Listening programs in a private network, by BIND (RFC 1928 section 4): their calls are heard (sys/socket_calls.h),
// the proxy is asked to listen, at the same port where it gives that, and who comes there is led in, in his own name
// (sys::open_arriving_stream), as a session of the worker's. As long as the program's socket lives the proxy is asked
// again behind each peer.
//
// What a program reads of its own addresses is what its peers see: a socket that is bound to no particular port gets
// the one that the proxy gave; and a connection to an FTP server's control port, whose address such a client tells the
// server (RFC 959 section 3.2), leaves from the proxy's outward address, which a BIND for that server tells. What such
// a client listens for is that server, and one connection.
// A proxy that has no BIND, or lets nobody use it, is asked once; then programs listen inside, as without all this.
// Refuses: sockets on loopback. Bounded. Threading: one engine's thread. Tested in tests/e2e/run_listen_test.py.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/reason.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "resolve/stand_in_names.h"
#include "route/upstreams.h"
#include "server/worker.h"
#include "sys/private_network.h"
#include "sys/socket_calls.h"
#include "sys/unique_fd.h"

namespace stile::netns {

class Listeners {
 public:
  /// All outlive it.
  struct Ground {
    engine::EpollEngine& engine;
    resolve::Resolver& resolver;
    route::Upstreams& upstreams;
    std::vector<std::string> via;
    std::vector<const route::Hop*> hops;  // of the same way
    resolve::StandInNames& names;
    const sys::PrivateNetwork& network;
    server::Worker& worker;
    server::Reporter* reporter;                    // of what came to nothing; nullptr: nobody is told
    std::function<void(const std::string&)> tell;  // people, a sentence
  };
  explicit Listeners(Ground ground);
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;
  /// When it is quiet.
  ~Listeners();

  /// `calls`: sys::hear_socket_calls. `entrance`: the worker's listener for whose clients these sessions count.
  void serve(sys::UniqueFd calls, std::string entrance);
  /// Ends what waits; sessions live on.
  void stop() noexcept;
  [[nodiscard]] bool quiet() const noexcept { return stopping_ && listeners_.empty(); }

 private:
  class Listener;

  /// A process with a connection to an FTP server.
  struct FtpClient {
    sys::Caller process;
    Target server;
    Address outward;
  };
  /// A call and what it is about.
  struct Heard {
    sys::SocketCall call;
    sys::Caller caller;
    sys::UniqueFd socket;
    sys::StreamSocket about;
  };

  void on_calls(engine::Status status);
  void on_ends(engine::Status status);
  void hear(const sys::SocketCall& call);
  void connects(const sys::SocketCall& call);
  void binds(const sys::SocketCall& call);
  void listens(const sys::SocketCall& call);
  [[nodiscard]] std::optional<Heard> look_at(const sys::SocketCall& call) const;
  [[nodiscard]] bool is_inside(const Address& address);
  [[nodiscard]] Listener* find(std::uint64_t cookie) noexcept;
  [[nodiscard]] const FtpClient* ftp_client(int process, const Address& bound);
  void begin(Heard heard, const Target& target, bool named, bool learns);
  void leave_from(const Address& outward, const Heard& heard) noexcept;
  void learnt(Heard& heard, const Target& server, const Address& outward);
  void refused(Reason reason, const Target& asked, bool named);
  void watch_ends();
  void go_on(const sys::SocketCall& call) noexcept { sys::let_go_on(calls_.get(), call); }
  void ended(const Listener& listener) noexcept;

  Ground ground_;
  std::string entrance_;
  sys::UniqueFd calls_;
  sys::UniqueFd ends_;
  engine::Socket calls_watch_;
  engine::Socket ends_watch_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::map<Host, Address> outward_;  // of FTP servers: where connections to them leave
  std::deque<FtpClient> ftp_clients_;
  bool nothing_ = false;  // the proxy has no BIND,
  bool nobody_ = false;   // or lets nobody in particular come
  bool stopping_ = false;
};

}  // namespace stile::netns
