// The udp mode: echoes of datagrams, through associations or straight.
#include <algorithm>
#include <memory>
#include <vector>

#include "loadgen/load.h"
#include "loadgen/opening.h"
#include "loadgen/origin_messages.h"
#include "loadgen/pacer.h"
#include "loadgen/tunnel.h"
#include "sys/errno_table.h"
#include "wire/udp_header.h"

namespace stile::loadgen {
namespace {

constexpr auto loss_check = limits::bench_loss / 10;

class Association;

struct DatagramOptions {
  std::size_t size = 0;  // of the payload
  std::size_t window = 0;
  bool offload = false;
};

/// What all associations of a run share.
struct Associations {
  Course& course;
  DatagramRoom& room;
  DatagramOptions options;
  Pacer pacer;
  Opening opening;
};

/// One datagram under way.
struct Window final : Pacer::Slot {
  Window(Association& its_association, std::uint32_t its_number) noexcept
      : association(its_association), number(its_number) {}

  void begin(Instant its_due) override;

  Association& association;
  std::uint32_t number;
  std::uint64_t serial = 0;  // grows with each datagram, so that one which comes too late is known
  Instant due{};
  Instant begun{};
  bool under_way = false;
};

class Association final : public Tunnel {
 public:
  Association(Associations& all, std::size_t number) : Tunnel(all.course, wire::Command::udp_associate), all_(all) {
    origin_ = all.course.way.origin(number);
    start_ = Pattern::start_of(number);
    port_.bind<&Association::on_port>(this);
    flush_.bind<&Association::on_flush>(this);
    losses_.bind<&Association::on_losses>(this);
    due_.reserve(all.options.window);
    for (std::size_t i = 0; i < all.options.window; ++i) {
      slots_.push_back(std::make_unique<Window>(*this, static_cast<std::uint32_t>(i)));
    }
  }

  void associate() {
    if (course().proxy != nullptr) return open();
    start_with(origin_);
  }
  void close_all() {
    course().engine.cancel(losses_);
    port_.close();
    close();
  }
  void begin(Window& slot) {
    if (!port_.is_open()) return all_.pacer.lost();
    due_.push_back(slot.number);
    if (!flush_.pending()) course().engine.post(flush_);
  }
  [[nodiscard]] bool works() const noexcept { return port_.is_open(); }

 private:
  // ── the control connection ──
  void on_open() override {
    wait(engine::Interest::readable);
    Endpoint relay{.address = {}, .port = bound().port};
    const Address* const address = bound().host ? std::get_if<Address>(&*bound().host) : nullptr;
    if (address == nullptr) return fail("the proxy relays at a name");
    relay.address = address->is_unspecified() ? course().way.first_hop()->address : *address;
    const auto header = wire::encode_udp_header({.host = origin_.address, .port = origin_.port});
    header_.assign(header.octets().begin(), header.octets().end());
    start_with(relay);
  }
  void on_ready() override {
    const auto octets = receive();
    if (octets && octets->empty()) return wait(engine::Interest::readable);
    if (octets) fail("the proxy sent octets before they were due");
  }
  /// All of its datagrams are lost with it.
  void on_failed() override {
    const bool stood = port_.is_open();
    port_.close();
    course().engine.cancel(losses_);
    if (!stood) return all_.opening.one_done();
    for (const auto& slot : slots_) {
      if (slot->under_way) all_.pacer.lost();
      slot->under_way = false;
    }
  }

  void start_with(const Endpoint& peer) {
    peer_ = peer;
    const Endpoint any{.address = peer.address.is_v4() ? Address() : *Address::parse("::"), .port = 0};
    if (const auto opened = port_.open(any, all_.options.offload); !opened) return fail(opened.error());
    port_.wait(engine::Interest::readable);
    course().engine.start_timer(losses_, course().engine.now() + loss_check);
    for (const auto& slot : slots_) all_.pacer.add(*slot);
    all_.opening.one_done();
  }

  // ── datagrams ──
  void on_flush(engine::Status) {
    if (port_.is_open() && !due_.empty()) flush();
  }

  /// Sends what is due, as far as the socket takes it.
  void flush() {
    std::size_t gone = 0;
    while (gone < due_.size()) {
      const std::span<const engine::Datagram> batch = compose(std::span(due_).subspan(gone));
      const auto sent = port_.send(batch);
      if (!sent && sent.error().kind != ErrorKind::would_block) return refuse(sent.error());
      if (!sent) break;
      gone += *sent;
    }
    due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(gone));
    port_.wait(due_.empty() ? engine::Interest::readable : engine::Interest::both);
  }

  /// An error of a datagram is that of one before it: what is due is sent again with the next one.
  void refuse(const Error& error) {
    course().tally.failed(sys::describe(error));
    const std::vector<std::uint32_t> failed = due_;
    due_.clear();
    for (const std::uint32_t number : failed) {
      slots_[number]->under_way = false;
      all_.pacer.failed(*slots_[number]);
    }
    port_.wait(engine::Interest::readable);
  }

