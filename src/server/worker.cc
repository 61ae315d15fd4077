#include "server/worker.h"

#include <algorithm>
#include <utility>

#include "auth/authenticator.h"
#include "base/loopback.h"
#include "server/accept_batch.h"
#include "server/connection.h"
#include "server/decision.h"
#include "server/http_forward.h"

namespace stile::server {
namespace {

// What the two ends of a Unix-domain socket count as.
constexpr Endpoint local_endpoint{Address::v4(127, 0, 0, 1), 0};

constexpr bool is_exhaustion(ErrorKind kind) {
  return kind == ErrorKind::no_descriptors || kind == ErrorKind::no_memory;
}

relay::RelayLimits relay_limits(const Common& common) noexcept {
  return {.idle = common.limits.idle,
          .half_closed = common.limits.half_closed,
          .parked_octets_max = limits::parked_octets_process_max / common.workers};
}

// A refusal is nothing that a rule with `log none` admitted.
bool is_recorded(const observe::Record& record, const SessionInfo& info) noexcept {
  const bool refused = record.event == observe::Event::denied || record.event == observe::Event::auth_failed;
  return refused || info.detail != policy::RecordDetail::none;
}

}  // namespace

struct Worker::Listener {
  Worker* worker = nullptr;
  engine::Socket socket;
  Endpoint local;
  std::string name;
  std::size_t index = 0;
  std::atomic<std::uint32_t>* sessions = nullptr;  // on all workers
  SessionInfo plain;                               // stands for every tunnel about which there is nothing to remember
  AcceptBatch batch;
  Admission admission;
  bool is_local = false;         // a Unix-domain socket
  CalledHosts* hosts = nullptr;  // of diverted clients; nullptr: they are none
  std::optional<Target> target;  // where all of its clients are carried

  void on_ready(engine::Status status) {
    if (status == engine::Status::done && socket.is_open()) return worker->accept_from(*this);
    worker->finish_if_drained();
  }

