#include "server/name_server.h"

#include <array>
#include <list>
#include <utility>

#include "base/limits.h"
#include "server/packet_source.h"
#include "sys/diverted_socket.h"
#include "wire/ip_packet.h"

namespace stile::server {
namespace {

constexpr std::size_t message_octets_max = 4096;  // no question is longer, whatever stands behind it
constexpr std::size_t prefix_octets = 2;          // of a message on a stream: its length (RFC 1035 section 4.2.2)

}  // namespace

class NameServer::Datagrams {
 public:
  Datagrams(NameServer& server, sys::UniqueFd fd, sys::UniqueFd source)
      : server_(server), fd_(std::move(fd)), source_(std::move(source)) {
    watch_.bind<&Datagrams::on_ready>(this);
    server_.engine_.adopt(watch_, fd_.get());
    server_.engine_.wait(watch_, engine::Interest::readable);
  }
  void stop() noexcept {
    if (watch_.is_open()) server_.engine_.release(watch_);
    for (const auto& one : waiting_) server_.source_.forget(*one);
    waiting_.clear();
  }

 private:
  /// One that has come, until it is answered.
  struct Question final : NameAsker {
    Question(Datagrams& asked, const sys::AddressedDatagram& datagram) : of(asked), about(datagram) {}
    void answered(ConstBytes answer) override {
      if (!answer.empty()) of.send(about, answer);
      of.forget(*this);
    }
    Datagrams& of;
    sys::AddressedDatagram about;
    std::list<std::unique_ptr<Question>>::iterator place;
  };

  void forget(const Question& question) noexcept { waiting_.erase(question.place); }

  void ask(const sys::AddressedDatagram& about, ConstBytes message) {
    if (waiting_.size() >= limits::dns_in_flight_max) return;  // it is asked again
    waiting_.push_front(std::make_unique<Question>(*this, about));
    Question& question = *waiting_.front();
    question.place = waiting_.begin();
    server_.source_.ask(message, about.from.address, about.called.address, question);
  }

  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled) return;
    std::array<std::uint8_t, message_octets_max> room;
    for (std::size_t i = 0; i < limits::name_server_batch_max; ++i) {
      const auto received = sys::receive_addressed(fd_.get(), room);
      if (!received) break;
      ask(*received, ConstBytes(room).first(received->octets));
    }
    server_.engine_.wait(watch_, engine::Interest::readable);
  }

  // One that does not go is asked for again.
  void send(const sys::AddressedDatagram& question, ConstBytes answer) const {
    if (!source_.is_open()) {
      (void)sys::answer_addressed(fd_.get(), question.called.address, question.from, answer);
    } else if (question.called.address.family() == question.from.address.family()) {
      source_.send(question.from.address, wire::encode_udp_packet(question.called, question.from, answer));
    }
  }

  NameServer& server_;
  sys::UniqueFd fd_;
  PacketSource source_;
  engine::Socket watch_;
  std::list<std::unique_ptr<Question>> waiting_;
};

class NameServer::Stream final : private NameAsker {
 public:
  Stream(NameServer& server, const Endpoint& client) : server_(server), client_(client) {
    socket_.bind<&Stream::on_ready>(this);
    idle_.bind<&Stream::on_idle>(this);
  }
  void begin(engine::Socket& accepted) {
    server_.engine_.move(accepted, socket_);
    called_ = server_.engine_.local_endpoint(socket_).value_or(Endpoint{}).address;
    arm();
    server_.engine_.wait(socket_, engine::Interest::readable);
  }
  void end() noexcept {
    ending_ = true;
    if (std::exchange(asking_, false)) server_.source_.forget(*this);
    server_.engine_.cancel(idle_);
    if (socket_.is_open()) server_.engine_.close(socket_);
    release_when_quiet();
  }

 private:
  void on_ready(engine::Status) {
    if (ending_) return release_when_quiet();
    if (!flush() || !receive()) return end();
    go_on();
  }

