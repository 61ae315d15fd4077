#include "resolve/cares_resolver.h"

#include <ares.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "resolve/dns_message.h"
#include "resolve/reverse_name.h"
#include "sys/net_probe.h"

namespace stile::resolve {
namespace {

using namespace std::chrono_literals;

constexpr auto probe_interval = 10s;
constexpr auto look_interval = 1s;

/// What resolv.conf, or the operator instead of it, says.
struct Configuration {
  std::vector<DnsServer> servers;
  bool rotate = false;
};

DnsServer server_of(const ares_addr_port_node& node, std::uint16_t default_port) noexcept {
  DnsServer server;
  if (node.family == AF_INET) {
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &node.addr.addr4, octets.size());
    server.address = Address::v4(octets);
  } else {
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &node.addr.addr6, octets.size());
    server.address = Address::v6(octets);
  }
  server.port = node.udp_port == 0 ? default_port : static_cast<std::uint16_t>(node.udp_port);
  return server;
}

/// The servers that are named, else what resolv.conf says. Lets c-ares read resolv.conf, in a channel made for that
/// alone. It is given the text as a file in memory, because the file itself may be out of this thread's reach; the
/// order of lookups, so that it reads no other.
Result<Configuration> read_configuration(const CaresResolver::Options& options) {
  if (!options.servers.empty()) return Configuration{.servers = options.servers};
  const auto text = options.read_file(options.resolv_conf_path, limits::resolv_conf_octets_max);
  if (!text && text.error().kind != ErrorKind::not_found) return std::unexpected(text.error());
  auto file = sys::file_in_memory(text ? *text : "");
  if (!file) return std::unexpected(file.error());
  ares_options wanted{};
  char lookups[] = "b";
  wanted.resolvconf_path = file->path.data();
  wanted.lookups = lookups;
  ares_channel channel = nullptr;
  int status = ares_init_options(&channel, &wanted, ARES_OPT_RESOLVCONF | ARES_OPT_LOOKUPS);
  if (status != ARES_SUCCESS) return std::unexpected(cares_error(status));
  const std::unique_ptr<ares_channeldata, decltype(&ares_destroy)> owned(channel, &ares_destroy);
  ares_addr_port_node* nodes = nullptr;
  status = ares_get_servers_ports(channel, &nodes);
  if (status != ARES_SUCCESS) return std::unexpected(cares_error(status));
  Configuration configuration;
  for (const auto* node = nodes; node != nullptr; node = node->next)
    configuration.servers.push_back(server_of(*node, options.port));
  ares_free_data(nodes);
  ares_options saved{};
  int mask = 0;
  if (ares_save_options(channel, &saved, &mask) == ARES_SUCCESS) {
    configuration.rotate = (mask & ARES_OPT_ROTATE) != 0;
    ares_destroy_options(&saved);
  }
  return configuration;
}

/// The outcome rows of the protocol reference, section 2.5: what the name lacks is not found, what the server lacks is
/// a failure.
Reason reason_of(int status) noexcept {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ESERVFAIL:
      return Reason::dns_not_found;
    default:
      return Reason::dns_failed;
  }
}

/// What one message says: addresses, or the name of an address.
struct Reading {
  Reason reason = Reason::dns_failed;
  std::vector<Address> addresses;
  std::optional<HostName> name;
  std::chrono::seconds ttl{0};
};

/// Reads the addresses behind any aliases; the status is then ARES_SUCCESS, ARES_ENODATA or ARES_EBADRESP.
int read_addresses(RecordType type, ConstBytes message, Reading& answer) {
  const auto length = static_cast<int>(message.size());
  int count = static_cast<int>(limits::candidates_max);
  int status = ARES_SUCCESS;
  std::optional<int> ttl;
  const auto add = [&](const Address& address, int record_ttl) {
    answer.addresses.push_back(address);
    ttl = std::min(ttl.value_or(record_ttl), record_ttl);
  };
  if (type == RecordType::a) {
    std::array<ares_addrttl, limits::candidates_max> records{};
    status = ares_parse_a_reply(message.data(), length, nullptr, records.data(), &count);
    for (const auto& record : std::span(records).first(status == ARES_SUCCESS ? static_cast<std::size_t>(count) : 0)) {
      std::array<std::uint8_t, 4> octets{};
      std::memcpy(octets.data(), &record.ipaddr, octets.size());
      add(Address::v4(octets), record.ttl);
    }
  } else {
    std::array<ares_addr6ttl, limits::candidates_max> records{};
    status = ares_parse_aaaa_reply(message.data(), length, nullptr, records.data(), &count);
    for (const auto& record : std::span(records).first(status == ARES_SUCCESS ? static_cast<std::size_t>(count) : 0)) {
      std::array<std::uint8_t, 16> octets{};
      std::memcpy(octets.data(), &record.ip6addr, octets.size());
      add(Address::v6(octets), record.ttl);
    }
  }
  answer.ttl = std::chrono::seconds(std::max(ttl.value_or(0), 0));
  return status == ARES_SUCCESS && answer.addresses.empty() ? ARES_ENODATA : status;
}