  // The one place where a listener's configuration becomes what a session may do.
  [[nodiscard]] session::SessionRules rules_for(const Address& source, const Common& common) const {
    session::SessionRules rules;
    rules.socks5 = admission.protocols.socks5;
    rules.socks4 = admission.protocols.socks4;
    rules.http = admission.protocols.http;
    rules.auth = admission.auth;
    if (admission.tls != nullptr) {
      rules.tls = admission.tls_optional ? wire::TlsUse::optional : wire::TlsUse::required;
    }
    rules.proxy_header = std::ranges::any_of(admission.proxy_protocol_from,
                                             [&](const Cidr& network) { return network.contains(source); });
    rules.timeout_is_ttl_expired = common.limits.timeout_is_ttl_expired;
    return rules;
  }
};

const policy::Policy& Common::policy_for(const Address& local, const Address& client, bool proxied) const noexcept {
  if (policy != nullptr) return *policy;
  return !proxied && is_loopback(local) && is_loopback(client) ? *loopback_preset : *deny_all;
}

std::optional<Identity> Common::renewed(const Identity& who) const {
  static const auth::Users nobody;
  return auth::Authenticator::renew(who, users == nullptr ? nobody : *users, today);
}

Identity Common::network_user(const Address& client) const {
  const auto found =
      std::ranges::find_if(network_users, [&](const config::NetworkUser& one) { return one.network.contains(client); });
  if (found == network_users.end()) return Identity::anonymous();
  const auth::UserRecord* const record = users == nullptr ? nullptr : users->find(found->user);
  const bool counts = record != nullptr && (!record->expires || today < *record->expires);
  return auth::Authenticator::network_user(found->user, counts ? record->groups : std::vector<std::string>());
}

bool Common::forgives(const Address& client) const noexcept {
  return is_loopback(client) ||
         std::ranges::any_of(limits.penalty_exempt, [&](const Cidr& network) { return network.contains(client); });
}

bool Common::sessions_exhausted() const noexcept {
  std::uint64_t open = 0;
  for (const observe::Counters* const worker : counters) open += worker->sessions_open.value();
  return open >= limits.sessions;
}

Worker::Worker(engine::Engine& engine, resolve::Resolver& resolver, observe::Counters& counters, Reporter* reporter,
               std::shared_ptr<const Common> common, auth::Verifier* verifier)
    : engine_(engine),
      resolver_(resolver),
      upstreams_(engine, resolver),
      counters_(counters),
      reporter_(reporter),
      verifier_(verifier),
      common_(std::move(common)),
      relay_(engine, *this, relay_limits(*common_)),
      live_sockets_(common_->live_sockets),
      usage_(common_->usage),
      udp_(engine, resolver, *live_sockets_, limits::udp_held_octets_max / common_->workers),
      http_(std::make_unique<HttpForwards>(*this)) {
  wake_.bind<&Worker::on_wake>(this);
  drain_deadline_.bind<&Worker::on_drain_deadline>(this);
  accept_retry_.bind<&Worker::on_accept_retry>(this);
  interim_.bind<&Worker::on_interim>(this);
  calendar_.bind<&Worker::on_calendar>(this);
  upstreams_quiet_.bind<&Worker::on_upstreams_quiet>(this);
  usage_->attach(engine_);
  upstreams_.watch(common_->upstream_watch.get());
  upstreams_.use(common_->upstreams);
}

Worker::~Worker() {
  STILE_ASSERT(connections_ == 0 && relay_.tunnels() == 0);
  usage_->detach(engine_);
}

Worker::Listener& Worker::add_listener(std::string name, const Endpoint& local, Admission admission) {
  auto listener = std::make_unique<Listener>();
  listener->worker = this;
  listener->index = listeners_.size();
  listener->name = std::move(name);
  listener->local = local;
  listener->admission = std::move(admission);
  listener->sessions = &usage_->listener(listener->name);
  listener->plain.listener = listener->index;
  listener->socket.bind<&Listener::on_ready>(listener.get());
  listeners_.push_back(std::move(listener));
  return *listeners_.back();
}

Result<Endpoint> Worker::listen(const Endpoint& local, bool reuse_port, Admission admission) {
  engine::Socket socket;
  if (auto opened = engine_.listen(socket, local, {.reuse_port = reuse_port}); !opened) {
    return std::unexpected(opened.error());
  }
  const Endpoint where = engine_.local_endpoint(socket).value_or(local);
  listen_at(socket, where, std::move(admission));
  return where;
}

void Worker::listen_at(engine::Socket& listening, const Endpoint& local, Admission admission) {
  Listener& listener = add_listener(local.to_string(), local, std::move(admission));
  engine_.move(listening, listener.socket);
  open_for_business(listener);
}

void Worker::listen_local(engine::Socket& listening, const std::string& name, Admission admission) {
  Listener& listener = add_listener(name, local_endpoint, std::move(admission));
  listener.is_local = true;
  engine_.move(listening, listener.socket);
  open_for_business(listener);
}

void Worker::listen_diverted(engine::Socket& listening, const Endpoint& local, const std::string& name,
                             CalledHosts& hosts) {
  Listener& listener = add_listener(name, local, {});
  listener.hosts = &hosts;
  engine_.move(listening, listener.socket);
  open_for_business(listener);
}

void Worker::listen_forwarding(engine::Socket& listening, const std::optional<Endpoint>& local, const std::string& name,
                               const Target& target) {
  Listener& listener = add_listener(name, local.value_or(local_endpoint), {});
  listener.is_local = !local;
  listener.target = target;
  engine_.move(listening, listener.socket);
  open_for_business(listener);
}

void Worker::open_for_business(Listener& listener) {
  if (!started_) return;
  if (stage_ != Stage::serving) return engine_.close(listener.socket);
  engine_.wait(listener.socket, engine::Interest::readable);
}

void Worker::admit(std::string_view listener, Admission admission) {
  for (const auto& known : listeners_) {
    if (known->name == listener && known->socket.is_open()) known->admission = admission;
  }
}

// Clients whose connection the kernel has completed already would be reset by closing alone.
void Worker::close_listener(std::string_view name) {
  for (const auto& listener : listeners_) {
    if (listener->name != name || !listener->socket.is_open()) continue;
    for (;;) {
      const auto client = engine_.try_accept(listener->socket, accepted_);
      if (!client) break;
      admit(*listener, accepted_, *client);
    }
    engine_.close(listener->socket);
  }
}

void Worker::start() {
  engine_.on_wake(&wake_);
  started_ = true;
  for (const auto& listener : listeners_) engine_.wait(listener->socket, engine::Interest::readable);
  on_interim(engine::Status::done);
  watch_calendar();
}

void Worker::run() {
  start();
  engine_.run();
  while (!relay_.quiet() || !udp_.quiet()) {
    engine_.stop();
    engine_.run();
  }
}

// ── accepting ───────────────────────────────────────────────────────────────────────────────────────────────────────

void Worker::accept_from(Listener& listener) {
  int accepted = 0;
  for (int i = 0; i < listener.batch.size(); ++i) {
    const auto client = engine_.try_accept(listener.socket, accepted_);
    if (client) {
      ++accepted;
      admit(listener, accepted_, *client);
    } else if (client.error().kind == ErrorKind::would_block) {
      break;
    } else if (is_exhaustion(client.error().kind)) {
      return pause_accept(listener);
    }
    // Any other error concerns the one connection that was about to be accepted (accept(2) reports its network errors).
  }
  listener.batch.took(accepted);
  engine_.wait(listener.socket, engine::Interest::readable);
}

void Worker::admit(Listener& listener, engine::Socket& accepted, const Endpoint& client) {
  counters_.accepted.add();
  if (!listener.is_local && refuses(client.address)) return engine_.close(accepted);
  std::optional<Endpoint> called;
  if (listener.hosts != nullptr) {
    called = listener.hosts->place_called(engine_, accepted, listener.local);
    if (!called) return engine_.abort(accepted);
  }
  if (connections_ + http_->waiting() >= limits::half_open_max / common_->workers) evict_oldest_half_open();
  Arrival arrival{.listener = listener.index, .local = local_endpoint, .client = local_endpoint, .over_unix = true};
  if (!listener.is_local) {
    // Of a listener on one address, or of diverted clients, the answer is known.
    const bool known = !listener.local.address.is_unspecified() || listener.hosts != nullptr;
    arrival.local = known ? listener.local : engine_.local_endpoint(accepted).value_or(listener.local);
    arrival.client = client;
    arrival.over_unix = false;
  }
  session::SessionRules rules = listener.rules_for(arrival.client.address, *common_);
  if (listener.is_local) {
    if (const auto user = engine_.peer_user(accepted)) rules.presumed = auth::Authenticator::local_user(*user);
  }
  if (called) rules.presumed = common_->network_user(client.address);
  auto* const connection = new Connection(*this, arrival, rules, listener.admission.tls);
  connection->previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = connection;
  last_ = connection;
  ++connections_;
  if (listener.target) return connection->begin_diverted(accepted, *listener.target);
  if (!called) return connection->begin(accepted);
  connection->begin_diverted(accepted, {listener.hosts->host_of(called->address), called->port});
}

std::optional<Endpoint> CalledHosts::place_called(engine::Engine& engine, const engine::Socket& accepted,
                                                  const Endpoint& listener) {
  const auto local = engine.local_endpoint(accepted);
  return local && *local != listener ? std::optional(*local) : std::nullopt;
}

Worker::PacketVerdict Worker::judge_packet(policy::Command command, const Address& client, const Target& target) {
  PacketVerdict judged{.who = common_->network_user(client), .verdict = {}, .rule = {}};
  const Asker asker{.who = &judged.who, .local = {}, .source = client, .proxied = false, .at = week_time()};
  const Address* const literal = target.address();
  judged.verdict =
      decide(*common_, asker, command, &target, literal == nullptr ? std::nullopt : std::optional(*literal));
  const policy::Policy& policy = common_->policy_for(asker.local, client, false);
  const bool allowed = judged.verdict.decision == policy::Verdict::Decision::allow;
  if (judged.verdict.rule >= 0) {
    judged.rule = policy.rules()[static_cast<std::size_t>(judged.verdict.rule)].name;
    if (allowed) judged.options = &policy.options(judged.verdict.rule);
  }
  if (!allowed) judged.verdict.decision = policy::Verdict::Decision::deny;
  return judged;
}

void Worker::carry(protect::Line& client, protect::Line& target, Arranged about) {
  STILE_ASSERT(!common_->reloadable);
  const auto listener = std::ranges::find(listeners_, about.listener, [](const auto& one) { return one->name; });
  STILE_ASSERT(listener != listeners_.end());
  Claim claim;
  const Holder holder{.listener = (*listener)->sessions, .source = {}, .user = {}};
  if (claim.enter(*usage_, holder, common_->limits) != Reason::none) {
    client.abort(engine_);
    return target.abort(engine_);
  }
  auto info = std::make_unique<SessionInfo>();
  info->id = engine_.random();
  info->began = engine_.now();
  info->client = about.client;
  info->dialled = about.dialled;
  info->listener = (*listener)->index;
  info->protocol = session::name(session::Protocol::transparent);
  info->command = about.command;
  info->target = about.target.to_string();
  info->route = std::move(about.route);
  info->passage = std::move(about.passage);
  SessionInfo* const context = keep((*listener)->index, std::move(claim), std::move(info));
  if (reporter_ != nullptr) {
    observe::Record record{.event = observe::Event::session_start};
    record.reply = ReplyCode::succeeded;
    report(record, *context);
  }
  counters_.sessions.add();
  counters_.sessions_open.add();
  relay_.start(client, target, {}, context);
}

// ── who may ─────────────────────────────────────────────────────────────────────────────────────────────────────────

auth::LoginRequest Worker::login_request(const Address& client, std::size_t listener, AuthMethod method) const {
  STILE_ASSERT(verifier_ != nullptr);
  // A client that was asked for its password may answer when the last user has been taken away.
  static const auto nobody = std::make_shared<const auth::Users>();
  auth::LoginRequest request;
  request.method = method;
  if (request.method == AuthMethod::pam) request.service = common_->pam_service;
  request.client = client;
  request.listener = listeners_[listener]->name;
  request.users = common_->users == nullptr ? nobody : common_->users;
  request.source = auth::source_of(client);
  request.shared_source = common_->forgives(client);
  request.remembered = common_->login_cache[static_cast<std::size_t>(request.method)];
  return request;
}

// The users may have changed while the password was verified: who is gone by then was never here. A ticket's user has
// its groups from there.
std::optional<Identity> Worker::logged_in(const auth::Login& login, const auth::LoginRequest& request) {
  if (login.remembered()) counters_.logins_remembered.add();
  if (login.reason() == Reason::auth_busy) counters_.auth_busy.add();
  if (login.reason() == Reason::auth_unavailable || login.reason() == Reason::auth_crashed) {
    counters_.auth_unavailable.add();
  }
  const bool groups_known = request.method != AuthMethod::gssapi;
  if (!login.identity() || (groups_known && common_->users == request.users)) return login.identity();
  return common_->renewed(*login.identity());
}

void Worker::penalise(const Address& client, Reason reason) noexcept {
  if (common_->penalties == nullptr || common_->forgives(client)) return;
  common_->penalties->add(client, auth::penalty_for(reason), engine_.now());
}

bool Worker::refuses(const Address& client) noexcept {
  const bool refused =
      common_->penalties != nullptr && !common_->forgives(client) && common_->penalties->refuses(client, engine_.now());
  if (refused) counters_.penalised.add();
  return refused;
}

// Descriptors or memory are exhausted. One waiting connection is turned away, so that its client learns of it; then
// nothing is accepted until something was freed or a moment has passed: never a spin (gate R6).
void Worker::pause_accept(Listener& listener) {
  counters_.accept_paused.add();
  engine_.shed_one(listener.socket);
  accept_paused_ = true;
  if (!accept_retry_.pending()) engine_.start_timer(accept_retry_, engine_.now() + limits::accept_retry);
}

void Worker::on_accept_retry(engine::Status status) {
  if (status == engine::Status::done) resume_accept();
  finish_if_drained();
}

void Worker::resume_accept() {
  if (!std::exchange(accept_paused_, false)) return;
  for (const auto& listener : listeners_) {
    if (listener->socket.is_open()) engine_.wait(listener->socket, engine::Interest::readable);
  }
}

void Worker::evict_oldest_half_open() {
  for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    if (!connection->half_open()) continue;
    counters_.evicted.add();
    return connection->end(Reason::no_resources);
  }
  if (http_->evict_oldest_waiting()) counters_.evicted.add();
}

// ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────

void Worker::released(Connection& connection) noexcept {
  (connection.previous_ != nullptr ? connection.previous_->next_ : first_) = connection.next_;
  (connection.next_ != nullptr ? connection.next_->previous_ : last_) = connection.previous_;
  --connections_;
  delete &connection;
  if (accept_paused_) resume_accept();
  finish_if_drained();
}

void Worker::http_released() noexcept {
  if (accept_paused_) resume_accept();
  finish_if_drained();
}

void Worker::tunnel_ended(const relay::TunnelEnd& end) noexcept {
  counters_.sessions_open.subtract();
  counters_.bytes_up.add(end.octets_up);
  counters_.bytes_down.add(end.octets_down);
  counters_.end(end.reason);
  if (stage_ != Stage::serving) ++(end.reason == Reason::drain ? drained_.reset : drained_.finished);
  auto* const info = static_cast<SessionInfo*>(end.context);
  if (reporter_ != nullptr) {
    observe::Record record{.event = observe::Event::session_end};
    record.reply = ReplyCode::succeeded;
    record.bytes_up = info->octets_up + end.octets_up;
    record.bytes_down = info->octets_down + end.octets_down;
    record.duration = engine_.now() - info->began;
    record.reason = end.reason;
    report(record, *info);
  }
  let_go(info);
  if (accept_paused_) resume_accept();
  finish_if_drained();
}

