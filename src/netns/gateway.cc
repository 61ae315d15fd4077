#include "netns/gateway.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/limits.h"
#include "netns/datagrams.h"
#include "netns/gateway_rules.h"
#include "netns/ping_judge.h"
#include "netns/pings.h"
#include "netns/traces.h"
#include "server/name_server.h"
#include "sys/diverted_socket.h"
#include "sys/errno_table.h"
#include "sys/socket_options.h"

namespace stile::netns {
namespace {

/// In records.
constexpr std::string_view listener_name = "gateway";

Address anywhere(Family family) {
  return family == Family::ipv4 ? Address::v4(0, 0, 0, 0) : *Address::parse("::");
}

Address loopback_of(Family family) {
  return family == Family::ipv4 ? Address::v4(127, 0, 0, 1) : *Address::parse("::1");
}

Result<sys::UniqueFd> open_answers(Family family) {
  auto fd = sys::open_packet_source(family);
  if (!fd) return fd;
  if (const auto marked = sys::set_mark(fd->get(), gateway_answer_mark); !marked) {
    return std::unexpected(marked.error());
  }
  return fd;
}

/// Puts what was opened into its place.
Result<void> store(Result<sys::UniqueFd> opened, sys::UniqueFd& place) {
  if (!opened) return std::unexpected(opened.error());
  place = std::move(*opened);
  return {};
}

server::Shortcoming refusal_of(const Error& error) {
  server::Shortcoming refused{
      .what = "cannot be a gateway", .why = std::string(sys::describe(error)), .cure = "raise the process's limits"};
  if (error.kind == ErrorKind::not_permitted) refused.cure = "start it as root: it needs CAP_NET_ADMIN and CAP_NET_RAW";
  if (error.kind == ErrorKind::address_in_use) refused.cure = "stop the other gateway of this host";
  return refused;
}

}  // namespace

/// The connections' side of it. Each worker's thread.
class Gateway::Hosts final : public server::CalledHosts {
 public:
  Hosts(resolve::StandInNames& names, bool translated) noexcept : names_(names), translated_(translated) {}

  Host host_of(const Address& called) override { return names_.host_of(called); }
  // An address that stands for no name any longer is nobody's.
  std::optional<Endpoint> place_called(engine::Engine& engine, const engine::Socket& accepted,
                                       const Endpoint& listener) override {
    const auto meant =
        translated_ ? translated(engine, accepted) : CalledHosts::place_called(engine, accepted, listener);
    return meant && !names_.is_lost(meant->address) ? meant : std::nullopt;
  }

 private:
  static std::optional<Endpoint> translated(engine::Engine& engine, const engine::Socket& accepted) {
    const auto local = engine.local_endpoint(accepted);
    if (!local) return std::nullopt;
    const auto meant = engine::EpollEngine::translated_from(accepted, local->address.family());
    return meant && *meant != *local ? std::optional(*meant) : std::nullopt;
  }

  resolve::StandInNames& names_;
  const bool translated_;
};

/// What comes as packets. The first worker's thread.
class Gateway::Packets final : private server::DatagramJudge, private PingJudge {
 public:
  Packets(const server::FrontCrew& crew, resolve::StandInNames& names)
      : engine_(crew.engine),
        worker_(crew.worker),
        name_source_(names, ""),
        name_server_(crew.engine, name_source_),
        traces_(crew.engine, crew.resolver, static_cast<PingJudge&>(*this), names),
        datagrams_(
            crew.engine, crew.resolver,
            {.upstreams = crew.worker.upstreams(), .via = {}, .judge = this, .listener = std::string(listener_name)},
            names, crew.reporter),
        pings_(crew.engine, crew.resolver, static_cast<PingJudge&>(*this), names) {
    datagrams_.trace_by(traces_);
    pings_.trace_by(traces_);
  }

  void serve(Opened& sockets) {
    name_server_.serve_datagrams(std::move(sockets.names), std::move(sockets.name_answers));
    name_server_.serve_streams(std::move(sockets.name_streams));
    if (!sockets.datagrams) return;
    traces_.answer_by(sockets.family, std::move(sockets.trace_answers));
    datagrams_.serve(std::move(sockets.datagrams), std::move(sockets.datagram_answers));
    pings_.serve(sockets.family, std::move(sockets.echoes), std::move(sockets.echo_replies));
  }

  void finish() {
    name_server_.stop();
    pings_.stop();
    datagrams_.finish();
    datagrams_.stop();
    traces_.stop();
    while (!datagrams_.quiet() || !pings_.quiet() || !traces_.quiet()) engine_.run();
  }

 private:
  Sentence judge(const Endpoint& client, const Target& target) override {
    const auto judged = worker_.judge_packet(policy::Command::udp, client.address, target);
    Sentence sentence{.via = {},
                      .reason = Reason::deny_policy,
                      .user = judged.who.user(),
                      .method = judged.who.method(),
                      .rule = std::string(judged.rule)};
    if (judged.options == nullptr) {
      if (judged.verdict.reason != Reason::none) sentence.reason = judged.verdict.reason;
      return sentence;
    }
    sentence.via = judged.options->via;
    sentence.is_recorded = judged.options->log != policy::RecordDetail::none;
    return sentence;
  }

  std::shared_ptr<const route::Hop> judge(const Address& from, const Host& target) override {
    const auto judged = worker_.judge_packet(policy::Command::ping, from, {target, 0});
    if (judged.options == nullptr || judged.options->via.size() != 1) return nullptr;
    const auto& plans = worker_.upstream_plans();
    const auto found = std::ranges::find_if(
        plans, [&](const auto& plan) { return plan->settings.name == judged.options->via.front(); });
    if (found == plans.end() || (*found)->hops.front().url.protocol != wire::ProxyProtocol::socks5) return nullptr;
    return {*found, &(*found)->hops.front()};
  }

