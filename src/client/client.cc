#include "client/client.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "resolve/cares_resolver.h"
#include "resolve/table_resolver.h"
#include "sys/handed_socket.h"
#include "sys/process.h"

namespace stile::client {
namespace {

constexpr int turns_per_drive_max = 8;

/// Takes the one that `pointer` is out of its owners.
template <class Pointer>
Pointer extracted(std::vector<Pointer>& from, const typename Pointer::element_type& which) noexcept {
  const auto found = std::ranges::find(from, &which, &Pointer::get);
  STILE_ASSERT(found != from.end());
  std::swap(*found, from.back());
  auto taken = std::move(from.back());
  from.pop_back();
  return taken;
}

}  // namespace

// ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────────

Client::Client(std::shared_ptr<const Plan> plan, sys::AlarmClock alarm) noexcept
    : plan_(std::move(plan)), process_(sys::own_process_id()), alarm_(std::move(alarm)) {
  alarm_watch_.bind<&Client::on_alarm>(this);
  resolver_closed_.bind<&Client::on_resolver_closed>(this);
}

std::expected<std::unique_ptr<Client>, Failure> Client::create(std::shared_ptr<const Plan> plan) {
  auto alarm = sys::AlarmClock::create();
  if (!alarm) return std::unexpected(system_failure("the client cannot be opened", alarm.error()));
  std::unique_ptr<Client> client(new Client(std::move(plan), *std::move(alarm)));
  if (auto opened = client->open(); !opened) {
    return std::unexpected(system_failure("the client cannot be opened", opened.error()));
  }
  return client;
}

Result<void> Client::open() {
  auto engine = engine::EpollEngine::create({.ignore_broken_pipes = false});
  if (!engine) return std::unexpected(engine.error());
  engine_ = *std::move(engine);
  if (plan_->needs_names()) {
    auto dns = resolve::CaresResolver::create(*engine_, {});
    if (!dns) return std::unexpected(dns.error());
    names_ = *std::move(dns);
  } else {
    names_ = std::make_unique<resolve::TableResolver>(*engine_);  // which knows none
  }
  resolver_.emplace(*engine_, *names_, resolve::CachingResolver::Options{.hosts_path = "/etc/hosts"});
  engine_->adopt(alarm_watch_, alarm_.descriptor());
  engine_->wait(alarm_watch_, engine::Interest::readable);
  return {};
}

Client::~Client() {
  if (!resolver_) return;  // it never opened
  for (const auto& operation : operations_) {
    operation->abandoned = true;
    operation->cancel();
  }
  bury();
  while (!listenings_.empty()) drop(*listenings_.back());
  while (!operations_.empty() || !leaving_.empty()) turn();
  engine_->release(alarm_watch_);
  resolver_->close(resolver_closed_);
  engine_->run();
}

bool Client::forked() const noexcept {
  return process_ != sys::own_process_id();
}

// ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────────

void Client::begin(std::unique_ptr<Operation> operation, std::optional<Duration> limit) {
  turn();  // the engine's clock stands still while nobody drives it
  Operation& started = *operation;
  operations_.push_back(std::move(operation));
  ++running_;
  started.start(limit);
  set_alarm();
}

void Client::operation_done(Operation& operation) noexcept {
  --running_;
  if (!operation.abandoned) done_.push_back(&operation);
  if (&operation == awaited_) engine_->stop();
}

void Client::drop(Operation& operation) noexcept {
  operation.abandoned = true;
  std::erase(done_, &operation);
  if (!operation.done()) {
    operation.cancel();
    return set_alarm();  // it is freed when it is done
  }
  (void)extracted(operations_, operation);
}

void Client::finish(Operation& operation) {
  awaited_ = &operation;
  while (!operation.done()) engine_->run();
  awaited_ = nullptr;
  bury();
  set_alarm();
}

std::size_t Client::drive() {
  int turns = 0;
  do {
    turn();
  } while (engine_->time_to_sleep() == Duration::zero() && ++turns < turns_per_drive_max);
  set_alarm();
  return running_;
}

Operation* Client::next_done() noexcept {
  if (done_.empty()) return nullptr;
  Operation* const next = done_.front();
  done_.pop_front();
  return next;
}

/// One turn of the loop, without waiting for anything.
void Client::turn() {
  engine_->stop();
  engine_->run();
  bury();
}

void Client::bury() noexcept {
  std::erase_if(operations_, [](const auto& operation) { return operation->abandoned && operation->done(); });
  std::erase_if(leaving_, [](const auto& listening) { return !listening->pending(); });
}

// ── the one descriptor ──────────────────────────────────────────────────────────────────────────────────────────────

/// It is the engine's, in which the alarm is watched: timers, and what waits for the next turn, make it readable too.
void Client::set_alarm() noexcept {
  const std::optional<Duration> sleep = engine_->time_to_sleep();
  std::optional<Instant> due;
  if (sleep) due = engine_->now() + *sleep;
  if (due == alarm_at_ && sleep != Duration::zero()) return;
  alarm_at_ = due;
  alarm_.set(sleep);
}

void Client::on_alarm(engine::Status status) {
  if (status == engine::Status::canceled) return;
  alarm_.set(std::nullopt);
  alarm_at_.reset();
  engine_->wait(alarm_watch_, engine::Interest::readable);
}

// ── what came of them ───────────────────────────────────────────────────────────────────────────────────────────────

Result<sys::UniqueFd> Client::hand_out(protect::Line& line) {
  if (line.is_plain()) {
    sys::UniqueFd fd = engine_->give(line.socket());
    if (auto set = sys::set_blocking(fd.get(), true); !set) return std::unexpected(set.error());
    return fd;
  }
  if (carrier_ == nullptr) carrier_ = Carrier::create();
  auto transform = line.unprotect();
  return carrier_->carry(engine_->give(line.socket()), std::move(transform));
}

std::expected<std::unique_ptr<Datagrams>, Failure> Client::hand_out(AssociateOperation& operation) {
  const auto failed = [](const Error& error) {
    return std::unexpected(system_failure("the association cannot be used", error));
  };
  std::vector<Target> further;
  for (std::size_t hop = 1; hop < operation.size(); ++hop) further.push_back(operation.relay(hop));
  std::optional<sys::DatagramLink> link;
  std::unique_ptr<protect::GssStream> protection;
  for (std::size_t hop = 0; hop < operation.size(); ++hop) {
    protect::Line line;
    operation.take(hop, line);
    if (hop == 0) {
      const Endpoint relay{.address = *operation.relay(0).address(), .port = operation.relay(0).port};
      const auto own = engine_->local_endpoint(line.socket());
      auto made = sys::DatagramLink::create(relay, own ? std::optional(own->address) : std::nullopt);
      if (!made) {
        line.close(*engine_);
        return failed(made.error());
      }
      link = *std::move(made);
    }
    // Kerberos' context wraps the datagrams; nothing more is said on its stream.
    if (plan_->hops()[hop]->url.protection == wire::ProxyProtection::gssapi) {
      auto transform = line.unprotect();
      auto* const stream = dynamic_cast<protect::GssStream*>(transform.get());
      STILE_ASSERT(stream != nullptr);
      protection.reset(stream);
      (void)transform.release();
    }
    auto stream = hand_out(line);
    if (!stream) return failed(stream.error());
    if (auto kept = link->keep(*std::move(stream)); !kept) return failed(kept.error());
  }
  return std::make_unique<Datagrams>(*std::move(link), std::move(further), std::move(protection));
}

Listening& Client::keep(std::shared_ptr<Listening> listening) {
  listenings_.push_back(std::move(listening));
  return *listenings_.back();
}

std::shared_ptr<Listening> Client::shared(const Listening& listening) const noexcept {
  const auto found = std::ranges::find(listenings_, &listening, &std::shared_ptr<Listening>::get);
  STILE_ASSERT(found != listenings_.end());
  return *found;
}

void Client::drop(Listening& listening) noexcept {
  auto taken = extracted(listenings_, listening);
  taken->cancel();
  if (taken->pending()) leaving_.push_back(std::move(taken));
  set_alarm();
}

}  // namespace stile::client
