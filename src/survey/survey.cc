#include "survey/survey.h"

#include <array>
#include <string>
#include <utility>

#include "policy/classes.h"
#include "resolve/caching_resolver.h"
#include "resolve/cares_resolver.h"
#include "server/through_upstreams.h"
#include "survey/questions.h"
#include "sys/main_loop.h"
#include "sys/process_limits.h"
#include "wire/socks5.h"

namespace stile::survey {
namespace {

std::string way_text(const route::UpstreamPlans& upstreams) {
  std::string way;
  for (const auto& upstream : upstreams) {
    way += (way.empty() ? "" : " > ") + upstream->hops.front().url.to_string();
  }
  return way;
}

/// The first proxy is reached, and this host has an address that it may reach.
bool ask_reach(Case& about) {
  Stopper stopper(about.ground.engine);
  const route::Hop& first = *about.ground.hops.front();
  route::Approach approach(about.ground.engine, about.ground.resolver);
  approach.bind<&Stopper::on_done>(&stopper);
  approach.start(first, route::dial_limits(first, limits::connect_total), {});
  about.ground.finish(approach);
  const route::Trouble& trouble = approach.trouble();
  if (trouble.obstacle != route::Obstacle::none) {
    about.report.add("proxy", "reached", Answer::no, route::explain(trouble).why);
    return false;
  }
  about.proxy = approach.peer();
  about.report.add("proxy", "reached", Answer::yes, about.proxy->to_string());
  if (!about.plan.callback) return true;
  const auto own = about.ground.engine.source_towards(about.proxy->address);
  if (own) about.callback = Callback::open(about.ground.engine, *own);
  return true;
}

void ask_all(Case& about) {
  if (!ask_reach(about) || !ask_tls(about)) return;
  ask_methods(about);
  ask_connect(about);
  ask_protocols(about);
  ask_bind(about);
  ask_associate(about);
  ask_lookup(about);
  ask_probes(about);
  ask_replies(about);
  ask_targets(about);
  ask_haste(about);
  ask_outward(about);
  measure(about);
}

/// What the questions were about, in the order of a reader; they are asked in another one, since some build on others.
void put_in_order(Report& report) {
  std::vector<Finding> ordered;
  for (const std::string_view group :
       {"proxy", "tls", "methods", "protocols", "commands", "udp", "replies", "targets", "haste", "outward"}) {
    for (Finding& one : report.findings) {
      if (one.group == group) ordered.push_back(std::move(one));
    }
  }
  report.findings = std::move(ordered);
}

/// What is chosen of these methods; absent: no SOCKS5 is spoken.
std::optional<wire::Method> chosen(const Ground& ground, std::span<const wire::Method> offered) {
  Stream stream(ground);
  if (!approach(ground, stream)) return std::nullopt;
  if (ground.proxy().url.protection == wire::ProxyProtection::tls) {
    stream.line().protect(ground.proxy().tls->connect(ground.proxy().url.server.host));
    if (!stream.establish()) return std::nullopt;
  }
  if (!stream.send(wire::encode_greeting(offered).octets())) return std::nullopt;
  const auto answer = wire::decode_method_choice(stream.receive_all(2));
  const auto* const parsed = std::get_if<wire::Parsed<wire::MethodChoice>>(&answer);
  if (parsed == nullptr) return std::nullopt;
  return parsed->value.method;
}

std::string method_text(wire::Method method) {
  switch (method) {
    case wire::Method::none:
      return "no authentication";
    case wire::Method::gssapi:
      return "GSSAPI";
    case wire::Method::password:
      return "password";
    case wire::Method::no_acceptable:
      return "none of them";
  }
  return "a method that was not offered";
}

}  // namespace

Result<Report> run_survey(const Plan& plan) {
  sys::ignore_broken_pipes();
  (void)sys::raise_descriptor_limit();
  auto engine = engine::EpollEngine::create();
  if (!engine) return std::unexpected(engine.error());
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return std::unexpected(dns.error());
  Report report{.proxy = way_text(plan.upstreams)};
  resolve::CachingResolver resolver(**engine, **dns, {.hosts_path = "/etc/hosts"});
  const Ground ground{**engine, resolver, server::hops_of(plan.upstreams)};
  {
    Case about{.ground = ground, .plan = plan, .report = report};
    ask_all(about);
  }
  put_in_order(report);
  Stopper stopper(**engine);
  engine::Operation closed;
  closed.bind<&Stopper::on_done>(&stopper);
  resolver.close(closed);
  (*engine)->run();
  return report;
}

bool basics_work(const Report& report, const Plan& plan) {
  const Finding* const connect = report.find("CONNECT");
  if (connect == nullptr) return false;
  const bool tried = plan.callback || !plan.targets.empty();
  return connect->answer == Answer::yes || (!tried && connect->answer == Answer::untested);
}

// ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

// A login goes nowhere else where this one is not trusted: nothing more is asked.
bool ask_tls(Case& about) {
  const route::Hop& proxy = about.ground.proxy();
  if (proxy.url.protection != wire::ProxyProtection::tls) return true;
  Stream stream(about.ground);
  if (!approach(about.ground, stream)) {
    about.report.add("tls", "TLS", Answer::untested, "the proxies before it do not lead to it");
    return false;
  }
  auto look = proxy.tls->look(proxy.url.server.host);
  const protect::TlsTransform* const seen = look.get();
  stream.line().protect(std::move(look));
  if (!stream.establish()) {
    const Reason reason = stream.line().failure();
    about.report.add("tls", "TLS", Answer::no,
                     route::explain({.obstacle = route::Obstacle::protection, .reason = reason, .failure = {}}).why);
    return false;
  }
  const protect::TlsSight sight = seen->sight();
  about.report.add("tls", "TLS", Answer::yes, sight.version);
  const bool trusted = sight.verdict == Reason::none;
  std::string detail = sight.subject + ", until " + sight.expiry + ", from " + sight.issuer;
  if (!trusted) {
    detail +=
        "; " + route::explain({.obstacle = route::Obstacle::protection, .reason = sight.verdict, .failure = {}}).why;
  }
  about.report.add("tls", "certificate", trusted ? Answer::yes : Answer::no, std::move(detail));
  return trusted;
}

// ── methods ─────────────────────────────────────────────────────────────────────────────────────────────────────────

// Each is offered alone: what is chosen then is what there is. Nobody logs in here.
void ask_methods(Case& about) {
  if (about.ground.proxy().url.protocol != wire::ProxyProtocol::socks5) return;
  constexpr std::array all{wire::Method::none, wire::Method::password, wire::Method::gssapi};
  for (const wire::Method method : all) {
    const auto answer = chosen(about.ground, std::array{method});
    const bool taken = answer == method;
    std::string detail;
    if (!answer) detail = "it closed the connection, or does not speak SOCKS5";
    if (answer && !taken)
      detail = *answer == wire::Method::no_acceptable ? "" : "it chose another, which was not offered";
    about.report.add("methods", method_text(method), taken ? Answer::yes : Answer::no, std::move(detail));
  }
  const auto preferred = chosen(about.ground, all);
  const bool fits = preferred && std::ranges::find(all, *preferred) != all.end();
  about.report.add("methods", "choice of all three", fits ? Answer::yes : Answer::no,
                   preferred ? method_text(*preferred) : "it does not answer");
}

}  // namespace stile::survey