/// The text of an encoded name; octets of no host name come escaped.
std::optional<std::string> expand_name(ConstBytes encoded, ConstBytes message) {
  char* text = nullptr;
  long octets = 0;
  const auto length = static_cast<int>(message.size());
  if (ares_expand_name(encoded.data(), message.data(), length, &text, &octets) != ARES_SUCCESS) return std::nullopt;
  const std::unique_ptr<char, decltype(&ares_free_string)> owned(text, &ares_free_string);
  return std::string(text);
}

/// Reads the first name that is a host's, behind any aliases (RFC 2317); the status is as above. A zone may hold any
/// octets there, which ares_parse_ptr_reply takes for a malformed message: here what is no canonical name is absent.
int read_name(ConstBytes message, Reading& answer) {
  const auto records = pointer_records(message);
  if (!records) return ARES_EBADRESP;
  answer.ttl = records->ttl;
  for (const ConstBytes encoded : records->names) {
    const auto text = expand_name(encoded, message);
    if (!text) return ARES_EBADRESP;
    const auto host = canonical_host(*text);
    if (!host || !std::holds_alternative<HostName>(*host)) continue;
    answer.name = std::get<HostName>(*host);
    return ARES_SUCCESS;
  }
  return ARES_ENODATA;
}

Reading read_answer(RecordType type, int status, ConstBytes message) {
  Reading answer;
  if (status == ARES_SUCCESS) {
    status = type == RecordType::ptr ? read_name(message, answer) : read_addresses(type, message, answer);
  }
  answer.reason = status == ARES_SUCCESS ? Reason::none : reason_of(status);
  const bool denied = status == ARES_ENOTFOUND || status == ARES_ENODATA;
  if (denied && answer.ttl == std::chrono::seconds(0)) answer.ttl = negative_ttl(message);
  return answer;
}

}  // namespace

/// A question with at least one answer open.
struct CaresResolver::Exchange {
  HostName name;
  Asker* asker;
  Instant asked;
  std::vector<std::size_t> order;  // in which the servers are asked
  int answers_open;
};

struct CaresResolver::Server {
  std::unique_ptr<CaresChannel> channel;
  std::optional<Instant> last_until{};  // it was silent or unreachable: asked after the others until then
  std::optional<Instant> answered{};    // when it last did
};

/// One record type of a question at one server. Owned by c-ares until it calls back.
struct CaresResolver::Attempt {
  CaresResolver* resolver;
  std::uint64_t id;
  RecordType type;
  std::size_t number = 0;  // servers asked before this one
  std::size_t server = 0;  // the one that is being asked
  Instant sent{};
  bool server_failed = false;  // one of them answered SERVFAIL: better known than a later silence
};

/// A channel that is asked nothing any longer, until nothing of it is pending in the engine.
struct CaresResolver::Retired {
  Retired(CaresResolver& owner, std::unique_ptr<CaresChannel> old) : resolver(owner), channel(std::move(old)) {
    quiet.bind<&Retired::on_quiet>(this);
  }
  void on_quiet(engine::Status) { resolver.buried(*this); }

  CaresResolver& resolver;
  std::unique_ptr<CaresChannel> channel;
  engine::Operation quiet;
};

Result<std::unique_ptr<CaresResolver>> CaresResolver::create(engine::EpollEngine& engine, const Options& options) {
  std::unique_ptr<CaresResolver> made(new CaresResolver(engine, options));
  if (auto configured = made->configure(); !configured) return std::unexpected(configured.error());
  return made;
}

CaresResolver::CaresResolver(engine::EpollEngine& engine, const Options& options) : engine_(engine), options_(options) {
  changed_.bind<&CaresResolver::on_changed>(this);
}

