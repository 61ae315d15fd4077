// Pipes in the place of the standard streams: what goes in, what comes out, and how each of them ends.
#include "sys/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <thread>

#include "sys/main_loop.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

using State = StandardStreams::State;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  explicit Pipe(int flags = 0) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | flags), 0);
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
};

void put(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    ASSERT_GT(count, 0);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// So many octets, or up to the end where that comes before.
std::string take(int descriptor, std::size_t octets) {
  std::string text;
  while (text.size() < octets) {
    std::array waited{Waited{.descriptor = descriptor, .what = WaitFor::readable}};
    EXPECT_TRUE(wait_any(waited, std::nullopt));
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(descriptor, buffer.data(), std::min(buffer.size(), octets - text.size()));
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

class StandardStreamsTest : public testing::Test {
 protected:
  void begin(int input, int output) {
    ignore_broken_pipes();
    auto streams = StandardStreams::create(input, output);
    ASSERT_TRUE(streams);
    streams_.emplace(*std::move(streams));
    socket_ = streams_->take_socket();
    streams_->start();
  }
  void await(const auto& met) {
    while (!met()) {
      const std::array descriptors{streams_->changes()};
      ASSERT_TRUE(wait_readable(descriptors));
      streams_->clear();
    }
  }

  Pipe in_;
  Pipe out_;
  std::optional<StandardStreams> streams_;
  UniqueFd socket_;
};

TEST_F(StandardStreamsTest, CarriesBothWaysAndEachEndAlone) {
  begin(in_.read.get(), out_.write.get());
  put(in_.write.get(), "to the socket");
  EXPECT_EQ(take(socket_.get(), 13), "to the socket");
  in_.write.reset();
  EXPECT_EQ(take(socket_.get(), 1), "") << "the end of input is the socket's";
  await([&] { return streams_->input() == State::ended; });
  put(socket_.get(), "and back");
  EXPECT_EQ(take(out_.read.get(), 8), "and back") << "output goes on";
  ::shutdown(socket_.get(), SHUT_WR);
  await([&] { return streams_->output() == State::ended; });
  out_.write.reset();
}

TEST_F(StandardStreamsTest, TheReaderOfOutputSeesItsEndWhileInputGoesOn) {
  begin(in_.read.get(), out_.write.get());
  put(socket_.get(), "all of it");
  ::shutdown(socket_.get(), SHUT_WR);
  EXPECT_EQ(take(out_.read.get(), 100), "all of it") << "up to the end";
  EXPECT_EQ(streams_->input(), State::open);
  put(in_.write.get(), "still");
  EXPECT_EQ(take(socket_.get(), 5), "still");
  in_.write.reset();
  await([&] { return streams_->input() == State::ended && streams_->output() == State::ended; });
}

TEST_F(StandardStreamsTest, OutputThatNobodyReadsHasFailed) {
  begin(in_.read.get(), out_.write.get());
  out_.read.reset();
  put(socket_.get(), "to nobody");
  await([&] { return streams_->output() == State::failed; });
  in_.write.reset();
  await([&] { return streams_->input() == State::ended; });
}

TEST_F(StandardStreamsTest, InputThatCannotBeReadHasNotEnded) {
  const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC));
  begin(folder.get(), out_.write.get());
  await([&] { return streams_->input() == State::failed; });
  std::array<char, 1> octet;
  EXPECT_EQ(::recv(socket_.get(), octet.data(), 1, MSG_DONTWAIT), -1) << "no end is told";
  socket_.reset();
  await([&] { return streams_->output() == State::ended; });
}

TEST_F(StandardStreamsTest, DescriptorsThatSomebodyMadeNonBlockingAreWaitedFor) {
  Pipe in(O_NONBLOCK);
  Pipe out(O_NONBLOCK);
  begin(in.read.get(), out.write.get());
  const std::string much(1 << 20, 'x');
  ASSERT_EQ(::fcntl(in.write.get(), F_SETFL, 0), 0);
  std::thread writer([&] {
    for (std::size_t at = 0; at < much.size(); at += 1 << 12) put(in.write.get(), much.substr(at, 1 << 12));
    in.write.reset();
  });
  EXPECT_EQ(take(socket_.get(), much.size() + 1), much);
  writer.join();
  ASSERT_EQ(::fcntl(socket_.get(), F_SETFL, 0), 0);
  std::thread sender([&] {
    put(socket_.get(), much);
    ::shutdown(socket_.get(), SHUT_WR);
  });
  EXPECT_EQ(take(out.read.get(), much.size() + 1), much);
  sender.join();
  await([&] { return streams_->input() == State::ended && streams_->output() == State::ended; });
}

}  // namespace
}  // namespace stile::sys
