// One connection to the origin, through the proxy or straight: dials, holds the conversation (session/client_session.h)
// and leaves the stream to the mode that derives from it. It is reopened as often as is wanted and allocates nothing
// but what TLS takes. What route/chain.h does besides, once for a run, stands in run.cc: names, families,
// whether a password may cross the network. Threading: one engine's thread. Tested through the modes, by
// tests/e2e/bench_test.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "loadgen/course.h"
#include "protect/line.h"
#include "session/client_session.h"

namespace stile::loadgen {

class Tunnel {
 public:
  Tunnel(Course& course, wire::Command command) noexcept;
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  virtual ~Tunnel() = default;

  /// Closed before (asserted). `on_open` or `on_failed` follows, possibly within the call.
  void open();
  /// Closes in order. Nothing is called afterwards.
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return line_.is_open(); }
  /// The handshake is done.
  [[nodiscard]] bool stands() const noexcept { return line_.is_open() && !session_ && !connecting_; }

 protected:
  /// The stream is the mode's.
  virtual void on_open() = 0;
  /// A wait that the mode started is over.
  virtual void on_ready() = 0;
  /// It is closed, and what had begun has failed.
  virtual void on_failed() = 0;

  [[nodiscard]] Course& course() const noexcept { return course_; }
  [[nodiscard]] protect::Line& line() noexcept { return line_; }
  [[nodiscard]] const Endpoint& origin() const noexcept { return leg_.origin; }
  /// After the handshake of an association: where its datagrams go.
  [[nodiscard]] const wire::AddressField& bound() const noexcept { return bound_; }

  /// Ends it with the tally told why.
  void fail(std::string_view why);
  void fail(const Error& error);
  void found_wrong(std::string_view what);
  /// Adds to `sent` how many went, which may be none. False: the tunnel failed.
  [[nodiscard]] bool send(ConstBytes octets, std::size_t& sent);
  /// What came, in the course's buffer; empty where nothing did. Absent: the tunnel failed, by a FIN as well.
  [[nodiscard]] std::optional<ConstBytes> receive();
  void wait(engine::Interest interest) { line_.wait(course_.engine, interest); }

 private:
  void on_completion(engine::Status status);
  void on_connected();
  void handle(const session::ClientSession::Event& event);
  void perform(const session::ClientSession::Send& action) noexcept { unsent_ = action.octets; }
  void perform(const session::ClientSession::Read& action) noexcept { wanted_ = action.octets_max; }
  void perform(const session::ClientSession::AwaitPeer&) noexcept { STILE_ASSERT(false); }
  void perform(const session::ClientSession::Finish&) noexcept { granted_ = true; }
  void perform(const session::ClientSession::Fail&);
  void perform(const session::ClientSession::Protect&);
  void converse();
  [[nodiscard]] bool protection_failed();
  void hear();

  Course& course_;
  protect::Line line_;
  Way::Leg leg_;
  wire::Command command_;
  std::optional<session::ClientSession> session_;  // during the handshake
  wire::AddressField bound_;
  ConstBytes unsent_;
  std::size_t wanted_ = 0;
  bool granted_ = false;
  bool connecting_ = false;  // direct: the connection does not stand yet
};

}  // namespace stile::loadgen