  std::span<const engine::Datagram> compose(std::span<const std::uint32_t> numbers) {
    const std::size_t count = std::min(numbers.size(), datagrams_per_batch_max);
    const std::size_t octets = header_.size() + all_.options.size;
    const std::span<engine::Datagram> datagrams = all_.room.datagrams();
    MutableBytes rest = all_.room.whole();
    for (std::size_t i = 0; i < count; ++i) {
      const Window& slot = *slots_[numbers[i]];
      datagrams[i].peer = peer_;
      datagrams[i].payload = rest.first(octets);
      rest = rest.subspan(octets);
      const DatagramHead head{.slot = slot.number, .serial = slot.serial};
      const std::size_t filled = header_.size() + datagram_head_octets;
      auto at = std::ranges::copy(header_, datagrams[i].payload.begin()).out;
      at = std::ranges::copy(encode(head), at).out;
      std::ranges::copy(course().pattern.at(start_ + slot.serial, octets - filled), at);
    }
    return datagrams.first(count);
  }

  void on_port(engine::Status status) {
    if (status == engine::Status::canceled || !port_.is_open()) return;
    constexpr int batches_per_turn_max = 4;
    for (int i = 0; i < batches_per_turn_max; ++i) {
      const auto received = port_.receive(all_.room);
      if (!received && received.error().kind == ErrorKind::would_block) break;
      if (!received) {
        course().tally.failed(sys::describe(received.error()));
        continue;
      }
      for (const engine::Datagram& datagram : *received) accept(datagram);
    }
    flush();
  }

  void accept(const engine::Datagram& datagram) {
    const std::optional<ConstBytes> payload = unwrapped(datagram.payload);
    const auto head = payload ? decode_datagram_head(*payload) : std::nullopt;
    if (!head || head->slot >= slots_.size()) return course().tally.found_wrong("wrong octets");
    Window& slot = *slots_[head->slot];
    if (!slot.under_way || slot.serial != head->serial) return;  // it was counted as lost, or came twice
    const ConstBytes rest = payload->subspan(datagram_head_octets);
    const bool right = payload->size() == all_.options.size && !datagram.truncated &&
                       !course().pattern.first_wrong(start_ + slot.serial, rest, course().verify);
    const Instant now = precise_now();
    slot.under_way = false;
    if (right) {
      course().tally.done(now - slot.due, all_.options.size);
    } else {
      course().tally.found_wrong("wrong octets");
    }
    all_.pacer.done(slot, now);
  }

  /// Without the header of RFC 1928 section 7, whose address may be spelt otherwise than it was sent.
  std::optional<ConstBytes> unwrapped(ConstBytes datagram) const {
    if (header_.empty()) return datagram;
    if (datagram.size() >= header_.size() && std::ranges::equal(datagram.first(header_.size()), header_)) {
      return datagram.subspan(header_.size());
    }
    const auto header = wire::decode_udp_header(datagram);
    const auto* const parsed = std::get_if<wire::Parsed<wire::UdpHeader>>(&header);
    if (parsed == nullptr || !parsed->value.fragment.stands_alone()) return std::nullopt;
    return datagram.subspan(parsed->consumed);
  }

  void on_losses(engine::Status status) {
    if (status == engine::Status::canceled || !port_.is_open()) return;
    const Instant now = precise_now();
    for (const auto& slot : slots_) {
      if (!slot->under_way || now - slot->begun < limits::bench_loss) continue;
      if (std::ranges::find(due_, slot->number) != due_.end()) continue;  // it waits for the socket
      slot->under_way = false;
      ++course().tally.drops;
      all_.pacer.done(*slot, now);
    }
    course().engine.start_timer(losses_, course().engine.now() + loss_check);
  }

  Associations& all_;
  DatagramPort port_{all_.course.engine};
  Endpoint origin_;
  Endpoint peer_;  // the relay, or the origin itself
  std::uint64_t start_ = 0;
  std::vector<std::uint8_t> header_;
  std::vector<std::unique_ptr<Window>> slots_;
  std::vector<std::uint32_t> due_;  // begun and not sent yet
  engine::Operation flush_;
  engine::Timer losses_;
};

void Window::begin(Instant its_due) {
  due = its_due;
  begun = precise_now();
  ++serial;
  under_way = true;
  association.begin(*this);
}

class DatagramLoad final : public Load {
 public:
  DatagramLoad(Course& course, DatagramRoom& room, const Options& options, Milestones& milestones)
      : all_{course,
             room,
             {.size = options.size, .window = options.window, .offload = options.offload},
             Pacer(course.engine, options.rate, milestones.drained),
             Opening(course.engine, milestones.opened)} {
    for (std::size_t i = 0; i < options.connections; ++i) {
      associations_.push_back(std::make_unique<Association>(all_, i));
    }
  }

  void open() override {
    all_.opening.start(associations_.size(), [this](std::size_t number) { associations_[number]->associate(); });
  }
  void start() override { all_.pacer.start(); }
  void stop() override { all_.pacer.stop(); }
  void close() override {
    const std::uint64_t under_way = all_.pacer.under_way();
    all_.course.tally.drops += under_way;
    all_.pacer.abandon();
    for (const auto& association : associations_) association->close_all();
  }
  [[nodiscard]] std::size_t standing() const noexcept override {
    return static_cast<std::size_t>(
        std::ranges::count_if(associations_, [](const auto& association) { return association->works(); }));
  }
  [[nodiscard]] std::uint64_t behind(Instant now) const noexcept override { return all_.pacer.behind(now); }

 private:
  Associations all_;
  std::vector<std::unique_ptr<Association>> associations_;
};

}  // namespace

std::unique_ptr<Load> make_datagram_load(Course& course, DatagramRoom& room, const Options& options,
                                         Load::Milestones& milestones) {
  return std::make_unique<DatagramLoad>(course, room, options, milestones);
}

}  // namespace stile::loadgen
