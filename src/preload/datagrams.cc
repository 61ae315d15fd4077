#include "preload/datagrams.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/limits.h"
#include "base/loopback.h"

namespace stile::preload {
namespace {

constexpr std::size_t payload_octets_max = 65'535;
constexpr std::size_t doors_max = 4'096;            // a descriptor each
constexpr std::size_t strangers_doors_max = 1'024;  // of them
constexpr std::size_t closing_max = 256;
// A program remembers its doors for less than this (inside/sockets.cc).
constexpr auto remembered_for = std::chrono::seconds(60);
constexpr auto search_every = std::chrono::seconds(1);
constexpr std::uint16_t name_port = 53;
constexpr auto sweep_every = std::chrono::seconds(30);

}  // namespace

class Datagrams::Door {
 public:
  Door(Datagrams& of, const Endpoint& local, const Endpoint& called, Opener opener)
      : of_(of), local_(local), called_(called), opener_(opener), used_(of.engine_.now()) {
    socket_.bind<&Door::on_ready>(this);
  }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;
  /// Closed, and nothing pending.
  ~Door() = default;

  Result<void> open() {
    const Endpoint anywhere{local_.address, 0};
    if (auto opened = of_.engine_.open_udp(socket_, anywhere); !opened) return opened;
    const auto place = of_.engine_.local_endpoint(socket_);
    if (!place) return std::unexpected(place.error());
    place_ = *place;
    of_.engine_.wait(socket_, engine::Interest::readable);
    return {};
  }
  void send(ConstBytes payload) {
    used_ = of_.engine_.now();
    const engine::Datagram one{.peer = local_, .payload = {const_cast<std::uint8_t*>(payload.data()), payload.size()}};
    (void)of_.engine_.send_datagrams(socket_, {&one, 1});
  }
  /// The program asks for it.
  void use() noexcept {
    used_ = of_.engine_.now();
    if (std::exchange(opener_, Opener::program) == Opener::stranger) --of_.strangers_;
  }
  void stop_listening() noexcept { of_.engine_.cancel(socket_); }
  void close() noexcept { of_.engine_.close(socket_); }

  [[nodiscard]] const Endpoint& place() const noexcept { return place_; }
  [[nodiscard]] const Endpoint& called() const noexcept { return called_; }
  [[nodiscard]] bool is_strangers() const noexcept { return opener_ == Opener::stranger; }
  [[nodiscard]] Instant used() const noexcept { return used_; }
  [[nodiscard]] bool pending() const noexcept { return socket_.pending(); }

 private:
  void on_ready(engine::Status status) {
    if (status == engine::Status::canceled || !socket_.is_open()) return;
    for (std::size_t i = 0; i < limits::udp_batch_datagrams_max; ++i) {
      engine::Datagram datagram{.payload = {of_.room_.get(), payload_octets_max}};
      const auto received = of_.engine_.receive_datagrams(socket_, {&datagram, 1});
      if (!received && received.error().kind == ErrorKind::would_block) break;
      if (!received || datagram.truncated || datagram.peer != local_) continue;
      used_ = of_.engine_.now();
      take(datagram.payload);
    }
    of_.engine_.wait(socket_, engine::Interest::readable);
  }
  void take(ConstBytes payload) {
    if (called_.port != name_port) return of_.flows_.arrived(of_, local_, called_, payload);
    if (const auto answer = of_.answers_.answer(payload); !answer.empty()) send(answer);
  }

