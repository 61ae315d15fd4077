#include "observe/accounting.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace stile::observe {
namespace {

using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

// From the first entry of a batch to its write: the disk synchronises once for all of them.
constexpr auto gather = 250ms;
constexpr auto retry = 1s;  // a disk that did not take them is asked again
constexpr std::size_t batch_entries_max = 10'000;

std::size_t octets_of(const AccountingEntry& entry) noexcept {
  return sizeof entry + entry.listener.size() + entry.client.size() + entry.user.size() + entry.target.size() +
         entry.address.size() + entry.rule.size();
}

AccountingEntry entry_of(AccountingKind kind, const Record& record) {
  AccountingEntry entry{.kind = kind, .session = record.session, .time = record.time, .began = record.time};
  entry.octets_up = record.bytes_up.value_or(0);
  entry.octets_down = record.bytes_down.value_or(0);
  entry.packets_up = record.packets_up.value_or(0);
  entry.packets_down = record.packets_down.value_or(0);
  entry.rule = record.rule;
  if (kind == AccountingKind::interim) return entry;
  if (record.duration) entry.began -= std::chrono::duration_cast<std::chrono::microseconds>(*record.duration);
  entry.listener = record.listener;
  if (record.client) entry.client = record.client->to_string();
  entry.protocol = record.protocol;
  entry.user = record.user;
  entry.method = record.method;
  entry.command = record.command;
  entry.target = record.target;
  if (record.address) entry.address = record.address->to_string();
  entry.reason = stile::token(record.reason);
  return entry;
}

}  // namespace

/// Lock order: mutex_ is the only one, and is never held across a call of the store.
class Accounting::Writer {
 public:
  Writer(std::string file, std::unique_ptr<AccountingStore> store, Warn warn, std::size_t octets_max)
      : file_(std::move(file)), store_(std::move(store)), warn_(std::move(warn)), octets_max_(octets_max) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stop_at_ = std::chrono::steady_clock::now() + limits::accounting_flush;
    }
    changed_.notify_one();
    thread_.join();
    if (lost() > 0) warn_(fmt::format("accounting lost {} entries", lost()), "", "");
  }

  [[nodiscard]] bool start() {
    // Signals are for the main thread.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      started = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  bool append(AccountingEntry&& entry) {
    const std::size_t octets = octets_of(entry);
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t room = entry.kind == AccountingKind::interim ? octets_max_ / 2 : octets_max_;
      if (held_octets_ + octets > room) return false;
      wake = pending_.empty();
      pending_.push_back(std::move(entry));
      held_octets_ += octets;
      full_.store(nearly_all(), std::memory_order_relaxed);
    }
    if (wake) changed_.notify_one();
    return true;
  }

  void lose(std::uint64_t entries) noexcept { lost_.fetch_add(entries, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool full() const noexcept { return full_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t left_open() const noexcept { return store_->lost(); }

 private:
  void run() {
    std::vector<AccountingEntry> batch;
    while (next_batch(batch)) {
      std::span<const AccountingEntry> rest(batch);
      while (!rest.empty()) {
        const auto part = rest.first(std::min(rest.size(), batch_entries_max));
        if (!write(part)) break;
        release(part);
        rest = rest.subspan(part.size());
      }
      lose(rest.size());
      release(rest);
      batch.clear();
      say_losses();
    }
  }

  // Waits for entries and gathers; false at the end.
  bool next_batch(std::vector<AccountingEntry>& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_at_ || !pending_.empty(); });
    changed_.wait_for(lock, gather, [&] { return stop_at_.has_value(); });
    batch.swap(pending_);
    return !batch.empty();
  }

  // Until the disk takes it; false when the server ends first.
  bool write(std::span<const AccountingEntry> entries) {
    for (;;) {
      const auto written = store_->write(entries);
      if (written) {
        if (std::exchange(failing_, false)) warn_(fmt::format("{} takes entries again", file_), "", "");
        return true;
      }
      if (!std::exchange(failing_, true)) {
        warn_(fmt::format("cannot write accounting to {}", file_), written.error().why, written.error().cure);
      }
      say_losses();
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, retry, [&] { return stop_at_.has_value(); });
      if (stop_at_ && std::chrono::steady_clock::now() >= *stop_at_) return false;
      // At the end it is tried once more, and not waited for.
      if (stop_at_) stop_at_ = SteadyTime::min();
    }
  }

  void release(std::span<const AccountingEntry> entries) {
    std::size_t octets = 0;
    for (const AccountingEntry& entry : entries) octets += octets_of(entry);
    const std::lock_guard lock(mutex_);
    held_octets_ -= octets;
    full_.store(nearly_all(), std::memory_order_relaxed);
  }

  // Once for each time that the disk stops taking entries, when the first is lost.
  void say_losses() {
    if (lost() == said_) return;
    said_ = lost();
    if (!losing_) warn_("accounting loses entries", "what waits for the disk has reached its limit", "");
    losing_ = failing_;
  }

  // With mutex_ held.
  [[nodiscard]] bool nearly_all() const noexcept { return held_octets_ >= octets_max_ - octets_max_ / 8; }

  const std::string file_;
  const std::unique_ptr<AccountingStore> store_;
  const Warn warn_;
  const std::size_t octets_max_;
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<bool> full_{false};
  // The writer's own.
  std::uint64_t said_ = 0;
  bool failing_ = false;
  bool losing_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<AccountingEntry> pending_;  // under mutex_
  std::size_t held_octets_ = 0;           // under mutex_: pending, and the batch that is being written
  std::optional<SteadyTime> stop_at_;     // under mutex_: set once, when to give up
  std::thread thread_;
};

std::expected<std::unique_ptr<Accounting>, AccountingFault> Accounting::open(const std::string& file, Warn warn,
                                                                             std::size_t spool_octets_max) {
  auto store = AccountingStore::open(file);
  if (!store) return std::unexpected(std::move(store.error()));
  auto writer = std::make_unique<Writer>(file, std::move(*store), std::move(warn), spool_octets_max);
  if (!writer->start()) return std::unexpected(AccountingFault{"the system gives no thread", "raise its limit"});
  return std::unique_ptr<Accounting>(new Accounting(std::move(writer)));
}

Accounting::Accounting(std::unique_ptr<Writer> writer) noexcept : writer_(std::move(writer)) {}
Accounting::~Accounting() = default;

bool Accounting::write(AccountingKind kind, const Record& record) noexcept {
  bool taken = false;
  try {
    taken = writer_->append(entry_of(kind, record));
  } catch (...) {
    taken = false;  // no memory for one entry: it is lost, the session goes on
  }
  if (!taken && kind != AccountingKind::interim) writer_->lose(1);
  return taken;
}

bool Accounting::full() const noexcept {
  return writer_->full();
}

std::uint64_t Accounting::lost() const noexcept {
  return writer_->lost();
}

std::uint64_t Accounting::left_open() const noexcept {
  return writer_->left_open();
}

}  // namespace stile::observe
