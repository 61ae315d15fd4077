#include "protect/ticket_keeper.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "base/secret.h"
#include "protect/ticket_records.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::protect {
namespace {

// ── in the process ──────────────────────────────────────────────────────────────────────────────────────────────────

class Keeping {
 public:
  Keeping(int socket, std::unique_ptr<TicketSource> source)
      : socket_(socket), source_(std::move(source)), room_(limits::helper_record_octets_max) {}

  /// Until the other end is closed.
  int run();

 private:
  struct Wish {
    TicketWish wish;
    TicketSchedule schedule;
  };

  [[nodiscard]] bool hear();
  void ask(std::size_t index);
  [[nodiscard]] bool say(const ByteWriter& writer) const;
  [[nodiscard]] bool tell(std::uint16_t index, const GotTicket& got);
  [[nodiscard]] bool tell(std::uint16_t index, std::string_view why);

  int socket_;
  std::unique_ptr<TicketSource> source_;
  std::uint32_t list_ = 0;
  std::vector<Wish> wishes_;
  std::vector<std::uint8_t> room_;
};

int Keeping::run() {
  while (hear()) {
    const auto next = std::ranges::min_element(wishes_, {}, [](const Wish& one) { return one.schedule.due(); });
    std::optional<Duration> left;
    if (next != wishes_.end()) left = next->schedule.due() - sys::monotonic_now();
    if (left && *left <= Duration::zero()) {
      ask(static_cast<std::size_t>(next - wishes_.begin()));
      continue;
    }
    std::array watched{sys::Waited{.descriptor = socket_}};
    if (!sys::wait_any(watched, left)) return 1;
  }
  return 0;
}

/// False: the other end is closed.
bool Keeping::hear() {
  for (;;) {
    const auto received = sys::receive_record(socket_, room_);
    if (!received && received.error().kind == ErrorKind::would_block) return true;
    if (!received) return false;
    auto wishes = decode_ticket_wishes(ConstBytes(room_).first(*received));
    if (!wishes) continue;
    list_ = wishes->list;
    wishes_.clear();
    for (TicketWish& wish : wishes->wishes) wishes_.push_back({.wish = std::move(wish), .schedule = {}});
    if (source_ != nullptr) source_->forget();
  }
}

void Keeping::ask(std::size_t index) {
  TicketSchedule& schedule = wishes_[index].schedule;
  const auto number = static_cast<std::uint16_t>(index);
  if (source_ == nullptr) {
    (void)tell(number, "Kerberos' configuration cannot be read");
    return schedule.failed(sys::monotonic_now());
  }
  const auto got = source_->get(wishes_[index].wish);
  const Duration now = sys::monotonic_now();
  // What could not be said, because nobody reads, is asked for and said again.
  if (!got || !tell(number, *got)) {
    if (!got) (void)tell(number, got.error());
    return schedule.failed(now);
  }
  const WallTime today = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
  schedule.got(now, got->expires - today);
}

bool Keeping::say(const ByteWriter& writer) const {
  return !writer.overflowed() && sys::send_record(socket_, writer.written()).has_value();
}

bool Keeping::tell(std::uint16_t index, const GotTicket& got) {
  const std::string_view exported = got.exported.reveal();
  ByteWriter writer(room_);
  encode_ticket_answer(writer, {.list = list_,
                                .wish = index,
                                .expires = got.expires,
                                .client = got.client,
                                .service = got.service,
                                .exported = {reinterpret_cast<const std::uint8_t*>(exported.data()), exported.size()}});
  const bool said = say(writer);
  wipe(room_);
  return said;
}

bool Keeping::tell(std::uint16_t index, std::string_view why) {
  ByteWriter writer(room_);
  encode_ticket_trouble(writer, {.list = list_, .wish = index, .why = why.substr(0, limits::helper_notice_octets_max)});
  return say(writer);
}

}  // namespace

void TicketSchedule::got(Duration now, Duration life) noexcept {
  pause_ = Duration::zero();
  due_ = now + std::max(life / 2, ticket_renewal_min);
}

void TicketSchedule::failed(Duration now) noexcept {
  pause_ = pause_ == Duration::zero() ? ticket_pause_first : std::min(2 * pause_, ticket_pause_max);
  due_ = now + pause_;
}

// ── at the server ───────────────────────────────────────────────────────────────────────────────────────────────────

TicketKeeper::TicketKeeper(Mechanism mechanism, sys::Process process, sys::UniqueFd socket)
    : mechanism_(std::move(mechanism)),
      process_(std::move(process)),
      socket_(std::move(socket)),
      room_(limits::helper_record_octets_max) {}