void Worker::request_seen(void* context, const wire::HttpSighting& request) noexcept {
  const std::string url = describe(request, common_->log_query);
  observe::Record record{.event = observe::Event::request};
  record.url = url;
  report(record, *static_cast<const SessionInfo*>(context));
}

void Worker::hello_seen(void* context, const wire::TlsClientHello& hello) noexcept {
  auto shown = std::make_unique<Shown>();
  shown->server_name = hello.server_name.substr(0, limits::name_octets_max + 1);  // a longer one is no name
  for (const std::string& protocol : hello.protocols) {
    if (shown->protocols.size() + 1 + protocol.size() > limits::record_alpn_octets_max) {
      shown->protocols += ",...";
      break;
    }
    if (!shown->protocols.empty()) shown->protocols += ',';
    shown->protocols += protocol;
  }
  static_cast<SessionInfo*>(context)->shown = std::move(shown);
}

relay::Watch Worker::watch_for(const SessionInfo* info) const noexcept {
  const bool asked = reporter_ != nullptr && info != nullptr && info->detail == policy::RecordDetail::url;
  return asked ? relay::Watch::requests_and_hello : relay::Watch::nothing;
}

Reason Worker::refusal() const noexcept {
  if (common_->sessions_exhausted()) return Reason::limit_sessions;
  return reporter_ != nullptr && reporter_->refuses() ? Reason::limit_accounting : Reason::none;
}