CaresResolver::~CaresResolver() {
  STILE_ASSERT(exchanges_.empty() && retired_.empty());
}

// ── whom to ask ─────────────────────────────────────────────────────────────────────────────────────────────────────

Result<void> CaresResolver::configure() {
  // The stamp first: what is written between the two is found at the next look.
  const auto stamp = sys::file_stamp(options_.resolv_conf_path);
  const auto configuration = read_configuration(options_);
  if (!configuration) return std::unexpected(configuration.error());
  std::vector<Server> servers;
  for (const DnsServer& server : configuration->servers) {
    auto channel = CaresChannel::create(engine_, server, options_.transport, options_.try_time);
    if (!channel) return std::unexpected(channel.error());
    servers.push_back({.channel = std::move(*channel)});
  }
  std::swap(servers_, servers);
  rotate_ = configuration->rotate;
  next_start_ = 0;
  stamp_ = stamp ? std::optional(*stamp) : std::nullopt;
  for (auto& [id, exchange] : exchanges_) exchange.order = order();
  // Last: an open question goes to the servers above as its channel is closed.
  retire(std::move(servers));
  return {};
}

void CaresResolver::look_for_changes() {
  const Instant now = engine_.now();
  if (!options_.servers.empty() || (looked_ && now - *looked_ < look_interval)) return;
  looked_ = now;
  // A file that is gone is about to be written anew, or of no use: the servers known before go on.
  const auto stamp = sys::file_stamp(options_.resolv_conf_path);
  if (stamp && stamp_ != *stamp && !changed_.pending()) engine_.post(changed_);
}

// Where memory does not suffice the servers known before go on, too; it is tried again at the next look.
void CaresResolver::on_changed(engine::Status) {
  if (closed_ == nullptr) static_cast<void>(configure());
  post_closed_if_quiet();
}

void CaresResolver::retire(std::vector<Server> servers) {
  for (Server& server : servers) {
    Retired& old = *retired_.emplace_back(std::make_unique<Retired>(*this, std::move(server.channel)));
    old.channel->close(old.quiet);
  }
}

void CaresResolver::buried(Retired& retired) {
  std::erase_if(retired_, [&](const auto& one) { return one.get() == &retired; });
  post_closed_if_quiet();
}

// ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void CaresResolver::ask(std::uint64_t id, const HostName& name, Asker& asker) {
  open(id, name, asker, 2);
  start(std::make_unique<Attempt>(Attempt{this, id, RecordType::aaaa}));
  start(std::make_unique<Attempt>(Attempt{this, id, RecordType::a}));
}

void CaresResolver::ask_name(std::uint64_t id, const Address& address, Asker& asker) {
  open(id, reverse_name(address), asker, 1);
  start(std::make_unique<Attempt>(Attempt{this, id, RecordType::ptr}));
}

void CaresResolver::open(std::uint64_t id, const HostName& name, Asker& asker, int answers) {
  STILE_ASSERT(closed_ == nullptr);
  look_for_changes();
  exchanges_.emplace(id, Exchange{name, &asker, engine_.now(), order(), answers});
  if (rotate_) next_start_ = (next_start_ + 1) % std::max<std::size_t>(servers_.size(), 1);
}

// Those that were silent of late come last. When the first of them has waited for long enough, one question tries it,
// and the others go elsewhere meanwhile.
std::vector<std::size_t> CaresResolver::order() {
  const Instant now = engine_.now();
  std::vector<std::size_t> order;
  std::vector<std::size_t> silent;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const std::size_t server = (next_start_ + i) % servers_.size();
    const auto& last_until = servers_[server].last_until;
    (last_until && now < *last_until ? silent : order).push_back(server);
  }
  if (!order.empty() && servers_[order.front()].last_until)
    servers_[order.front()].last_until = now + options_.try_time;
  order.insert(order.end(), silent.begin(), silent.end());
  return order;
}

void CaresResolver::forget(std::uint64_t id) noexcept {
  exchanges_.erase(id);
}

