// What every simulated party to a stream has in common: it is written in pieces and read to its end, through the same
// engine as the server, as a bystander. Each command's actors derive theirs. Threading: the simulation's one.
#pragma once

#include <optional>
#include <string>

#include "engine/sim/sim_engine.h"

namespace stile::sim_test {

/// What one side saw.
struct Seen {
  std::string octets;
  bool fin = false;
  bool failed = false;
};

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
  /// Its own end of the connection; known from the connect or accept on.
  [[nodiscard]] const std::optional<Endpoint>& local() const noexcept { return local_; }
  /// Closed and nothing pending.
  [[nodiscard]] bool done() const noexcept { return !socket_.is_open() && !socket_.pending() && !pause_.pending(); }
  void close();
  /// For a failing run: how far it came.
  [[nodiscard]] std::string state() const;

 protected:
  /// Connects as somebody at `from`.
  void connect(const Address& from, const Endpoint& to);
  void connect_later(const Address& from, const Endpoint& to, Duration delay);
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
  std::optional<Endpoint> local_;
  bool connecting_ = false;
  bool reading_ = true;
  std::size_t segment_ = 65536;

 private:
  void on_ready(engine::Status status);
  void on_pause(engine::Status status);
  bool write_some();
  void read_some();

  struct Appointment {
    Address from;
    Endpoint to;
  };
  std::optional<Appointment> appointment_;  // the pause under way ends with a connect
  engine::Timer pause_;
  std::string to_write_;
  std::size_t written_ = 0;
  bool fin_wanted_ = false;
  bool fin_written_ = false;
  Seen seen_;
};

}  // namespace stile::sim_test