Result<std::unique_ptr<TicketKeeper>> TicketKeeper::start(const std::function<bool()>& enclose, Mechanism mechanism) {
  auto pair = sys::record_pair();
  if (!pair) return std::unexpected(pair.error());
  const std::array kept{pair->there.get()};
  auto process = sys::Process::fork("stile-tickets", kept, [&] {
    sys::hide_memory();
    sys::ignore_end_signals();
    auto source = mechanism.source();
    return enclose() ? Keeping(kept[0], std::move(source)).run() : 1;
  });
  if (!process) return std::unexpected(process.error());
  return std::unique_ptr<TicketKeeper>(
      new TicketKeeper(std::move(mechanism), std::move(*process), std::move(pair->here)));
}

void TicketKeeper::want(const std::vector<std::shared_ptr<GssTicketPlace>>& places) {
  std::vector<Wanted> before = std::exchange(wanted_, {});
  const auto of = [](std::vector<Wanted>& all, const TicketWish& wish) {
    return std::ranges::find(all, wish, &Wanted::wish);
  };
  for (const std::shared_ptr<GssTicketPlace>& place : places) {
    auto wanted = of(wanted_, place->wish());
    if (wanted == wanted_.end()) {
      wanted_.push_back({.wish = place->wish(), .places = {}, .ticket = {}, .trouble = {}});
      wanted = std::prev(wanted_.end());
      if (const auto known = of(before, place->wish()); known != before.end()) {
        wanted->ticket = std::move(known->ticket);
        wanted->answered = wanted->ticket != nullptr;
      }
    }
    place->put(wanted->ticket);
    wanted->places.push_back(place);
  }
  ++list_;
  unsent_ = true;
  send_wishes();
}

// A list that the other side has no room for is sent when it has said something.
void TicketKeeper::send_wishes() {
  if (!unsent_ || ended()) return;
  TicketWishes wishes{.list = list_, .wishes = {}};
  for (const Wanted& one : wanted_) wishes.wishes.push_back(one.wish);
  ByteWriter writer(room_);
  encode_ticket_wishes(writer, wishes);
  unsent_ = writer.overflowed() || !sys::send_record(socket_.get(), writer.written());
}

std::vector<TicketNews> TicketKeeper::hear() {
  std::vector<TicketNews> news;
  while (!ended()) {
    const auto received = sys::receive_record(socket_.get(), room_);
    if (!received && received.error().kind == ErrorKind::reset) socket_.reset();
    if (!received) break;
    if (auto one = take(ConstBytes(room_).first(*received))) news.push_back(*std::move(one));
    wipe(MutableBytes(room_).first(*received));
  }
  send_wishes();
  return news;
}

/// What is to be told of it. A ticket that the library does not understand is trouble too.
std::optional<TicketNews> TicketKeeper::take(ConstBytes record) {
  const auto word = decode_ticket_word(record);
  if (!word) return std::nullopt;
  const auto [list, wish] = std::visit([](const auto& one) { return std::pair(one.list, one.wish); }, *word);
  if (list != list_ || wish >= wanted_.size()) return std::nullopt;
  Wanted& wanted = wanted_[wish];
  wanted.answered = true;
  TicketNews news{.wish = wanted.wish, .client = {}, .service = {}, .why = {}, .expires = {}};
  if (const auto* const got = std::get_if<TicketAnswer>(&*word)) {
    if (auto ticket = mechanism_.import(got->exported, std::string(got->service), got->expires)) {
      const bool expected = wanted.ticket != nullptr && wanted.trouble.empty();
      wanted.ticket = std::move(ticket);
      wanted.trouble.clear();
      for (const auto& place : wanted.places) place->put(wanted.ticket);
      if (expected) return std::nullopt;
      news.client = got->client;
      news.service = got->service;
      news.expires = got->expires;
      return news;
    }
    news.why = "the ticket cannot be used";
  } else {
    news.why = std::get<TicketTrouble>(*word).why;
  }
  if (std::exchange(wanted.trouble, news.why) == news.why) return std::nullopt;
  if (wanted.ticket != nullptr) news.expires = wanted.ticket->expires();
  return news;
}

bool TicketKeeper::settled() const noexcept {
  return ended() || std::ranges::all_of(wanted_, &Wanted::answered);
}

std::vector<TicketNews> TicketKeeper::await(Duration longest) {
  const Duration end = sys::monotonic_now() + longest;
  std::vector<TicketNews> news = hear();
  while (!settled()) {
    const Duration left = end - sys::monotonic_now();
    std::array watched{sys::Waited{.descriptor = socket_.get()}};
    if (left <= Duration::zero() || !sys::wait_any(watched, left)) break;
    for (TicketNews& one : hear()) news.push_back(std::move(one));
  }
  return news;
}

}  // namespace stile::protect
