#include "sys/private_network.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "sys/diverted_socket.h"
#include "sys/errno_table.h"
#include "sys/file.h"
#include "sys/loopback_setup.h"
#include "sys/packet_rules.h"
#include "sys/retry.h"
#include "sys/socket_ends.h"

namespace stile::sys {
namespace {

using Step = PrivateNetworkRefusal::Step;
using Opening = PrivateNetworkPlan::Opening;

constexpr std::size_t openings_max = 16;
constexpr std::size_t identities_octets_max = 64 * 1024;

/// What the keeper tells: that it awaits its identity, that all is done (with the sockets beside it), or what failed;
/// and what it is asked for later on.
struct Word {
  enum class Kind : std::uint8_t { awaits_identity, done, failed, open_another };
  Kind kind = Kind::failed;
  Step step = Step::process;
  std::uint16_t open = 0;  // a bit for each opening
  int os_code = 0;
  std::array<char, 256> told{};
  Opening another{};
};
static_assert(std::is_trivially_copyable_v<Word>);

union Rights {
  cmsghdr header;  // aligns it
  std::array<char, CMSG_SPACE(openings_max * sizeof(int))> octets;
};

/// Between two processes that wait for each other; false where the other one is gone.
bool tell(int socket, const Word& word, std::span<const int> descriptors = {}) noexcept {
  iovec part{.iov_base = const_cast<Word*>(&word), .iov_len = sizeof word};
  Rights rights{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = rights.octets.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    rights.header.cmsg_level = SOL_SOCKET;
    rights.header.cmsg_type = SCM_RIGHTS;
    rights.header.cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(&rights.header), descriptors.data(), descriptors.size_bytes());
  }
  return retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); }) == static_cast<ssize_t>(sizeof word);
}

