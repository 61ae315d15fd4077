#include "netns/name_server.h"

#include <array>
#include <utility>

#include "base/limits.h"
#include "sys/diverted_socket.h"

namespace stile::netns {
namespace {

constexpr std::size_t message_octets_max = 4096;  // no question is longer, whatever stands behind it
constexpr std::size_t prefix_octets = 2;          // of a message on a stream: its length (RFC 1035 section 4.2.2)

}  // namespace

class NameServer::Datagrams {
 public:
  Datagrams(NameServer& server, sys::UniqueFd fd) : server_(server), fd_(std::move(fd)) {
    watch_.bind<&Datagrams::on_ready>(this);
    server_.engine_.adopt(watch_, fd_.get());
    server_.engine_.wait(watch_, engine::Interest::readable);
  }
  void stop() noexcept {
    if (watch_.is_open()) server_.engine_.release(watch_);
  }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    std::array<std::uint8_t, message_octets_max> room;
    for (std::size_t i = 0; i < limits::name_server_batch_max; ++i) {
      const auto received = sys::receive_addressed(fd_.get(), room);
      if (!received) break;
      const auto answer = server_.answers_.answer(ConstBytes(room).first(received->octets));
      // One that does not go is asked for again.
      if (!answer.empty()) (void)sys::answer_addressed(fd_.get(), received->called.address, received->from, answer);
    }
    server_.engine_.wait(watch_, engine::Interest::readable);
  }

  NameServer& server_;
  sys::UniqueFd fd_;
  engine::Socket watch_;
};

class NameServer::Stream {
 public:
  explicit Stream(NameServer& server) : server_(server) {
    socket_.bind<&Stream::on_ready>(this);
    idle_.bind<&Stream::on_idle>(this);
  }
  void begin(engine::Socket& accepted) {
    server_.engine_.move(accepted, socket_);
    arm();
    server_.engine_.wait(socket_, engine::Interest::readable);
  }
  void end() noexcept {
    ending_ = true;
    server_.engine_.cancel(idle_);
    if (socket_.is_open()) server_.engine_.close(socket_);
    release_when_quiet();
  }

 private:
  void on_ready(engine::Status) {
    if (ending_) return release_when_quiet();
    if (!flush() || !receive()) return end();
    const bool waits = !out_.empty();
    server_.engine_.wait(socket_, waits ? engine::Interest::writable : engine::Interest::readable);
  }

  // Nothing is read while an answer waits: a client that takes none gets no more.
  bool receive() {
    if (!out_.empty()) return true;
    std::array<std::uint8_t, message_octets_max> room;
    const auto received = server_.engine_.receive(socket_, room);
    if (!received) return received.error().kind == ErrorKind::would_block;
    if (*received == 0) return false;
    in_.insert(in_.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*received));
    return answer() && flush();
  }

  bool answer() {
    while (in_.size() >= prefix_octets) {
      const std::size_t length = static_cast<std::size_t>(in_[0]) << 8 | in_[1];
      if (length > message_octets_max) return false;
      if (in_.size() < prefix_octets + length) break;
      const auto answer = server_.answers_.answer(ConstBytes(in_).subspan(prefix_octets, length));
      if (answer.empty()) return false;
      out_.push_back(static_cast<std::uint8_t>(answer.size() >> 8));
      out_.push_back(static_cast<std::uint8_t>(answer.size() & 0xFF));
      out_.insert(out_.end(), answer.begin(), answer.end());
      in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(prefix_octets + length));
      arm();
    }
    return true;
  }

  bool flush() {
    if (out_.empty()) return true;
    const auto sent = server_.engine_.send(socket_, out_);
    if (!sent) return sent.error().kind == ErrorKind::would_block;
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(*sent));
    return true;
  }

  void arm() { server_.engine_.start_timer(idle_, server_.engine_.now() + limits::name_server_stream_idle); }
  void on_idle(engine::Status status) {
    if (ending_) return release_when_quiet();
    if (status == engine::Status::done) end();
  }
  void release_when_quiet() noexcept {
    if (!socket_.pending() && !idle_.pending()) server_.ended(*this);
  }

  NameServer& server_;
  engine::Socket socket_;
  engine::Timer idle_;
  std::vector<std::uint8_t> in_;
  std::vector<std::uint8_t> out_;
  bool ending_ = false;
};

class NameServer::Listener {
 public:
  Listener(NameServer& server, sys::UniqueFd fd) : server_(server) {
    socket_.bind<&Listener::on_ready>(this);
    server_.engine_.take(socket_, std::move(fd), engine::EpollEngine::Role::listener);
    server_.engine_.wait(socket_, engine::Interest::readable);
  }
  void stop() noexcept {
    if (socket_.is_open()) server_.engine_.close(socket_);
  }

 private:
  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    for (std::size_t i = 0; i < limits::name_server_batch_max; ++i) {
      engine::Socket accepted;
      if (!server_.engine_.try_accept(socket_, accepted)) break;
      if (server_.streams_.size() >= limits::name_server_streams_max) {
        server_.engine_.close(accepted);
        continue;
      }
      server_.streams_.push_back(std::make_unique<Stream>(server_));
      server_.streams_.back()->begin(accepted);
    }
    server_.engine_.wait(socket_, engine::Interest::readable);
  }

  NameServer& server_;
  engine::Socket socket_;
};

NameServer::NameServer(engine::EpollEngine& engine, resolve::NameAnswers& answers)
    : engine_(engine), answers_(answers) {}

NameServer::~NameServer() = default;

void NameServer::serve_datagrams(sys::UniqueFd socket) {
  datagrams_.push_back(std::make_unique<Datagrams>(*this, std::move(socket)));
}

void NameServer::serve_streams(sys::UniqueFd listener) {
  listeners_.push_back(std::make_unique<Listener>(*this, std::move(listener)));
}

void NameServer::stop() noexcept {
  for (const auto& one : datagrams_) one->stop();
  for (const auto& one : listeners_) one->stop();
  for (std::size_t i = streams_.size(); i > 0; --i) streams_[i - 1]->end();  // ending one may take it out
}

void NameServer::ended(const Stream& stream) noexcept {
  std::erase_if(streams_, [&](const auto& one) { return one.get() == &stream; });
}

}  // namespace stile::netns