  engine::EpollEngine& engine_;
  server::Worker& worker_;
  server::StandInSource name_source_;
  server::NameServer name_server_;
  Traces traces_;
  Datagrams datagrams_;
  Pings pings_;
};

// Machines remember for a while what names stood for before a gateway was started anew.
Gateway::Gateway(config::Gateway settings)
    : settings_(std::move(settings)), names_(limits::stand_in_names_max, std::random_device{}()) {}

Gateway::~Gateway() = default;

// The first one is opened alone, so that a second gateway is told of this one instead of sharing its connections.
Result<void> Gateway::open_listeners(Opened& opened, std::size_t workers) const {
  const bool shared = workers > 1;
  if (shared) {
    if (const auto alone = sys::open_diverted_listener(opened.entrance); !alone) return std::unexpected(alone.error());
  }
  for (std::size_t i = 0; i < workers; ++i) {
    auto listener = sys::open_diverted_listener(opened.entrance, shared);
    if (!listener) return std::unexpected(listener.error());
    opened.listeners.push_back(std::move(*listener));
  }
  return {};
}

Result<void> Gateway::open_names(Opened& opened) const {
  const Endpoint place{opened.entrance.address, gateway_name_port};
  auto done = store(sys::open_diverted_listener(place), opened.name_streams);
  if (done) done = store(sys::open_addressed_datagrams(place), opened.names);
  // By translation they come from the port that they were sent to.
  if (done && !settings_.redirect) done = store(open_answers(opened.family), opened.name_answers);
  return done;
}

Result<void> Gateway::open_packets(Opened& opened) {
  auto done = store(sys::open_addressed_datagrams(opened.entrance), opened.datagrams);
  if (done) done = store(open_answers(opened.family), opened.datagram_answers);
  if (done) done = store(sys::open_marked_echo_requests(opened.family, gateway_mark), opened.echoes);
  if (done) done = store(open_answers(opened.family), opened.echo_replies);
  if (done) done = store(open_answers(opened.family), opened.trace_answers);
  return done;
}

Result<Gateway::Opened> Gateway::open_family(Family family, std::size_t workers) const {
  Opened opened{.family = family,
                .entrance = {settings_.redirect ? anywhere(family) : loopback_of(family), gateway_port},
                .listeners = {}};
  auto done = open_listeners(opened, workers);
  if (done) done = open_names(opened);
  if (done && !settings_.redirect) done = open_packets(opened);
  if (!done) return std::unexpected(done.error());
  return opened;
}

std::optional<server::Shortcoming> Gateway::open(std::size_t workers, const std::function<void()>& forget) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    auto opened = open_family(family, workers);
    // A system without IPv6 does without.
    const bool needed = family == Family::ipv4 || (!opened && opened.error().kind == ErrorKind::address_in_use);
    if (!opened && needed) return refusal_of(opened.error());
    if (!opened) continue;
    places_.push_back(opened->entrance);
    places_.push_back({opened->entrance.address, gateway_name_port});
    opened_.push_back(std::move(*opened));
  }
  hosts_ = std::make_unique<Hosts>(names_, settings_.redirect);
  if (!settings_.applies_rules) return std::nullopt;
  RulePlan plan{
      .rules = gateway_rules(settings_), .undo = no_gateway_rules(), .look = look_for_gateway_rules(), .delivery = {}};
  if (!settings_.redirect) {
    plan.delivery = {.mark = gateway_mark, .table = gateway_route_number, .preference = gateway_route_number};
  }
  auto started = RuleKeeper::start(plan, forget);
  if (!started) {
    return server::Shortcoming{.what = "cannot put the packet rules in force",
                               .why = started.error(),
                               .cure = settings_.redirect ? "the kernel's modules nf_tables and nft_redir are needed"
                                                          : "the kernel's modules nf_tables and nft_tproxy are needed"};
  }
  rules_ = std::move(*started);
  return std::nullopt;
}

std::vector<std::string> Gateway::facts() const {
  std::string whose;
  const auto add = [&](std::string_view one) { whose += (whose.empty() ? "" : ", ") + std::string(one); };
  for (const InterfaceName& name : settings_.lan) add(name.text());
  for (const Cidr& network : settings_.from) add(network.to_string());
  const std::string what = settings_.redirect ? "TCP and names, by redirect" : "TCP, UDP, names and pings, by tproxy";
  return {"gateway for " + whose + ": " + what,
          rules_ != nullptr ? "its packet rules are in force until it ends"
                            : "its packet rules are yours to put in force: `stile gateway --print` prints them"};
}

void Gateway::attach(std::size_t worker, const server::FrontCrew& crew) {
  for (Opened& opened : opened_) {
    engine::Socket listening;
    crew.engine.take(listening, std::move(opened.listeners[worker]), engine::EpollEngine::Role::listener);
    crew.worker.listen_diverted(listening, opened.entrance, std::string(listener_name), *hosts_);
  }
  if (worker != 0) return;
  packets_ = std::make_unique<Packets>(crew, names_);
  for (Opened& opened : opened_) packets_->serve(opened);
}

void Gateway::finish(std::size_t worker) {
  if (worker == 0) packets_->finish();
}

std::optional<server::Shortcoming> Gateway::close() {
  packets_.reset();
  if (rules_ == nullptr) return std::nullopt;
  const bool done = rules_->undo();
  rules_.reset();
  if (done) return std::nullopt;
  return server::Shortcoming{.what = "cannot take the packet rules back",
                             .why = "the process that keeps them has ended",
                             .cure = "`nft delete table inet stile_gateway`"};
}

}  // namespace stile::netns
