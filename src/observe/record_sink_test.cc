#include "observe/record_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace stile::observe {
namespace {

// Longer than any machine should need; only a failure waits for it.
constexpr int patience_ms = 20'000;

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    if (ends[1] >= 0) ::close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) ::close(ends[0]);
    ends[0] = -1;
  }
  [[nodiscard]] int writer() const { return ends[1]; }

  // Up to and including the first line that contains `mark`.
  std::string read_until(std::string_view mark) {
    std::string text;
    while (text.find(mark) == std::string::npos || text.back() != '\n') {
      pollfd waiting{.fd = ends[0], .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, patience_ms) <= 0) break;
      char buffer[65536];
      const ssize_t count = ::read(ends[0], buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }
  int ends[2] = {-1, -1};
};

Record record_of(std::uint64_t session, std::string_view target = {}) {
  Record record;
  record.event = Event::denied;
  record.session = session;
  record.target = target;
  return record;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

TEST(RecordSink, ARecordArrivesWithoutAnyOther) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json).value();
  sink->write(record_of(7));
  EXPECT_EQ(pipe.read_until("denied"), to_json(record_of(7)));
}

TEST(RecordSink, FlushesAtItsEnd) {
  Pipe pipe;
  {
    const auto sink = RecordSink::create(pipe.writer(), RecordFormat::text).value();
    for (std::uint64_t i = 1; i <= 100; ++i) sink->write(record_of(i));
  }
  const std::string text = pipe.read_until("session=0000000000000064");
  EXPECT_EQ(lines_of(text).size(), 100U);
}

TEST(RecordSink, ManyThreadsLoseNothingAndMixNothing) {
  Pipe pipe;
  constexpr std::uint64_t each = 2'000;
  constexpr std::uint64_t threads = 4;
  std::string text;
  std::thread reader([&] { text = pipe.read_until("end-of-test"); });
  {
    const auto sink = RecordSink::create(pipe.writer(), RecordFormat::text).value();
    std::vector<std::thread> appenders;
    for (std::uint64_t t = 0; t < threads; ++t) {
      appenders.emplace_back([&sink, t] {
        for (std::uint64_t i = 1; i <= each; ++i) sink->write(record_of(t * each + i, std::string(i % 300, 'x')));
      });
    }
    for (std::thread& appender : appenders) appender.join();
    EXPECT_EQ(sink->dropped(), 0U);
    sink->write(record_of(1, "end-of-test"));
  }
  reader.join();
  std::multiset<std::string> got;
  for (const std::string& line : lines_of(text)) got.insert(line + '\n');
  EXPECT_EQ(got.size(), threads * each + 1);
  for (std::uint64_t t = 0; t < threads; ++t) {
    for (std::uint64_t i = 1; i <= each; ++i) {
      ASSERT_EQ(got.count(to_text(record_of(t * each + i, std::string(i % 300, 'x')))), 1U);
    }
  }
}

// Threat TL3: the reader stops; appenders go on, lose records and count them; the count is told when it reads again.
TEST(RecordSink, AStoppedReaderCostsRecordsAndNothingElse) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json, 128 * 1024).value();
  const std::string target(200, 'x');
  std::uint64_t written = 0;
  while (sink->dropped() < 100) {
    sink->write(record_of(++written, target));
  }
  std::string text = pipe.read_until("log.dropped");
  sink->write(record_of(42, "end-of-test"));
  if (text.find("end-of-test") == std::string::npos) text += pipe.read_until("end-of-test");
  std::uint64_t told = 0;
  std::uint64_t notices = 0;
  for (const std::string& line : lines_of(text)) {
    const std::size_t at = line.find("\"dropped\":");
    if (at == std::string::npos) continue;
    told += std::stoull(line.substr(at + 10));
    ++notices;
  }
  EXPECT_EQ(told, sink->dropped());
  EXPECT_EQ(lines_of(text).size(), written - told + notices + 1);
}

TEST(RecordSink, AReaderThatNeverReadsDoesNotHoldUpTheEnd) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json).value();
  for (std::uint64_t i = 1; i <= 2'000; ++i) sink->write(record_of(i, std::string(200, 'x')));
}

TEST(RecordSink, AClosedPipeNeitherKillsNorBlocks) {
  Pipe pipe;
  pipe.close_reader();
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json).value();
  std::uint64_t written = 0;
  while (sink->dropped() < 10) {
    sink->write(record_of(++written));
    std::this_thread::yield();
  }
}

TEST(RecordSink, AClosedSocketNeitherKillsNorBlocks) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  {
    const auto sink = RecordSink::create(ends[1], RecordFormat::json).value();
    sink->write(record_of(1));
    char buffer[1024];
    EXPECT_GT(::read(ends[0], buffer, sizeof buffer), 0);
    ::close(ends[0]);
    while (sink->dropped() == 0) {
      sink->write(record_of(2));
      std::this_thread::yield();
    }
  }
  ::close(ends[1]);
}

TEST(RecordSink, AFullDiskKeepsWhatFitsTheRingAndCountsTheRest) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    const auto sink = RecordSink::create(full, RecordFormat::json, 4096).value();
    for (std::uint64_t i = 1; i <= 100; ++i) sink->write(record_of(i));
    EXPECT_GT(sink->dropped(), 0U);
    EXPECT_LT(sink->dropped(), 100U);
  }
  ::close(full);
}

TEST(RecordSink, TheDescriptorStaysBlockingForItsOtherUsers) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json).value();
  sink->write(record_of(7));
  pipe.read_until("denied");
  EXPECT_EQ(::fcntl(pipe.writer(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(RecordSink, LinesOfTheCallersOwnKeepTheirPlace) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::text).value();
  sink->write_lines("one\ntwo\n");
  sink->write(record_of(7));
  EXPECT_TRUE(pipe.read_until("denied").starts_with("one\ntwo\n"));
}

TEST(RecordSink, ALineLargerThanTheRingIsLost) {
  Pipe pipe;
  const auto sink = RecordSink::create(pipe.writer(), RecordFormat::json, 100).value();
  sink->write(record_of(1, std::string(200, 'x')));
  EXPECT_EQ(sink->dropped(), 1U);
}

TEST(RecordSink, NoneWantsNothing) {
  const auto sink = RecordSink::create(-1, RecordFormat::none).value();
  EXPECT_FALSE(sink->wants_records());
  sink->write(record_of(1));
  EXPECT_EQ(sink->dropped(), 0U);
}

}  // namespace
}  // namespace stile::observe