std::atomic<std::uint32_t>* Worker::sessions_of(std::size_t listener) noexcept {
  return listeners_[listener]->sessions;
}

const std::shared_ptr<const wire::PacFile>& Worker::pac_of(std::size_t listener) const noexcept {
  return listeners_[listener]->admission.pac;
}

// The common tunnel of a server without records costs no memory here: all that is known of it is its listener.
SessionInfo* Worker::keep(std::size_t listener, Claim claim, std::unique_ptr<SessionInfo> info) {
  if (info == nullptr && claim.is_plain()) {
    claim.leave_to_listener();
    return &listeners_[listener]->plain;
  }
  if (info == nullptr) info = std::make_unique<SessionInfo>();
  info->claim = std::move(claim);
  return info.release();
}

void Worker::let_go(SessionInfo* info) noexcept {
  Listener& listener = *listeners_[info->listener];
  if (info == &listener.plain) {
    listener.sessions->fetch_sub(1, std::memory_order_relaxed);
  } else {
    delete info;
  }
}

// ── quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// A tunnel may live for days and meet midnight while nothing else happens. The clock on the wall may be set, so that it
// is looked at now and then.
void Worker::watch_calendar() {
  const bool needed = common_->policy != nullptr && common_->policy->has_quotas();
  if (!needed || stage_ == Stage::stopping) return;
  const WallTime now = engine_.wall_now();
  usage_->roll_over(now);
  const Duration wait = std::min<Duration>(limits::quota_look, usage_->day_end() - now);
  engine_.start_timer(calendar_, engine_.now() + wait);
}

