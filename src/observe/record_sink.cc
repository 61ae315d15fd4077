#include "observe/record_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace stile::observe {
namespace {

using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

// From the first record of a batch to its write: long enough to gather, a quarter of what a record may take.
constexpr auto gather = limits::record_delay_max / 4;
constexpr auto writable_wait = 100ms;  // then the writer looks whether it shall stop
constexpr auto full_retry = 1s;        // a full disk is asked again
constexpr auto flush_max = 2s;         // at the end
constexpr std::size_t chunk_octets = 64 * limits::KiB;

enum class Wrote : std::uint8_t { some, wait_writable, wait_space, gone };

/// A descriptor that is written without ever blocking on it, whatever it is, and without making it non-blocking for
/// the other processes that share it (a shell its terminal).
class Output {
 public:
  explicit Output(int descriptor) noexcept : descriptor_(descriptor) {
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) return;
    if (S_ISSOCK(status.st_mode)) {
      kind_ = Kind::socket;
    } else if (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)) {
      open_own();
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() {
    if (own_ >= 0) ::close(own_);
  }

  /// Writes the front of `octets` and takes it off.
  Wrote write_some(std::string_view& octets) noexcept {
    const ssize_t written = write_now(octets);
    if (written >= 0) {
      octets.remove_prefix(static_cast<std::size_t>(written));
      return Wrote::some;
    }
    switch (errno) {
      case EINTR:
        return Wrote::some;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return Wrote::wait_writable;
      case ENOSPC:
      case EDQUOT:
      case EIO:
      case EFBIG:
        return Wrote::wait_space;
      default:
        return Wrote::gone;
    }
  }

  void await_writable() const noexcept {
    pollfd waiting{.fd = descriptor(), .events = POLLOUT, .revents = 0};
    ::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(writable_wait).count()));
  }

 private:
  enum class Kind : std::uint8_t {
    plain,     // regular files: a write ends by itself
    socket,    // asked per call not to block
    own,       // a file description of our own, non-blocking
    borrowed,  // a pipe or terminal that could not be opened again
  };

  // A pipe or terminal opened again is another file description: non-blocking for us alone. It may be refused, for
  // example behind su(1), where the terminal belongs to another user.
  void open_own() noexcept {
    char path[32] = "/proc/self/fd/";
    const std::string number = std::to_string(descriptor_);
    std::copy(number.begin(), number.end(), path + 14);
    own_ = ::open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    kind_ = own_ >= 0 ? Kind::own : Kind::borrowed;
  }

  [[nodiscard]] int descriptor() const noexcept { return own_ >= 0 ? own_ : descriptor_; }

  [[nodiscard]] ssize_t write_now(std::string_view octets) const noexcept {
    if (kind_ == Kind::socket) return ::send(descriptor_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (kind_ == Kind::borrowed) {
      pollfd ready{.fd = descriptor_, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
      }
      // A pipe that is writable takes a page without blocking.
      octets = octets.substr(0, 4096);
    }
    return ::write(descriptor(), octets.data(), octets.size());
  }

  int descriptor_;
  int own_ = -1;
  Kind kind_ = Kind::plain;
};

}  // namespace

