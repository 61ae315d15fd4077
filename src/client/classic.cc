#include "client/classic.h"

#include <utility>

#include "sys/sockaddr.h"

namespace stile::client {
namespace {

/// A client that a thread of the parent's had is no longer of use in a child, nor may it be destroyed there.
struct OfThread {
  std::unique_ptr<Client> client;

  OfThread() = default;
  OfThread(const OfThread&) = delete;
  OfThread& operator=(const OfThread&) = delete;
  ~OfThread() { leave_behind(); }
  void leave_behind() noexcept {
    if (client != nullptr && client->forked()) (void)client.release();
  }
};
thread_local OfThread of_thread;

}  // namespace

Classic::Bound::~Bound() {
  if (client != nullptr && client->forked()) (void)client.release();
}

Classic& Classic::instance() {
  static Classic* const one = new Classic;
  return *one;
}

std::optional<Classic::Entry> Classic::find(int fd) const {
  const auto identity = sys::identity_of(fd);
  if (!identity) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.identity != *identity) return std::nullopt;
  return found->second;
}

void Classic::remember(int fd, Entry entry) {
  std::map<int, Entry> stale;  // which may take a while to end, behind the lock
  const std::scoped_lock lock(mutex_);
  for (auto one = entries_.begin(); one != entries_.end();) {
    const auto next = std::next(one);
    const bool same = sys::identity_of(one->first) == std::optional(one->second.identity);
    if (!same || one->first == fd) stale.insert(entries_.extract(one));
    one = next;
  }
  if (entry.connected) last_target_ = entry.connected->target;
  entries_.emplace(fd, std::move(entry));
}

std::optional<Target> Classic::last_target() const {
  const std::scoped_lock lock(mutex_);
  return last_target_;
}

std::expected<std::shared_ptr<const Plan>, Failure> Classic::plan() {
  const std::scoped_lock lock(mutex_);
  if (plan_ != nullptr) return plan_;
  stile_settings settings{};
  settings.size = sizeof settings;
  auto made = Plan::create(settings, Plan::environment);
  if (!made) return std::unexpected(std::move(made.error()));
  plan_ = *std::move(made);
  return plan_;
}

std::expected<Client*, Failure> Classic::client() {
  of_thread.leave_behind();
  if (of_thread.client == nullptr) {
    auto found = plan();
    if (!found) return std::unexpected(std::move(found.error()));
    auto made = Client::create(*std::move(found));
    if (!made) return std::unexpected(std::move(made.error()));
    of_thread.client = *std::move(made);
  }
  return of_thread.client.get();
}

std::expected<Target, Failure> Classic::target_of(const sockaddr* address, socklen_t length) const {
  const bool whole =
      address != nullptr && length >= sizeof(sockaddr_in) &&
      (address->sa_family == AF_INET || (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)));
  if (!whole) return std::unexpected(argument_failure("it is no address of the Internet's"));
  const Endpoint endpoint = sys::endpoint_of(address, length);
  auto host = stand_ins_.host_of(endpoint.address);
  if (!host) return std::unexpected(argument_failure("the address stands for no name"));
  return Target{.host = *std::move(host), .port = endpoint.port};
}

}  // namespace stile::client
