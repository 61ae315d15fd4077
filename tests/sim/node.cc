#include "sim/node.h"

#include "auth/users.h"
#include "base/assert.h"
#include "sim/places.h"

namespace stile::sim_test {
namespace {

// The hash is never made: the verifier has a table of its own.
std::shared_ptr<const auth::Users> one_user() {
  auto users = auth::Users::parse(std::string(user) + ":$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW:");
  STILE_ASSERT(users.has_value());
  return std::make_shared<const auth::Users>(std::move(*users));
}

std::shared_ptr<const policy::Policy> compiled(std::string_view text, const route::UpstreamPlans& plans) {
  policy::Upstreams upstreams;
  for (const auto& plan : plans) upstreams[plan->settings.name] = {.takes_names = plan->settings.takes_names()};
  auto policy = policy::Policy::compile(text, {}, upstreams);
  STILE_ASSERT(policy.has_value());
  return std::make_shared<const policy::Policy>(std::move(*policy));
}

}  // namespace

Node::Node(engine::Engine& engine, const Settings& settings)
    : engine_(engine),
      places_(settings.places),
      admission_{.protocols = {},
                 .auth = {AuthMethod::none, AuthMethod::password},
                 .proxy_protocol_from = settings.proxy_protocol_from},
      names_(engine),
      resolver_(engine, names_, resolve::CachingResolver::Options{}),
      verifier_(engine, std::chrono::milliseconds(300), settings.busy_one_in) {
  closed_.bind<&Node::on_closed>(this);
  verifier_.add(std::string(user), std::string(password));
  auto common = std::make_shared<server::Common>();
  common->limits.drain = std::chrono::seconds(1);
  common->accounting_interim = std::chrono::seconds(7);
  common->policy = compiled(settings.rules, settings.upstreams);
  common->own.sockets = places_;
  common->live_sockets = std::make_shared<relay::LiveSockets>();
  common->probe_gate = std::make_shared<server::ProbeGate>();
  common->users = one_user();
  common->upstreams = settings.upstreams;
  common_ = std::move(common);
}

bool Node::start() {
  worker_ = std::make_unique<server::Worker>(engine_, resolver_, counters_, &ledger_, common_, &verifier_);
  bool listens = true;
  for (const Endpoint& place : places_) {
    if (!worker_->listen(place, false, admission_)) listens = false;
  }
  worker_->start();
  return listens;
}

void Node::reload(std::string_view decided_by, const route::UpstreamPlans& upstreams) {
  auto next = std::make_shared<server::Common>(*common_);
  ++next->generation;
  next->policy = compiled(decided_by, upstreams);
  next->upstreams = upstreams;
  common_ = std::move(next);
  if (worker_ != nullptr) worker_->publish(common_);
}

void Node::close_names() {
  resolver_.close(closed_);
}

}  // namespace stile::sim_test