bool hear(int socket, Word& word, std::vector<UniqueFd>& descriptors) noexcept {
  iovec part{.iov_base = &word, .iov_len = sizeof word};
  Rights rights{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = rights.octets.data();
  message.msg_controllen = rights.octets.size();
  const ssize_t received = retry([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
  for (const cmsghdr* header = CMSG_FIRSTHDR(&message); received >= 0 && header != nullptr;
       header = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(header))) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return received == static_cast<ssize_t>(sizeof word);
}

// ── the keeper ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Makes the network inside its own process.
class Keeper {
 public:
  Keeper(const PrivateNetworkPlan& plan, int socket) noexcept : plan_(plan), socket_(socket) {}

  int work() {
    if (!make()) {
      (void)tell(socket_, word_);
      return 1;
    }
    std::vector<int> descriptors;
    for (std::size_t i = 0; i < opened_.size(); ++i) {
      if (!opened_[i]) continue;
      descriptors.push_back(opened_[i].get());
      word_.open = static_cast<std::uint16_t>(word_.open | (1U << i));
    }
    word_.kind = Word::Kind::done;
    if (!tell(socket_, word_, descriptors)) return 1;
    opened_.clear();
    // Until the one who made it is gone: this process is where others find the network.
    std::vector<UniqueFd> none;
    for (Word word; hear(socket_, word, none);) open_another(word.another);
    return 0;
  }

 private:
  bool make() {
    if (::unshare(CLONE_NEWUSER) != 0) return fail(Step::user_namespace, make_error(errno));
    if (::unshare(CLONE_NEWNET) != 0) return fail(Step::network_namespace, make_error(errno));
    return await_identity() && fill() && rule() && open();
  }

  bool await_identity() {
    word_.kind = Word::Kind::awaits_identity;
    const bool told = tell(socket_, word_);
    word_.kind = Word::Kind::failed;
    Word answer;
    std::vector<UniqueFd> none;
    return told && hear(socket_, answer, none);
  }

  // A family that this host does without is done without.
  bool fill() {
    if (auto up = bring_loopback_up(); !up) return fail(Step::loopback, up.error());
    for (const Address& address : plan_.addresses) {
      auto done = add_loopback_address(address);
      if (done) done = make_every_address_local(address);
      if (!done && &address == &plan_.addresses.front()) return fail(Step::loopback, done.error());
    }
    return true;
  }

  bool rule() {
    const auto added = add_packet_rules(plan_.rules);
    if (added) return true;
    word_.told[added.error().copy(word_.told.data(), word_.told.size() - 1)] = '\0';
    return fail(Step::rules, make_error(0));
  }

  static Result<UniqueFd> open_one(const Opening& opening) {
    switch (opening.kind) {
      case Opening::Kind::diverted_listener:
        return open_diverted_listener(opening.local);
      case Opening::Kind::addressed_datagrams:
        return open_addressed_datagrams(opening.local);
      case Opening::Kind::echo_requests:
        return open_echo_requests(opening.local.address.family());
      case Opening::Kind::arriving_stream:
        return open_arriving_stream(opening.local);
      case Opening::Kind::socket_ends:
        return open_socket_ends();
      case Opening::Kind::packet_source:
        break;
    }
    return open_packet_source(opening.local.address.family());
  }

  bool open() {
    for (const Opening& opening : plan_.openings) {
      auto fd = open_one(opening);
      // There are systems without IPv6, and such whose settings cannot be written to: there is no ping there.
      const bool needed = opening.local.address.is_v4() && opening.kind != Opening::Kind::echo_requests;
      if (!fd && needed) return fail(Step::sockets, fd.error());
      opened_.push_back(fd ? std::move(*fd) : UniqueFd());
    }
    return true;
  }

  void open_another(const Opening& opening) {
    const auto fd = open_one(opening);
    if (fd) {
      (void)tell(socket_, Word{.kind = Word::Kind::done}, std::array{fd->get()});
    } else {
      (void)tell(socket_, Word{.kind = Word::Kind::failed, .os_code = fd.error().os_code});
    }
  }

  bool fail(Step step, const Error& error) noexcept {
    word_.step = step;
    word_.os_code = error.os_code;
    return false;
  }

  const PrivateNetworkPlan& plan_;
  int socket_;
  Word word_;
  std::vector<UniqueFd> opened_;
};

// ── the one who asks for it ─────────────────────────────────────────────────────────────────────────────────────────

bool write_file(const std::string& path, std::string_view text) noexcept {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && retry([&] { return ::write(fd.get(), text.data(), text.size()); }) == static_cast<ssize_t>(text.size());
}

/// "0 100000 65536" lines made into "0 0 65536": all that are known here keep their numbers.
std::string kept_identities(const std::string& own) {
  std::string map;
  for (std::string_view rest = own; !rest.empty();) {
    const std::string line(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    unsigned long first = 0;
    unsigned long outside = 0;
    unsigned long count = 0;
    if (std::sscanf(line.c_str(), "%lu %lu %lu", &first, &outside, &count) != 3) continue;
    map += std::to_string(first) + " " + std::to_string(first) + " " + std::to_string(count) + "\n";
  }
  return map;
}

// Who may, keeps everybody: root inside goes on as root, with its groups. Others are alone, and setgroups(2) has to be
// given up for it (user_namespaces(7)).
Result<void> give_identity(int keeper) {
  const std::string folder = "/proc/" + std::to_string(keeper) + "/";
  const auto users = read_file("/proc/self/uid_map", identities_octets_max);
  const auto groups = read_file("/proc/self/gid_map", identities_octets_max);
  if (::geteuid() == 0 && users && groups && write_file(folder + "uid_map", kept_identities(*users))) {
    if (write_file(folder + "gid_map", kept_identities(*groups))) return {};
    return std::unexpected(make_error(errno));
  }
  const auto alone = [](unsigned long id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
  if (!write_file(folder + "setgroups", "deny") || !write_file(folder + "uid_map", alone(::geteuid())) ||
      !write_file(folder + "gid_map", alone(::getegid()))) {
    return std::unexpected(make_error(errno));
  }
  return {};
}

PrivateNetworkRefusal refusal(Step step, const Error& error) {
  return {.step = step, .error = error, .told = {}};
}

PrivateNetworkRefusal refusal_of(const Word& word) {
  return {.step = word.step, .error = make_error(word.os_code), .told = word.told.data()};
}

}  // namespace

std::expected<PrivateNetwork, PrivateNetworkRefusal> PrivateNetwork::create(const PrivateNetworkPlan& plan) {
  STILE_ASSERT(!plan.addresses.empty() && plan.openings.size() <= openings_max);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return std::unexpected(refusal(Step::process, make_error(errno)));
  }
  UniqueFd here(pair[0]);
  UniqueFd there(pair[1]);
  auto keeper =
      Process::fork("stile-network", std::array{there.get()}, [&] { return Keeper(plan, there.get()).work(); });
  if (!keeper) return std::unexpected(refusal(Step::process, keeper.error()));
  there.reset();
  Word word;
  std::vector<UniqueFd> sockets;
  if (!hear(here.get(), word, sockets)) return std::unexpected(refusal(Step::process, make_error(ECHILD)));
  if (word.kind != Word::Kind::awaits_identity) return std::unexpected(refusal_of(word));
  if (auto given = give_identity(keeper->id()); !given) {
    return std::unexpected(refusal(Step::identity, given.error()));
  }
  if (!tell(here.get(), Word{}) || !hear(here.get(), word, sockets)) {
    return std::unexpected(refusal(Step::process, make_error(ECHILD)));
  }
  if (word.kind != Word::Kind::done) return std::unexpected(refusal_of(word));
  PrivateNetwork network(std::move(*keeper), std::move(here));
  auto next = sockets.begin();
  for (std::size_t i = 0; i < plan.openings.size(); ++i) {
    const bool open = (word.open >> i & 1U) != 0 && next != sockets.end();
    network.sockets.push_back(open ? std::move(*next++) : UniqueFd());
  }
  return network;
}

Result<UniqueFd> PrivateNetwork::open(const Opening& opening) const {
  Word word{.kind = Word::Kind::open_another, .another = opening};
  std::vector<UniqueFd> opened;
  if (!tell(link_.get(), word) || !hear(link_.get(), word, opened)) return std::unexpected(make_error(ECHILD));
  if (word.kind != Word::Kind::done || opened.empty()) return std::unexpected(make_error(word.os_code));
  return std::move(opened.front());
}

Result<void> PrivateNetwork::enter() const noexcept {
  if (::setns(keeper_.descriptor(), CLONE_NEWUSER | CLONE_NEWNET) != 0) return std::unexpected(make_error(errno));
  return {};
}

}  // namespace stile::sys