void CaresResolver::start(std::unique_ptr<Attempt> attempt) {
  const auto exchange = exchanges_.find(attempt->id);
  if (exchange == exchanges_.end()) return;
  if (servers_.empty()) {
    on_reply(std::move(attempt), ARES_ECONNREFUSED, {});
    return;
  }
  const RecordType type = attempt->type;
  attempt->server = exchange->second.order[attempt->number % servers_.size()];
  attempt->sent = engine_.now();
  CaresChannel& channel = *servers_[attempt->server].channel;
  ++figures_.questions;
  if (options_.questions != nullptr) options_.questions->add();
  // A copy: an answer that comes at once ends the exchange.
  const HostName name = exchange->second.name;
  const auto on_called = [](void* argument, int status, int, unsigned char* message, int length) {
    std::unique_ptr<Attempt> owned(static_cast<Attempt*>(argument));
    CaresResolver& resolver = *owned->resolver;
    const auto octets = message == nullptr ? ConstBytes() : ConstBytes(message, static_cast<std::size_t>(length));
    resolver.on_reply(std::move(owned), status, octets);
  };
  channel.ask(name, type, on_called, attempt.release());
}

// Silence counts where nothing else was heard since: there are names that a healthy server has no answer for in time.
// A host that is gone is found out by its router only after seconds.
void CaresResolver::note(const Attempt& attempt, int status) {
  Server& server = servers_[attempt.server];
  if (status != ARES_ETIMEOUT && status != ARES_ECONNREFUSED) {
    server.answered = engine_.now();
    server.last_until.reset();
  } else if (!server.answered || *server.answered < attempt.sent) {
    server.last_until = engine_.now() + limits::dns_silent_server_last;
  }
}

void CaresResolver::on_reply(std::unique_ptr<Attempt> attempt, int status, ConstBytes message) {
  if (status == ARES_EDESTRUCTION) {
    attempt->number = 0;
    if (closed_ == nullptr) start(std::move(attempt));
    return;
  }
  Reading answer = read_answer(attempt->type, status, message);
  const bool failed = answer.reason == Reason::dns_failed || status == ARES_ESERVFAIL;
  if (!servers_.empty()) {
    note(*attempt, status);
    figures_.failures += failed ? 1 : 0;
    figures_.silences += status == ARES_ETIMEOUT ? 1 : 0;
    if (failed && options_.failures != nullptr) options_.failures->add();
  }
  const auto exchange = exchanges_.find(attempt->id);
  if (exchange == exchanges_.end()) return;
  attempt->server_failed |= status == ARES_ESERVFAIL;
  if (failed && may_try_again(*attempt, status)) {
    ++attempt->number;
    start(std::move(attempt));
    return;
  }
  if (attempt->server_failed && answer.reason == Reason::dns_failed) answer.reason = Reason::dns_not_found;
  Asker& asker = *exchange->second.asker;
  if (--exchange->second.answers_open == 0) exchanges_.erase(exchange);
  if (attempt->type == RecordType::ptr) {
    asker.on_name({.reason = answer.reason, .name = std::move(answer.name), .ttl = answer.ttl});
  } else {
    const Family family = attempt->type == RecordType::a ? Family::ipv4 : Family::ipv6;
    asker.on_family(family, {.reason = answer.reason, .addresses = std::move(answer.addresses), .ttl = answer.ttl});
  }
}

/// Every server once, and all once more while the last one was silent. Never beyond the time limit.
bool CaresResolver::may_try_again(const Attempt& attempt, int status) const {
  const std::size_t asked = attempt.number + 1;
  const std::size_t servers = servers_.size();
  const bool once_more = asked < servers || (status == ARES_ETIMEOUT && asked < 2 * servers);
  return once_more && engine_.now() - exchanges_.at(attempt.id).asked < options_.total;
}

bool CaresResolver::prefers_ipv6() {
  const Instant now = engine_.now();
  if (!probed_ || now - *probed_ >= probe_interval) {
    probed_ = now;
    // Any address of the global unicast range (RFC 4291 section 2.4) will do: nothing is sent.
    std::array<std::uint8_t, 16> global_unicast{0x20};
    global_unicast.back() = 1;
    ipv6_route_ = sys::has_route(Address::v6(global_unicast));
  }
  return ipv6_route_;
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void CaresResolver::close(engine::Operation& closed) noexcept {
  STILE_ASSERT(closed_ == nullptr);
  closed_ = &closed;
  exchanges_.clear();
  retire(std::exchange(servers_, {}));
  post_closed_if_quiet();
}

void CaresResolver::post_closed_if_quiet() {
  if (closed_ == nullptr || !retired_.empty() || changed_.pending()) return;
  engine_.post(*closed_);
}

}  // namespace stile::resolve
