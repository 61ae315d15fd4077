// The simulated town's people: a client that follows a script, and the origin it wants to reach. See town.h.
#pragma once

#include <array>
#include <string>

#include "sim/town.h"

namespace stile::sim_test {

/// What client and origin have in common: a stream that is written in pieces and read to its end.
class Talker {
 public:
  explicit Talker(engine::SimEngine& engine) : engine_(engine) {
    socket_.bind<&Talker::on_ready>(this);
    pause_.bind<&Talker::on_pause>(this);
  }
  virtual ~Talker() = default;
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;

  [[nodiscard]] const Seen& seen() const noexcept { return seen_; }
  /// Closed and nothing pending.
  [[nodiscard]] bool done() const noexcept { return !socket_.is_open() && !socket_.pending() && !pause_.pending(); }
  void close();
  /// For a failing run: how far it came.
  [[nodiscard]] std::string state() const;

 protected:
  /// The socket is there: begin.
  void act();
  /// Called when something was received, a pause ended, or all was written: decide what to do next.
  virtual void step() = 0;
  void write(std::string octets) { to_write_ += octets; }
  void write_fin() { fin_wanted_ = true; }
  void sleep(Duration duration) { engine_.start_timer(pause_, engine_.now() + duration); }
  [[nodiscard]] bool asleep() const noexcept { return pause_.pending(); }
  [[nodiscard]] bool written() const noexcept { return written_ == to_write_.size(); }
  [[nodiscard]] bool fin_written() const noexcept { return fin_written_; }
  void reset() {
    if (socket_.is_open()) engine_.abort(socket_);
  }

  engine::SimEngine& engine_;
  engine::Socket socket_;
  bool connecting_ = false;
  bool reading_ = true;
  std::size_t segment_ = 65536;

 private:
  void on_ready(engine::Status status);
  void on_pause(engine::Status status);
  bool write_some();
  void read_some();

  engine::Timer pause_;
  std::string to_write_;
  std::size_t written_ = 0;
  bool fin_wanted_ = false;
  bool fin_written_ = false;
  Seen seen_;
};

class Client final : public Talker {
 public:
  Client(engine::SimEngine& engine, const Script& script, std::string request);
  void begin();
  /// What came behind the method choice and the reply.
  [[nodiscard]] std::string payload() const;
  /// The reply's code; -1 before it came.
  [[nodiscard]] int reply() const;

 private:
  void step() override;
  [[nodiscard]] std::size_t reply_end() const;

  const Script& script_;
  std::string handshake_;
  std::size_t sent_ = 0;  // of the handshake
  bool payload_begun_ = false;
};

class Origin final : public Talker {
 public:
  Origin(engine::SimEngine& engine, const Script& script, const Endpoint& at);
  /// Somebody connected.
  [[nodiscard]] bool visited() const noexcept { return visited_; }
  [[nodiscard]] bool quiet() const noexcept { return done() && !listener_.is_open() && !listener_.pending(); }
  void close_all();

 private:
  void on_accept(engine::Status status);
  void step() override;

  const Script& script_;
  engine::Socket listener_;
  bool visited_ = false;
  bool begun_ = false;
};

}  // namespace stile::sim_test