  // Nothing is read while an answer is due or waits: a client that takes none gets no more. A reset is noticed.
  void go_on() {
    const auto next = asking_ ? engine::Interest::none : engine::Interest::readable;
    server_.engine_.wait(socket_, out_.empty() ? next : engine::Interest::writable);
  }

  bool receive() {
    if (asking_ || !out_.empty()) return true;
    std::array<std::uint8_t, message_octets_max> room;
    const auto received = server_.engine_.receive(socket_, room);
    if (!received) return received.error().kind == ErrorKind::would_block;
    if (*received == 0) return false;
    in_.insert(in_.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*received));
    return ask_next() && flush();
  }

  /// All that are there, one behind the other. False where what came is no question.
  bool ask_next() {
    while (!asking_ && in_.size() >= prefix_octets) {
      const std::size_t length = static_cast<std::size_t>(in_[0]) << 8 | in_[1];
      if (length > message_octets_max) return false;
      if (in_.size() < prefix_octets + length) break;
      const std::vector<std::uint8_t> message(in_.begin() + prefix_octets,
                                              in_.begin() + static_cast<std::ptrdiff_t>(prefix_octets + length));
      in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(prefix_octets + length));
      arm();
      asking_ = within_ = true;
      server_.source_.ask(message, client_.address, called_, *this);
      within_ = false;
      if (refused_) return false;
    }
    return true;
  }

  void answered(ConstBytes answer) override {
    asking_ = false;
    refused_ = answer.empty();
    if (!refused_) {
      out_.push_back(static_cast<std::uint8_t>(answer.size() >> 8));
      out_.push_back(static_cast<std::uint8_t>(answer.size() & 0xFF));
      out_.insert(out_.end(), answer.begin(), answer.end());
    }
    if (within_) return;  // who asked goes on
    if (refused_ || !ask_next() || !flush()) return end();
    go_on();
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
  Endpoint client_;
  Address called_;
  bool asking_ = false;   // a question is under way
  bool within_ = false;   // it is just being asked
  bool refused_ = false;  // it has no answer
  bool ending_ = false;
};

class NameServer::Listener {
 public:
  Listener(NameServer& server, sys::UniqueFd fd) : server_(server) {
    socket_.bind<&Listener::on_ready>(this);
    retry_.bind<&Listener::on_retry>(this);
    server_.engine_.take(socket_, std::move(fd), engine::EpollEngine::Role::listener);
    server_.engine_.wait(socket_, engine::Interest::readable);
  }
  void stop() noexcept {
    server_.engine_.cancel(retry_);
    if (socket_.is_open()) server_.engine_.close(socket_);
  }

 private:
  void on_retry(engine::Status status) {
    if (status == engine::Status::done && socket_.is_open()) server_.engine_.wait(socket_, engine::Interest::readable);
  }
  void on_ready(engine::Status) {
    if (!socket_.is_open()) return;
    for (std::size_t i = 0; i < limits::name_server_batch_max; ++i) {
      engine::Socket accepted;
      const auto client = server_.engine_.try_accept(socket_, accepted);
      if (!client && client.error().kind == ErrorKind::would_block) break;
      if (!client) {  // descriptors are short, mostly: whoever waits is let go, and the rest may wait a moment
        (void)server_.engine_.shed_one(socket_);
        return server_.engine_.start_timer(retry_, server_.engine_.now() + limits::accept_retry);
      }
      if (server_.streams_.size() >= limits::name_server_streams_max) {
        server_.engine_.close(accepted);
        continue;
      }
      server_.streams_.push_back(std::make_unique<Stream>(server_, *client));
      server_.streams_.back()->begin(accepted);
    }
    server_.engine_.wait(socket_, engine::Interest::readable);
  }

  NameServer& server_;
  engine::Socket socket_;
  engine::Timer retry_;
};

NameServer::NameServer(engine::EpollEngine& engine, NameSource& source) : engine_(engine), source_(source) {}

NameServer::~NameServer() = default;

void NameServer::serve_datagrams(sys::UniqueFd socket, sys::UniqueFd source) {
  datagrams_.push_back(std::make_unique<Datagrams>(*this, std::move(socket), std::move(source)));
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

}  // namespace stile::server