void Worker::on_calendar(engine::Status status) {
  if (status == engine::Status::done) watch_calendar();
  finish_if_drained();
}

void Worker::report(observe::Record& record, const SessionInfo& info) noexcept {
  complete(record, info);
  if (record.event == observe::Event::session_start) account(observe::AccountingKind::start, record);
  if (record.event == observe::Event::session_end) account(observe::AccountingKind::stop, record);
  if (is_recorded(record, info)) reporter_->report(record);
}

void Worker::account(observe::AccountingKind kind, const observe::Record& record) noexcept {
  if (!reporter_->account(kind, record)) counters_.accounting_lost.add();
}

// Nothing is moved by it, and what has not moved since the last time is passed over.
void Worker::account_open_sessions() {
  relay_.visit([this](void* context, std::uint64_t up, std::uint64_t down) {
    auto* const info = static_cast<SessionInfo*>(context);
    if (info == nullptr || std::exchange(info->octets_accounted, up + down) == up + down) return;
    observe::Record record;
    record.bytes_up = info->octets_up + up;
    record.bytes_down = info->octets_down + down;
    complete(record, *info);
    account(observe::AccountingKind::interim, record);
  });
  for (const Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    connection->account();
  }
  http_->account();
}

void Worker::on_interim(engine::Status status) {
  if (status == engine::Status::done && reporter_ != nullptr && common_->accounting_interim > Duration::zero()) {
    account_open_sessions();
    engine_.start_timer(interim_, engine_.now() + common_->accounting_interim);
  }
  finish_if_drained();
}

void Worker::complete(observe::Record& record, const SessionInfo& info) const noexcept {
  record.time = engine_.wall_now();
  record.session = info.id;
  record.listener = listeners_[info.listener]->name;
  record.client = info.client;
  record.protocol = info.protocol;
  record.command = info.command;
  record.user = info.user;
  record.announced_user = info.announced_user;
  record.method = info.method;
  // What is not to be recorded is only counted.
  if (is_recorded(record, info)) record.target = info.target;
  if (info.dialled.port != 0) {
    record.address = info.dialled;
    record.route = "direct";
  }
  if (!info.route.empty()) record.route = info.route;
  record.rule = info.rule;
  record.cache = info.cache;
  if (info.shown != nullptr) {
    if (record.url.empty()) record.url = info.shown->url;
    record.sni = info.shown->server_name;
    record.alpn = info.shown->protocols;
  }
}

// ── draining ────────────────────────────────────────────────────────────────────────────────────────────────────────

void Worker::request_drain() noexcept {
  drain_requested_.store(true);
  engine_.wake();
}

void Worker::request_stop() noexcept {
  stop_requested_.store(true);
  engine_.wake();
}

