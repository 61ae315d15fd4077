// Octets from socket to socket through a pipe.
#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class SpliceConformance : public EngineTest {
 protected:
  /// Moves everything from `from` to `to` until FIN, then passes the FIN on.
  void relay(Actor& from, Pipe& through, Actor& to) {
    for (;;) {
      const Result<std::size_t> in = engine().splice_in(from.socket, through, 1024 * 1024);
      if (in && *in == 0) break;
      if (!in) {
        ASSERT_EQ(in.error().kind, ErrorKind::would_block);
        ASSERT_EQ(through.held, 0u);
        ASSERT_TRUE(wait_for(from, Interest::readable));
      }
      while (through.held > 0) {
        const Result<std::size_t> out = engine().splice_out(through, to.socket);
        if (out) continue;
        ASSERT_EQ(out.error().kind, ErrorKind::would_block);
        ASSERT_TRUE(wait_for(to, Interest::writable));
      }
    }
    ASSERT_TRUE(engine().shutdown_write(to.socket));
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, SpliceConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(SpliceConformance, APipeSaysWhatItWasGranted) {
  Pipe& small = pipe();
  ASSERT_TRUE(engine().open_pipe(small, 64 * 1024));
  EXPECT_TRUE(small.is_open());
  EXPECT_GT(small.capacity, 0u);
  EXPECT_EQ(small.held, 0u);
  engine().close_pipe(small);
  EXPECT_FALSE(small.is_open());
  engine().close_pipe(small);  // changes nothing
}

TEST_P(SpliceConformance, MovesOctetsAndFin) {
  const Pair source = connected_pair();
  const Pair sink = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 256 * 1024));
  const std::string octets = pattern(30'000);
  send_all(source.connected, octets);
  ASSERT_TRUE(engine().shutdown_write(source.connected.socket));
  relay(source.accepted, through, sink.connected);
  const Stream stream = receive_to_end(sink.accepted);
  EXPECT_TRUE(stream.octets == octets);
  EXPECT_TRUE(stream.fin);
}

TEST_P(SpliceConformance, AnEmptySourceWouldBlock) {
  const Pair source = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 64 * 1024));
  const Result<std::size_t> in = engine().splice_in(source.accepted.socket, through, 4096);
  ASSERT_FALSE(in);
  EXPECT_EQ(in.error().kind, ErrorKind::would_block);
}

// EAGAIN of a full pipe must not be taken for an empty socket: no further event would come.
TEST_P(SpliceConformance, AFullPipeDoesNotHideWhatTheSocketHolds) {
  const Pair source = connected_pair();
  const Pair sink = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 4096));
  const std::string octets = pattern(60'000);
  send_all(source.connected, octets);
  ASSERT_TRUE(engine().shutdown_write(source.connected.socket));
  run_for(50ms);  // all of it has arrived: no further edge
  ASSERT_TRUE(wait_for(source.accepted, Interest::readable));
  std::string received;
  bool fin = false;
  while (!fin) {
    Result<std::size_t> in = std::size_t{1};
    while (in && *in > 0) in = engine().splice_in(source.accepted.socket, through, 1024 * 1024);
    fin = in.has_value();
    if (!fin) {
      ASSERT_EQ(in.error().kind, ErrorKind::would_block);
    }
    while (through.held > 0) {
      const Result<std::size_t> out = engine().splice_out(through, sink.connected.socket);
      if (out) {
        received += receive_exactly(sink.accepted, *out);
      } else {
        ASSERT_EQ(out.error().kind, ErrorKind::would_block);
        ASSERT_TRUE(wait_for(sink.connected, Interest::writable));
      }
    }
    if (!fin) {
      ASSERT_TRUE(wait_for(source.accepted, Interest::readable)) << received.size() << " octets so far";
    }
  }
  EXPECT_TRUE(received == octets);
}

TEST_P(SpliceConformance, AStalledSinkHoldsTheRestInThePipe) {
  const Pair source = connected_pair();
  const Pair sink = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 64 * 1024));
  const std::string octets = pattern(32 * 1024 * 1024);
  std::size_t offered = 0;
  std::size_t moved = 0;
  bool stalled = false;
  while (!stalled) {
    const Result<std::size_t> sent =
        engine().send(source.connected.socket, bytes(std::string_view(octets).substr(offered, 64 * 1024)));
    if (sent) offered += *sent;
    (void)engine().splice_in(source.accepted.socket, through, 64 * 1024);
    if (through.held == 0) {
      run_for(1ms);
      continue;
    }
    const Result<std::size_t> out = engine().splice_out(through, sink.connected.socket);
    if (out) {
      moved += *out;
    } else {
      ASSERT_EQ(out.error().kind, ErrorKind::would_block);
      stalled = !wait_for(sink.connected, Interest::writable, 50ms);
    }
    ASSERT_LT(offered, octets.size());
  }
  EXPECT_GT(through.held, 0u);
  EXPECT_TRUE(receive_exactly(sink.accepted, moved) == octets.substr(0, moved));
  ASSERT_TRUE(run_until([&] { return !sink.connected.socket.pending(); }));
  const std::size_t held = through.held;
  while (through.held > 0) {
    const Result<std::size_t> out = engine().splice_out(through, sink.connected.socket);
    if (!out) {
      ASSERT_TRUE(wait_for(sink.connected, Interest::writable));
    }
  }
  EXPECT_TRUE(receive_exactly(sink.accepted, held) == octets.substr(moved, held));
}

TEST_P(SpliceConformance, AResetSourceIsAnErrorAndNotAFin) {
  const Pair source = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 64 * 1024));
  engine().abort(source.connected.socket);
  run_for(20ms);
  for (int i = 0; i < 3; ++i) {
    Result<std::size_t> in = std::size_t{0};
    ASSERT_TRUE(run_until([&] {
      in = engine().splice_in(source.accepted.socket, through, 4096);
      return in || in.error().kind != ErrorKind::would_block;
    }));
    ASSERT_FALSE(in);
    EXPECT_EQ(in.error().kind, ErrorKind::reset);
  }
}

TEST_P(SpliceConformance, AResetSinkIsAnErrorWithoutASignal) {
  const Pair source = connected_pair();
  const Pair sink = connected_pair();
  Pipe& through = pipe();
  ASSERT_TRUE(engine().open_pipe(through, 64 * 1024));
  send_all(source.connected, pattern(10'000));
  ASSERT_TRUE(wait_for(source.accepted, Interest::readable));
  engine().abort(sink.accepted.socket);
  run_for(20ms);
  ASSERT_TRUE(run_until([&] { return engine().splice_in(source.accepted.socket, through, 10'000).has_value(); }));
  Result<std::size_t> out = std::size_t{0};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run_until([&] {
      if (through.held == 0) (void)engine().splice_in(source.accepted.socket, through, 10'000);
      if (through.held > 0) out = engine().splice_out(through, sink.connected.socket);
      return !out;
    }));
    EXPECT_EQ(out.error().kind, ErrorKind::reset);
  }
  EXPECT_TRUE(engine().failed(sink.connected.socket));
}

}  // namespace
}  // namespace stile::engine::conformance
