// All that a worker asks names of, as the configuration has it: resolvers for suffixes and one for the rest, under one
// cache (caching_resolver.h), with the operator's own addresses above. New settings are taken while it runs: resolvers
// that stay the same keep what they know, and the cache forgets the names that are asked of others from then on.
// Threading: one engine's thread. Tested in name_service_test.cc against real servers on loopback.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "resolve/split_backend.h"

namespace stile::resolve {

/// The DNS servers for some names.
struct NameServers {
  std::vector<HostName> suffixes;  // none: for every name that no others have
  std::vector<DnsServer> servers;  // in the order to ask; none: those of resolv.conf
  Transport transport = Transport::udp;
  Duration try_time = limits::dns_try;

  /// The same servers, asked in the same way.
  [[nodiscard]] bool asks_like(const NameServers& other) const {
    return servers == other.servers && transport == other.transport && try_time == other.try_time;
  }
};

/// What may change while it runs.
struct NameSettings {
  std::vector<NameServers> servers;             // at most one without suffixes
  std::shared_ptr<const HostsTable> overrides;  // absent: none
};

class NameService {
 public:
  struct Options {
    std::string resolv_conf_path = "/etc/resolv.conf";
    std::string hosts_path = "/etc/hosts";
    sys::ReadFile read_file = sys::read_file;
    CacheCounters cache_counters{};
    Counter* questions = nullptr;
    Counter* failures = nullptr;
  };

  /// `engine` outlives it. Fails where resolv.conf is needed and cannot be read, or memory is short.
  [[nodiscard]] static Result<std::unique_ptr<NameService>> create(engine::EpollEngine& engine, Options options,
                                                                   const NameSettings& settings);

  [[nodiscard]] Resolver& resolver() noexcept { return *caching_; }
  /// Other settings from now on; where it fails, as above, those before stay in force.
  Result<void> adopt(const NameSettings& settings);
  /// Before its end: `closed` is posted once it may be destroyed; as CachingResolver::close.
  void close(engine::Operation& closed) noexcept { caching_->close(closed); }

  /// What was asked of each of the resolvers in force.
  struct Figures {
    std::vector<HostName> suffixes;
    std::vector<DnsServer> servers;  // none: those of resolv.conf
    CaresResolver::Figures counted;
  };
  [[nodiscard]] std::vector<Figures> figures() const;

 private:
  struct Member {
    NameServers asked;
    std::shared_ptr<CaresResolver> resolver;
  };

  NameService(engine::EpollEngine& engine, Options options) : engine_(engine), options_(std::move(options)) {}

  [[nodiscard]] Result<std::vector<Member>> members_of(const NameSettings& settings) const;
  [[nodiscard]] Result<std::shared_ptr<CaresResolver>> resolver_of(const NameServers& wanted) const;
  [[nodiscard]] static std::vector<SplitBackend::Part> parts_of(const std::vector<Member>& members);

  engine::EpollEngine& engine_;
  Options options_;
  std::vector<Member> members_;
  std::unique_ptr<SplitBackend> split_;
  std::unique_ptr<CachingResolver> caching_;
};

}  // namespace stile::resolve