void Worker::publish(std::shared_ptr<const Common> common) {
  perform([this, common = std::move(common)] { adopt(common); });
}

void Worker::perform(std::function<void()> task) {
  {
    const std::scoped_lock lock(tasks_mutex_);
    tasks_.push_back(std::move(task));
  }
  engine_.wake();
}

Worker::Enforced Worker::adopt(std::shared_ptr<const Common> common) {
  const bool changed = common->generation != common_->generation;
  common_ = std::move(common);
  relay_.set_limits(relay_limits(*common_));
  upstreams_.use(common_->upstreams);
  watch_calendar();
  return changed && common_->enforce ? enforce() : Enforced{};
}

// A session sees the old policy or the new one, never some of each: those that began under the old one are decided
// again as a whole, or left to it as a whole.
Worker::Enforced Worker::enforce() {
  Enforced result;
  result.ended = relay_.end_if(
      [this](void* context) {
        const auto* const info = static_cast<const SessionInfo*>(context);
        const bool remembered = info != &listeners_[info->listener]->plain;
        return remembered && !still_allowed(*common_, info->grounds);
      },
      Reason::policy_changed);
  result.ended += http_->enforce();
  for (Connection* connection = first_; connection != nullptr;) {
    Connection* const next = connection->next_;  // ending one may release it
    if (!connection->enforce()) ++result.ended;
    connection = next;
  }
  result.kept = counters_.sessions_open.value();
  return result;
}

void Worker::on_wake(engine::Status) {
  std::vector<std::function<void()>> tasks;
  {
    const std::scoped_lock lock(tasks_mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
  if (verifier_ != nullptr) verifier_->collect();
  if (usage_->exceeded() != quotas_exceeded_) {
    quotas_exceeded_ = usage_->exceeded();
    relay_.end_exceeded();
    http_->end_exceeded();
  }
  if (stop_requested_.load()) {
    if (stage_ != Stage::stopping) end_everything();
  } else if (drain_requested_.load() && stage_ == Stage::serving) {
    stage_ = Stage::draining;
    close_listeners();
    udp_.refuse_other_targets();
    http_->drain();
    engine_.start_timer(drain_deadline_, engine_.now() + common_->limits.drain);
  }
  finish_if_drained();
}

void Worker::on_drain_deadline(engine::Status status) {
  if (status == engine::Status::done && stage_ == Stage::draining) end_everything();
  finish_if_drained();
}

void Worker::on_upstreams_quiet(engine::Status) {
  finish_if_drained();
}

void Worker::close_listeners() noexcept {
  for (const auto& listener : listeners_) {
    if (listener->socket.is_open()) engine_.close(listener->socket);
  }
  engine_.cancel(accept_retry_);
}

void Worker::end_everything() noexcept {
  stage_ = Stage::stopping;
  close_listeners();
  engine_.cancel(drain_deadline_);
  engine_.cancel(interim_);
  engine_.cancel(calendar_);
  upstreams_.stop(&upstreams_quiet_);
  relay_.end_all(Reason::drain);
  http_->end_all(Reason::drain);
  for (Connection* connection = first_; connection != nullptr;) {
    Connection* const next = connection->next_;  // ending one may release it
    connection->end(Reason::drain);
    connection = next;
  }
}

// The loop ends when nothing is left that could complete.
void Worker::finish_if_drained() noexcept {
  if (stage_ == Stage::serving || connections_ > 0 || http_->count() > 0 || relay_.tunnels() > 0) return;
  if (stage_ == Stage::draining) end_everything();
  for (const auto& listener : listeners_) {
    if (listener->socket.pending()) return;
  }
  if (!upstreams_.quiet() || upstreams_quiet_.pending() || accept_retry_.pending() || drain_deadline_.pending() ||
      interim_.pending() || calendar_.pending())
    return;
  engine_.on_wake(nullptr);
  engine_.stop();
}

std::string Worker::traces() const {
  std::string text;
  for (const Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    text += session::to_text(connection->trace());
  }
  return text;
}

}  // namespace stile::server