  Datagrams& of_;
  Endpoint local_;
  Endpoint called_;
  Endpoint place_;
  Opener opener_;
  engine::Socket socket_;
  Instant used_;
};

Datagrams::Datagrams(engine::EpollEngine& engine, resolve::Resolver& resolver, server::DatagramFlows::Way way,
                     resolve::StandInNames& names, resolve::NameAnswers& answers, server::Reporter* reporter)
    : engine_(engine),
      names_(names),
      answers_(answers),
      room_(std::make_unique<std::uint8_t[]>(payload_octets_max)),
      flows_(engine, resolver, std::move(way), reporter) {
  sweep_.bind<&Datagrams::on_sweep>(this);
}

Datagrams::~Datagrams() = default;

Answer Datagrams::begin(const Endpoint& local, const Endpoint& called) {
  if (!is_loopback(local.address) || local.port == 0) return Answer{.error = EADDRNOTAVAIL};
  const auto found = door(local, called, Opener::program);
  if (!found) return Answer{.error = static_cast<std::uint16_t>(found.error().os_code)};
  (*found)->use();
  return Answer{.first = (*found)->place()};
}

Answer Datagrams::sender(const Endpoint& local, const Endpoint& from) const {
  for (auto one = doors_.lower_bound({local, Endpoint{}}); one != doors_.end() && one->first.first == local; ++one) {
    if (one->second->place() == from) return Answer{.first = one->second->called()};
  }
  return Answer{.error = ENOENT};
}

Result<Datagrams::Door*> Datagrams::door(const Endpoint& local, const Endpoint& called, Opener opener) {
  const auto known = doors_.find({local, called});
  if (known != doors_.end()) return known->second.get();
  const bool is_strangers = opener == Opener::stranger;
  const bool is_full = doors_.size() >= doors_max || (is_strangers && strangers_ >= strangers_doors_max);
  if (is_full && (is_strangers || !make_room())) return std::unexpected(Error{ErrorKind::no_memory, ENOBUFS});
  auto made = std::make_unique<Door>(*this, local, called, opener);
  if (auto opened = made->open(); !opened) return std::unexpected(opened.error());
  if (!sweep_.pending()) engine_.start_timer(sweep_, engine_.now() + sweep_every);
  if (is_strangers) ++strangers_;
  return doors_.emplace(std::pair(local, called), std::move(made)).first->second.get();
}

std::optional<Target> Datagrams::meant_by(const Endpoint& called) {
  if (names_.is_lost(called.address)) return std::nullopt;
  return Target{names_.host_of(called.address), called.port};
}

void Datagrams::answer(const Endpoint& from, const Endpoint& client, ConstBytes payload) {
  if (const auto way_out = door(client, from, Opener::stranger)) (*way_out)->send(payload);
}

void Datagrams::close(Doors::iterator door) noexcept {
  if (closing_.size() >= closing_max) std::erase_if(closing_, [](const auto& one) { return !one->pending(); });
  if (door->second->is_strangers()) --strangers_;
  door->second->close();
  closing_.push_back(std::move(door->second));
  doors_.erase(door);
}

/// A socket that is connected to a door never asks for another one.
bool Datagrams::is_taken(const Endpoint& local) {
  engine::Socket probe;
  const auto opened = engine_.open_udp(probe, local);
  if (opened) engine_.close(probe);
  return !opened && opened.error().kind == ErrorKind::address_in_use;
}

/// Closes the door unused longest of those that nobody misses: their socket is gone, or does not remember them and is
/// not connected to them, for it has others. False: each is in use.
bool Datagrams::make_room() {
  if (engine_.now() < next_search_) return false;
  const Instant forgotten = engine_.now() - remembered_for;
  auto oldest = doors_.end();
  for (auto next = doors_.begin(); next != doors_.end();) {
    const auto first = next;
    while (next != doors_.end() && next->first.first == first->first.first) ++next;
    const bool taken = is_taken(first->first.first);
    const auto own = std::count_if(first, next, [](const auto& one) { return !one.second->is_strangers(); });
    for (auto one = first; one != next; ++one) {
      const Door& door = *one->second;
      const bool missed = taken && (door.used() >= forgotten || (!door.is_strangers() && own == 1));
      if (!missed && (oldest == doors_.end() || door.used() < oldest->second->used())) oldest = one;
    }
  }
  if (oldest == doors_.end()) {
    next_search_ = engine_.now() + search_every;
    return false;
  }
  close(oldest);
  return true;
}

void Datagrams::on_sweep(engine::Status status) {
  if (status == engine::Status::canceled) return;
  std::erase_if(closing_, [](const auto& one) { return !one->pending(); });
  const Instant idle = engine_.now() - limits::udp_mapping_idle;
  for (auto one = doors_.begin(); one != doors_.end();) {
    const auto next = std::next(one);
    if (one->second->used() < idle && (one->second->is_strangers() || !is_taken(one->first.first))) close(one);
    one = next;
  }
  if (!doors_.empty() || !closing_.empty()) engine_.start_timer(sweep_, engine_.now() + sweep_every);
}

void Datagrams::finish() {
  for (const auto& [whose, one] : doors_) one->stop_listening();
  engine_.cancel(sweep_);
  flows_.finish();
}

void Datagrams::settle() {
  while (!doors_.empty()) close(doors_.begin());
  engine_.cancel(sweep_);
  while (sweep_.pending() || std::ranges::any_of(closing_, [](const auto& one) { return one->pending(); })) {
    engine_.stop();
    engine_.run();
  }
}

}  // namespace stile::preload
