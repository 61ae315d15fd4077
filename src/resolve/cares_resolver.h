// The back end that asks DNS, through c-ares in the loop. A and AAAA are asked at once, as absolute names, PTR under
// the address's own name (reverse_name.h): no search list, no ndots, no hosts file. One channel a server; a server that
// is silent, refuses or fails is followed by the next, within the time limit. Threading: one engine's thread. Tested in
// cares_resolver_test.cc against a real server on loopback.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/backend.h"
#include "resolve/cares_channel.h"
#include "sys/file.h"

namespace stile::resolve {

class CaresResolver final : public Backend {
 public:
  struct Options {
    std::vector<DnsServer> servers;  // in the order to ask; empty: as resolv.conf says
    Transport transport = Transport::udp;
    std::string resolv_conf_path = "/etc/resolv.conf";
    sys::ReadFile read_file = sys::read_file;
    std::uint16_t port = 53;  // of the servers of resolv.conf
    Duration try_time = limits::dns_try;
    Duration total = limits::dns_total;
    Counter* questions = nullptr;  // where they are counted as well; absent: nowhere
    Counter* failures = nullptr;
  };
  /// One record type asked of one server is a question; silence, a refusal and a failure bring no answer.
  struct Figures {
    std::uint64_t questions = 0;
    std::uint64_t failures = 0;
    std::uint64_t silences = 0;  // of these, those for which the time ran out
  };

  /// `engine` outlives the resolver. Fails where resolv.conf cannot be read or memory is short.
  [[nodiscard]] static Result<std::unique_ptr<CaresResolver>> create(engine::EpollEngine& engine,
                                                                     const Options& options);
  /// Only after `close` has completed, or when nothing was ever asked (asserted).
  ~CaresResolver() override;

  void ask(std::uint64_t id, const HostName& name, Asker& asker) override;
  void ask_name(std::uint64_t id, const Address& address, Asker& asker) override;
  void forget(std::uint64_t id) noexcept override;
  [[nodiscard]] bool prefers_ipv6() override;
  [[nodiscard]] const Figures& figures() const noexcept { return figures_; }
  void close(engine::Operation& closed) noexcept override;

 private:
  struct Exchange;
  struct Attempt;
  struct Retired;
  struct Server;

  CaresResolver(engine::EpollEngine& engine, const Options& options);

  void open(std::uint64_t id, const HostName& name, Asker& asker, int answers);
  [[nodiscard]] std::vector<std::size_t> order();
  void start(std::unique_ptr<Attempt> attempt);
  void note(const Attempt& attempt, int status);
  void on_reply(std::unique_ptr<Attempt> attempt, int status, ConstBytes message);
  [[nodiscard]] bool may_try_again(const Attempt& attempt, int status) const;
  /// Reads what to ask whom; leaves everything as it is where it cannot.
  Result<void> configure();
  void look_for_changes();
  void on_changed(engine::Status);
  void retire(std::vector<Server> servers);
  void buried(Retired& retired);
  void post_closed_if_quiet();

  engine::EpollEngine& engine_;
  Options options_;
  std::vector<Server> servers_;  // in the order to ask
  bool rotate_ = false;          // resolv.conf says so: begin with each server in turn
  std::size_t next_start_ = 0;
  Figures figures_;
  std::map<std::uint64_t, Exchange> exchanges_;
  std::optional<Instant> probed_;
  bool ipv6_route_ = false;
  std::optional<Instant> looked_;        // when resolv.conf was last looked at
  std::optional<sys::FileStamp> stamp_;  // of the resolv.conf that is in force; none: it could not be read
  engine::Operation changed_;            // outside of c-ares' callbacks, which forbid to end a channel
  std::vector<std::unique_ptr<Retired>> retired_;
  engine::Operation* closed_ = nullptr;
};

}  // namespace stile::resolve
