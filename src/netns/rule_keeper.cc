#include "netns/rule_keeper.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include "sys/errno_table.h"
#include "sys/packet_rules.h"
#include "sys/privileges.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"

namespace stile::netns {
namespace {

using namespace std::chrono_literals;

// A table of rules is in force within milliseconds; a machine that is busy with other things takes its time.
constexpr Duration answer_wait = 30s;

/// What the two processes tell each other.
struct Word {
  enum class Kind : std::uint8_t { done, failed, undo, never_mind };
  Kind kind = Kind::failed;
  std::array<char, 255> told{};  // what failed; a NUL stands behind it
};

bool tell(int socket, const Word& word) noexcept {
  return sys::send_record(socket, {reinterpret_cast<const std::uint8_t*>(&word), sizeof word}).has_value();
}

/// Nothing where the other side is gone, or the time is over.
std::optional<Word> hear(int socket, std::optional<Duration> longest) noexcept {
  std::array watched{sys::Waited{.descriptor = socket}};
  Word word;
  const MutableBytes room(reinterpret_cast<std::uint8_t*>(&word), sizeof word);
  for (;;) {
    if (!sys::wait_any(watched, longest) || !watched[0].ready) return std::nullopt;
    const auto received = sys::receive_record(socket, room);
    if (received) return *received == sizeof word ? std::optional(word) : std::nullopt;
    if (received.error().kind != ErrorKind::would_block) return std::nullopt;
  }
}

void take_back(const RulePlan& plan) {
  (void)sys::add_packet_rules(plan.undo);
  if (!plan.delivery) return;
  for (const Family family : {Family::ipv4, Family::ipv6}) sys::undo_deliver_marked(family, *plan.delivery);
}

/// What is in the way.
std::optional<std::string> put_in_force(const RulePlan& plan) {
  if (plan.delivery) {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
      sys::undo_deliver_marked(family, *plan.delivery);
      const auto done = sys::deliver_marked(family, *plan.delivery);
      // A system without IPv6 does without.
      if (!done && family == Family::ipv4) return "the routing: " + std::string(sys::describe(done.error()));
    }
  }
  if (const auto added = sys::add_packet_rules(plan.rules); !added) return "nftables: " + added.error();
  return std::nullopt;
}

int keep(int socket, const RulePlan& plan) {
  // Those of a server that was killed keep the door shut, also where this start comes to nothing.
  const bool stood = sys::add_packet_rules(plan.look).has_value();
  const auto missing = put_in_force(plan);
  Word answer{.kind = missing ? Word::Kind::failed : Word::Kind::done};
  if (missing) {
    std::ranges::copy(missing->substr(0, answer.told.size() - 1), answer.told.begin());
    if (!stood) take_back(plan);
  }
  (void)sys::forbid_capabilities();
  (void)sys::drop_capabilities(sys::cap_net_admin);
  (void)sys::forbid_new_privileges();
  if (!tell(socket, answer) || missing) return 1;
  const auto word = hear(socket, std::nullopt);
  const bool undoes = word && (word->kind == Word::Kind::undo || (word->kind == Word::Kind::never_mind && !stood));
  if (!undoes) return 1;
  take_back(plan);
  return tell(socket, {.kind = Word::Kind::done}) ? 0 : 1;
}

}  // namespace

std::expected<std::unique_ptr<RuleKeeper>, std::string> RuleKeeper::start(const RulePlan& plan,
                                                                          const std::function<void()>& forget) {
  auto pair = sys::record_pair();
  if (!pair) return std::unexpected(std::string(sys::describe(pair.error())));
  const std::array kept{pair->there.get()};
  auto process = sys::Process::fork("stile-rules", kept, [&] {
    sys::hide_memory();
    sys::ignore_end_signals();
    forget();
    return keep(kept[0], plan);
  });
  if (!process) return std::unexpected(std::string(sys::describe(process.error())));
  pair->there.reset();
  const auto word = hear(pair->here.get(), answer_wait);
  if (!word) return std::unexpected("the process that puts them in force has ended");
  if (word->kind != Word::Kind::done) return std::unexpected(word->told.data());
  return std::unique_ptr<RuleKeeper>(new RuleKeeper(std::move(*process), std::move(pair->here)));
}

RuleKeeper::~RuleKeeper() {
  if (socket_) (void)tell(socket_.get(), {.kind = Word::Kind::never_mind});
}

bool RuleKeeper::undo() noexcept {
  const sys::UniqueFd socket = std::move(socket_);
  if (!socket || !tell(socket.get(), {.kind = Word::Kind::undo})) return false;
  const auto word = hear(socket.get(), answer_wait);
  return word && word->kind == Word::Kind::done;
}

}  // namespace stile::netns
