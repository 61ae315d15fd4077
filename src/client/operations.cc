#include "client/operations.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "route/told_place.h"

namespace stile::client {
namespace {

// A peer comes when it comes; the operation's own limit says how long somebody waits for it.
constexpr auto peer_wait = std::chrono::hours(24 * 365);

/// The conversation may take as long as the whole operation, which has a limit of its own.
route::ChainLimits limits_of(const Plan& plan) noexcept {
  const Duration longest = plan.timeout().value_or(peer_wait);
  return {.dial = {.per_address = limits::connect_per_address, .total = longest, .stagger = limits::connect_stagger},
          .greeting = longest,
          .conversation = longest};
}

Failure canceled() {
  return {.code = STILE_ERROR_CANCELED, .system_error = ECANCELED, .text = "it was interrupted"};
}

Failure protocol_failure(const route::Hop& hop, std::size_t position, std::string_view why) {
  return {.code = STILE_ERROR_PROTOCOL,
          .system_error = EPROTO,
          .protocol = STILE_PROTOCOL_SOCKS5,
          .hop = static_cast<int>(position),
          .text = hop.url.to_string() + ": " + std::string(why)};
}

}  // namespace

// ── CONNECT ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ConnectOperation::ConnectOperation(const Ground& ground, const Target& target)
    : Operation(ground.engine, ground.owner), ground_(ground), target_(target) {}

void ConnectOperation::begin() {
  if (ground_.plan.no_proxy().covers(target_)) {
    direct_.emplace(engine_, ground_.resolver, target_);
    direct_->bind<&ConnectOperation::on_connected_directly>(this);
    return direct_->start();
  }
  chain_.emplace(engine_, ground_.resolver, ground_.plan.hops(), route::Ask{.target = target_},
                 limits_of(ground_.plan));
  chain_->bind<&ConnectOperation::on_connected>(this);
  chain_->start();
}

void ConnectOperation::give_up() noexcept {
  if (chain_) chain_->cancel();
  if (direct_) direct_->cancel();
}

void ConnectOperation::on_connected(engine::Status) {
  settle(failure_of(chain_->trouble(), ground_.plan.hops()));
}

void ConnectOperation::on_connected_directly(engine::Status) {
  settle(direct_failure(direct_->reason(), target_));
}

void ConnectOperation::take(protect::Line& into) noexcept {
  if (chain_) return chain_->take(into);
  direct_->take(into);
}

// ── BIND ────────────────────────────────────────────────────────────────────────────────────────────────────────────

Listening::Listening(const Ground& ground, const Target& from)
    : ground_(ground),
      chain_(ground.engine, ground.resolver, ground.plan.hops(),
             route::Ask{.command = wire::Command::bind, .target = from}, limits_of(ground.plan)) {
  chain_.bind<&Listening::on_changed>(this);
}

void Listening::await_peer() {
  awaits_ = true;
  chain_.await_peer(peer_wait);
}

void Listening::on_changed(engine::Status) {
  if (listens()) {
    place_ = route::told_place(chain_.bound(), route::own_address(ground_.plan.hops(), chain_.peer().address));
  }
  if (waiter_ != nullptr) waiter_->listening_changed();
}

void Listening::take(protect::Line& into) noexcept {
  taken_ = true;
  chain_.take(into);
}

std::optional<Endpoint> Listening::peer() const {
  return route::told_place(chain_.bound(), Address());
}

ListenOperation::ListenOperation(const Ground& ground, const Target& from)
    : Operation(ground.engine, ground.owner), listening_(std::make_shared<Listening>(ground, from)) {}

void ListenOperation::begin() {
  listening_->tell(this);
  listening_->start();
}

void ListenOperation::listening_changed() noexcept {
  listening_->tell(nullptr);
  settle(listening_->failure());
}

AcceptOperation::AcceptOperation(const Ground& ground, std::shared_ptr<Listening> listening)
    : Operation(ground.engine, ground.owner), listening_(std::move(listening)) {
  ready_.bind<&AcceptOperation::on_ready>(this);
}

void AcceptOperation::begin() {
  if (!listening_->awaits()) listening_->await_peer();
  if (!listening_->pending()) return engine_.post(ready_);
  listening_->tell(this);
}

void AcceptOperation::give_up() noexcept {
  given_up_ = true;
  listening_->tell(nullptr);
  if (!ready_.pending()) engine_.post(ready_);
}

void AcceptOperation::on_ready(engine::Status) {
  settle(given_up_ ? canceled() : listening_->failure());
}

void AcceptOperation::listening_changed() noexcept {
  listening_->tell(nullptr);
  settle(listening_->failure());
}

// ── RESOLVE ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ResolveOperation::ResolveOperation(const Ground& ground, const Host& subject)
    : Operation(ground.engine, ground.owner), ground_(ground), subject_(subject) {
  lookup_.bind<&ResolveOperation::on_looked_up>(this);
}

void ResolveOperation::begin() {
  const Target target{.host = subject_, .port = 0};
  if (ground_.plan.no_proxy().covers(target)) {
    if (const HostName* const name = target.host_name()) return ground_.resolver.resolve(lookup_, *name);
    return ground_.resolver.reverse(lookup_, *target.address());
  }
  const auto command = asks_for_name() ? wire::Command::resolve_ptr : wire::Command::resolve;
  chain_.emplace(engine_, ground_.resolver, ground_.plan.hops(), route::Ask{.command = command, .target = target},
                 limits_of(ground_.plan));
  chain_->bind<&ResolveOperation::on_answer>(this);
  chain_->start();
}

void ResolveOperation::give_up() noexcept {
  if (chain_) return chain_->cancel();
  ground_.resolver.cancel(lookup_);
}

void ResolveOperation::on_answer(engine::Status) {
  Failure failure = failure_of(chain_->trouble(), ground_.plan.hops());
  if (!failure.is_none()) return settle(std::move(failure));
  const auto answer = chain_->bound().target();
  const std::size_t last = ground_.plan.hops().size() - 1;
  const bool fits = answer && (answer->host_name() != nullptr) == asks_for_name();
  if (!fits) return settle(protocol_failure(*ground_.plan.hops()[last], last, "its answer is of another kind"));
  answer_ = answer->host;
  settle({});
}

void ResolveOperation::on_looked_up(engine::Status) {
  if (lookup_.canceled()) return settle(canceled());
  const resolve::Answer& answer = lookup_.answer();
  if (asks_for_name() && answer.name) {
    answer_ = *answer.name;
  } else if (!asks_for_name() && !answer.addresses.empty()) {
    answer_ = answer.addresses.front();
  } else {
    return settle(direct_failure(answer.reason, {.host = subject_, .port = 0}));
  }
  settle({});
}

// ── UDP ASSOCIATE ───────────────────────────────────────────────────────────────────────────────────────────────────

AssociateOperation::AssociateOperation(const Ground& ground) : Operation(ground.engine, ground.owner), ground_(ground) {
  unfit_.bind<&AssociateOperation::on_associated>(this);
}

AssociateOperation::~AssociateOperation() = default;

/// Datagrams are wrapped by the context of the stream beside them, which is in reach where that is the only protection.
std::optional<Failure> AssociateOperation::unfit() const {
  const auto hops = ground_.plan.hops();
  for (std::size_t i = 0; hops.size() > 1 && i < hops.size(); ++i) {
    if (hops[i]->url.protection != wire::ProxyProtection::gssapi) continue;
    return Failure{
        .code = STILE_ERROR_UNSUPPORTED,
        .system_error = EOPNOTSUPP,
        .hop = static_cast<int>(i),
        .text = hops[i]->url.to_string() + ": datagrams protected by Kerberos go through one proxy, not several"};
  }
  return std::nullopt;
}

void AssociateOperation::begin() {
  if (unfit()) return engine_.post(unfit_);
  const auto first = ground_.plan.hops().first(ways_.size() + 1);
  const route::Ask ask{.command = wire::Command::udp_associate, .target = {.host = Address(), .port = 0}};
  ways_.push_back(std::make_unique<route::Chain>(engine_, ground_.resolver, first, ask, limits_of(ground_.plan)));
  ways_.back()->bind<&AssociateOperation::on_associated>(this);
  ways_.back()->start();
}

void AssociateOperation::give_up() noexcept {
  given_up_ = true;
  if (!ways_.empty()) ways_.back()->cancel();
}

void AssociateOperation::on_associated(engine::Status) {
  if (given_up_) return settle(canceled());
  if (ways_.empty()) return settle(*unfit());
  const route::Chain& way = *ways_.back();
  Failure failure = failure_of(way.trouble(), ground_.plan.hops());
  if (!failure.is_none()) return settle(std::move(failure));
  if (auto misplaced = place_relay(way)) return settle(*std::move(misplaced));
  if (ways_.size() == ground_.plan.hops().size()) return settle({});
  begin();
}

/// Another address than the proxy's own would have datagrams sent to whom it likes.
std::optional<Failure> AssociateOperation::place_relay(const route::Chain& way) {
  const std::size_t position = relays_.size();
  const route::Hop& hop = *ground_.plan.hops()[position];
  const Host own = position == 0 ? Host(way.peer().address) : hop.url.server.host;
  auto told = way.bound().target();
  if (!told || told->port == 0) return protocol_failure(hop, position, "its relay has no address");
  if (told->address() != nullptr && told->address()->is_unspecified()) told->host = own;
  const bool nearest_is_named = position == 0 && told->address() == nullptr;
  const bool elsewhere = std::holds_alternative<Address>(own) && told->host != own;
  if (nearest_is_named || (elsewhere && !ground_.plan.any_relay())) {
    return protocol_failure(hop, position, "its relay is at another address than its own (STILE_ANY_RELAY takes that)");
  }
  relays_.push_back(*std::move(told));
  return std::nullopt;
}

// ── PING ────────────────────────────────────────────────────────────────────────────────────────────────────────────

PingOperation::PingOperation(const Ground& ground, const Host& target, std::uint32_t count)
    : Operation(ground.engine, ground.owner),
      ground_(ground),
      count_(count),
      probe_(ground.engine, ground.resolver, ground.plan.hops(), {.target = target, .count = count}, *this) {
  probe_.bind<&PingOperation::on_ended>(this);
}

Duration PingOperation::limit(Duration timeout, std::uint32_t count) noexcept {
  return timeout + count * Duration(limits::ping_interval) + limits::ping_wait;
}

/// The second word ends it at once.
void PingOperation::give_up() noexcept {
  given_up_ = true;
  probe_.interrupt();
  probe_.interrupt();
}

void PingOperation::on_ended(engine::Status) {
  if (given_up_) return settle(canceled());
  Failure failure = failure_of(probe_.connection(), ground_.plan.hops());
  if (!failure.is_none() || !echoes_.empty()) return settle(std::move(failure));
  const std::size_t last = ground_.plan.hops().size() - 1;
  const std::string& why = probe_.result().trouble.why;
  settle(protocol_failure(*ground_.plan.hops()[last], last, why.empty() ? "it told of no echo request" : why));
}

bool PingOperation::granted(const Endpoint&, const wire::AddressField&) {
  return true;
}

bool PingOperation::line(const wire::IcmpLine& line) {
  if (echoes_.size() == count_) return true;
  stile_echo echo{.sequence = 0, .microseconds = -1, .ttl = -1, .from = {}};
  const auto from = [&echo](const Address& address) { address.to_string().copy(echo.from, sizeof echo.from - 1); };
  if (const auto* const answer = std::get_if<wire::PingAnswer>(&line)) {
    echo.sequence = answer->sequence;
    echo.microseconds = static_cast<int>(answer->time.count());
    echo.ttl = answer->ttl;
    from(answer->from);
  } else if (const auto* const timeout = std::get_if<wire::PingTimeout>(&line)) {
    echo.sequence = timeout->sequence;
  } else if (const auto* const failed = std::get_if<wire::PingFailure>(&line)) {
    echo.sequence = failed->sequence;
    from(failed->from);
  } else {
    return true;
  }
  echoes_.push_back(echo);
  return true;
}

bool PingOperation::text(std::string_view) {
  return true;
}

}  // namespace stile::client