/// The ring is a list of chunks, so that an appender never copies more than its own line, and memory follows use.
/// Lock order: mutex_ is the only one, and is never held across a system call.
class RecordSink::Writer {
 public:
  Writer(int descriptor, RecordFormat format, std::size_t octets_max)
      : output_(descriptor), format_(format), octets_max_(octets_max) {}
  ~Writer() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stop_at_ = std::chrono::steady_clock::now() + flush_max;
    }
    changed_.notify_one();
    thread_.join();
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] Result<void> start() {
    // Signals are for the main thread; a broken pipe is a return value here.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Result<void> result;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& e) {
      result = std::unexpected(Error{.kind = ErrorKind::no_memory, .os_code = e.code().value()});
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return result;
  }

  void append(std::string_view line) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (line.size() > octets_max_ - held_octets_) {
        lose(1);
        return;
      }
      const bool first = pending_.empty();
      if (first || pending_.back().size() + line.size() > chunk_octets) {
        pending_.emplace_back();
        pending_.back().reserve(std::max(chunk_octets, line.size()));
      }
      pending_.back().append(line);
      const bool was_half_full = half_full();
      held_octets_ += line.size();
      wake = first || (half_full() && !was_half_full);
    }
    if (wake) changed_.notify_one();
  }

  void lose(std::uint64_t records) noexcept { dropped_.fetch_add(records, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  // With mutex_ held.
  [[nodiscard]] bool half_full() const noexcept { return held_octets_ >= octets_max_ / 2; }

  void run() {
    std::vector<std::string> batch;
    while (next_batch(batch)) {
      for (const std::string& chunk : batch) {
        const std::string_view left = write_all(chunk);
        lose(static_cast<std::uint64_t>(std::ranges::count(left, '\n')));
        const std::lock_guard lock(mutex_);
        held_octets_ -= chunk.size();
      }
      batch.clear();
      report_losses();
    }
  }

  // Waits for records and gathers; false at the end.
  bool next_batch(std::vector<std::string>& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_at_ || !pending_.empty(); });
    changed_.wait_for(lock, gather, [&] { return stop_at_ || half_full(); });
    batch.swap(pending_);
    return !batch.empty();
  }

  // All of it, or as much as the descriptor takes before it is gone or time is up; answers what is left over.
  std::string_view write_all(std::string_view octets) {
    while (!octets.empty()) {
      const Wrote wrote = output_.write_some(octets);
      if (wrote == Wrote::some) continue;
      if (wrote == Wrote::gone || time_is_up()) break;
      if (wrote == Wrote::wait_space) {
        await_space();
      } else {
        output_.await_writable();
      }
    }
    return octets;
  }

  // A disk that is full when Stile stops is not waited for.
  void await_space() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, full_retry, [&] { return stop_at_.has_value(); });
    if (stop_at_) stop_at_ = SteadyTime::min();
  }

  [[nodiscard]] bool time_is_up() {
    const std::lock_guard lock(mutex_);
    return stop_at_ && std::chrono::steady_clock::now() >= *stop_at_;
  }

  // Behind a batch, so that it tells of a sink that takes records again. A notice that does not go out is made anew.
  void report_losses() {
    const std::uint64_t lost = dropped() - reported_;
    if (lost == 0) return;
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const Loss loss{.time = now, .records = lost};
    const std::string line = format_ == RecordFormat::json ? to_json(loss) : to_text(loss);
    if (write_all(line).empty()) reported_ += lost;
  }

  Output output_;
  const RecordFormat format_;
  const std::size_t octets_max_;
  std::atomic<std::uint64_t> dropped_{0};
  std::uint64_t reported_ = 0;  // of dropped_; the writer's own

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> pending_;   // under mutex_
  std::size_t held_octets_ = 0;        // under mutex_: pending, and the batch that is being written
  std::optional<SteadyTime> stop_at_;  // under mutex_: set once, when to give up
  std::thread thread_;
};

Result<std::unique_ptr<RecordSink>> RecordSink::create(int descriptor, RecordFormat format,
                                                       std::size_t ring_octets_max) {
  if (format == RecordFormat::none) return std::unique_ptr<RecordSink>(new RecordSink(format, nullptr));
  auto writer = std::make_unique<Writer>(descriptor, format, ring_octets_max);
  if (auto started = writer->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<RecordSink>(new RecordSink(format, std::move(writer)));
}

RecordSink::RecordSink(RecordFormat format, std::unique_ptr<Writer> writer) noexcept
    : format_(format), writer_(std::move(writer)) {}

RecordSink::~RecordSink() = default;

void RecordSink::write(const Record& record) noexcept {
  if (writer_ == nullptr) return;
  try {
    writer_->append(format_ == RecordFormat::json ? to_json(record) : to_text(record));
  } catch (...) {  // no memory for one line: the record is lost, the session goes on
    writer_->lose(1);
  }
}

void RecordSink::write_lines(std::string_view lines) noexcept {
  if (writer_ == nullptr) return;
  try {
    writer_->append(lines);
  } catch (...) {
    writer_->lose(static_cast<std::uint64_t>(std::ranges::count(lines, '\n')));
  }
}

bool RecordSink::wants_records() const noexcept {
  return writer_ != nullptr;
}

std::uint64_t RecordSink::dropped() const noexcept {
  return writer_ == nullptr ? 0 : writer_->dropped();
}

}  // namespace stile::observe
