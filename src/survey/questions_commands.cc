// Requests: CONNECT and who speaks it, BIND, RESOLVE, PING and TRACEROUTE, and whether the replies tell the truth.
#include <array>
#include <string>
#include <utility>

#include "base/loopback.h"
#include "client/direct.h"
#include "client/probe.h"
#include "route/told_place.h"
#include "survey/questions.h"
#include "sys/wait_any.h"
#include "wire/proxy_command.h"

namespace stile::survey {
namespace {

using wire::Command;
using wire::ProxyProtocol;

constexpr std::array<std::uint8_t, 16> sign{'s', 't', 'i', 'l', 'e', ' ', 't', 'e',
                                            's', 't', ' ', 'o', 'c', 't', 'e', 't'};
constexpr auto bind_wait = std::chrono::seconds(5);
constexpr auto spoken_wait = std::chrono::seconds(3);

bool is_answer(const route::Trouble& trouble, const Ground& ground) {
  return trouble.is_answer() && trouble.hop + 1 == ground.hops.size();
}

/// It has no such command, or its protocol has none.
bool lacks(const route::Trouble& trouble) {
  const session::ProxyFailure& failure = trouble.failure;
  const bool unknown = trouble.is_answer() && failure.protocol == ProxyProtocol::socks5 && failure.code == 0x07;
  return unknown || failure.fault == session::ProxyFault::no_such_command;
}

bool timed_out(const route::Trouble& trouble) {
  return trouble.obstacle == route::Obstacle::conversation && trouble.failure.fault == session::ProxyFault::timed_out;
}

std::string field_text(const wire::AddressField& field) {
  const auto target = field.target();
  return target ? target->to_string() : "nothing that can be read";
}

}  // namespace

std::string Case::why_no_callback() const {
  if (!plan.callback) return "it needs a listener of this host";
  if (callback == nullptr) return "this host cannot listen where the proxy would reach it";
  return "the proxy did not connect to this host";
}

Attempt Case::connect(const Target& target, bool echoes, std::span<const route::Hop* const> hops,
                      Duration limit) const {
  Stream stream(ground);
  Attempt result = attempt(ground, hops, {.target = target}, &stream, limit);
  if (!result.ok() || !echoes) return result;
  const Duration begun = sys::monotonic_now();
  const bool back = stream.send(sign) && std::ranges::equal(stream.receive_all(sign.size()), sign);
  result.round_trip = sys::monotonic_now() - begun;
  result.silent = !back;
  return result;
}

// ── CONNECT ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void ask_connect(Case& about) {
  Answer answer = Answer::untested;
  std::string detail = about.callback == nullptr ? about.why_no_callback() + " (or a --target)" : "";
  bool grants_emptily = false;  // a grant alone is worth nothing then
  if (about.callback != nullptr) {
    const Attempt back = about.connect(about.own(), true, about.ground.hops);
    about.reaches_callback = back.ok() && !back.silent;
    grants_emptily = back.ok() && back.silent;
    if (about.reaches_callback) {
      answer = Answer::yes;
      about.works = about.own();
      detail = "to a listener of this host, " + about.own().to_string() + ", and back";
    } else if (back.ok() || !is_answer(back.trouble, about.ground)) {
      answer = Answer::no;
      detail = back.ok() ? "it grants it, and nothing comes through" : back.text();
    } else {
      detail =
          "asked for " + about.own().to_string() + ", a listener of this host: " + back.text() + " (name a --target)";
    }
  }
  if (about.callback == nullptr && about.plan.targets.empty()) {
    const Attempt met = attempt(about.ground, about.ground.hops, {.target = {}, .only_meets = true});
    if (!met.ok()) {
      answer = Answer::no;
      detail = met.text();
    }
  }
  for (const Target& target : about.plan.targets) {
    const Attempt there = about.connect(target, false, about.ground.hops);
    if (!there.ok() && answer == Answer::untested) answer = Answer::no;
    if (there.ok() && answer != Answer::yes) about.works = target;
    if (there.ok() && !grants_emptily) answer = Answer::yes;
    detail += (detail.empty() ? "" : "; ") + target.to_string() + ": " + (there.ok() ? "granted" : there.text());
  }
  about.report.add("commands", "CONNECT", answer, std::move(detail));
}

namespace {

/// Whether what came is an answer of the protocol. `prompt`: where it is one, this request is answered soon.
Answer spoken_answer(const Attempt& there, bool prompt) {
  const session::ProxyFailure& failure = there.trouble.failure;
  const bool four = failure.protocol == ProxyProtocol::socks4;
  if (there.ok()) return Answer::yes;
  if (there.trouble.obstacle == route::Obstacle::target_family) return Answer::untested;
  if (there.trouble.obstacle != route::Obstacle::conversation) return Answer::no;
  switch (failure.fault) {
    case session::ProxyFault::refused:
      return four && (failure.code < 90 || failure.code > 93) ? Answer::no : Answer::yes;
    case session::ProxyFault::login_refused:
    case session::ProxyFault::no_method:
      return Answer::yes;
    case session::ProxyFault::timed_out:
      if (failure.awaited != session::Awaited::reply || prompt) return Answer::no;
      return failure.protocol == ProxyProtocol::socks5 ? Answer::yes : Answer::untested;  // it has let us in
    default:
      return Answer::no;
  }
}

}  // namespace

// What else is spoken on the port: the same request in each protocol. An answer to it is enough.
void ask_protocols(Case& about) {
  struct Spoken {
    ProxyProtocol protocol;
    bool names;
    const char* name;
  };
  constexpr std::array all{Spoken{ProxyProtocol::socks5, true, "SOCKS5"},
                           Spoken{ProxyProtocol::socks4, false, "SOCKS4"},
                           Spoken{ProxyProtocol::socks4, true, "SOCKS4a"}, Spoken{ProxyProtocol::http, true, "HTTP"}};
  const bool by_ticket = about.ground.proxy().url.protection == wire::ProxyProtection::gssapi;
  const Target target = about.works ? *about.works : Target{Address::v4(127, 0, 0, 1), 9};
  for (const Spoken& spoken : all) {
    if (by_ticket && spoken.protocol != ProxyProtocol::socks5) continue;
    route::Hop last = about.ground.proxy();
    last.url.protocol = spoken.protocol;
    last.url.resolves_names = spoken.names;
    if (spoken.protocol == ProxyProtocol::socks4) last.url.password.reset();
    const OtherWay way(about.ground, std::move(last));
    Target asked = target;
    // A name, so that it is SOCKS4a; by which name does not matter where only an answer is wanted.
    if (spoken.protocol == ProxyProtocol::socks4 && spoken.names) asked.host = *canonical_host("localhost");
    const Attempt there = about.connect(asked, false, way.hops(), spoken_wait);
    about.report.add("protocols", spoken.name, spoken_answer(there, about.works.has_value()),
                     there.ok() ? "" : there.text());
  }
}

// ── BIND ────────────────────────────────────────────────────────────────────────────────────────────────────────────

namespace {

/// Somebody comes to where the proxy listens, and is led here.
void visit(Case& about, route::Chain& chain, const Endpoint& place, std::string& detail, Answer& answer) {
  Stopper stopper(about.ground.engine);
  client::Direct direct(about.ground.engine, about.ground.resolver, {place.address, place.port});
  direct.bind<&Stopper::on_done>(&stopper);
  direct.start();
  about.ground.finish(direct);
  detail = "it listens at " + place.to_string();
  if (direct.reason() != Reason::none) {
    detail += ", which this host cannot reach";
    return;
  }
  Stream visitor(about.ground);
  direct.take(visitor.line());
  const auto own = about.ground.engine.local_endpoint(visitor.line().socket());
  chain.await_peer(bind_wait);
  about.ground.finish(chain);
  answer = Answer::no;
  if (chain.trouble().obstacle != route::Obstacle::none) {
    detail += ", and does not tell who came: " + route::explain(chain.trouble()).why;
    return;
  }
  Stream led(about.ground);
  chain.take(led.line());
  if (!visitor.send(sign) || !std::ranges::equal(led.receive_all(sign.size()), sign)) {
    detail += ", and nothing comes through";
    return;
  }
  answer = Answer::yes;
  const auto told = chain.bound().target();
  if (own && told != Target{own->address, own->port}) detail += "; it says that " + field_text(chain.bound()) + " came";
}

}  // namespace

void ask_bind(Case& about) {
  Stopper stopper(about.ground.engine);
  route::Chain chain(about.ground.engine, about.ground.resolver, about.ground.hops,
                     {.command = Command::bind, .target = {Address(), 0}});
  chain.bind<&Stopper::on_done>(&stopper);
  chain.start();
  about.ground.finish(chain);
  Answer answer = Answer::untested;
  std::string detail;
  if (chain.trouble().obstacle != route::Obstacle::none) {
    answer = Answer::no;
    detail = route::explain(chain.trouble()).why;
  } else {
    const auto place = route::told_place(chain.bound(), route::own_address(about.ground.hops, about.proxy->address));
    if (!place || place->port == 0) {
      answer = Answer::no;
      detail = "it does not say where it listens: " + field_text(chain.bound());
    } else {
      visit(about, chain, *place, detail, answer);
    }
  }
  about.report.add("commands", "BIND", answer, std::move(detail));
}

// ── RESOLVE, PING, TRACEROUTE ───────────────────────────────────────────────────────────────────────────────────────

void ask_lookup(Case& about) {
  const Host name = about.plan.name ? Host(*about.plan.name) : *canonical_host("localhost");
  const Attempt there = attempt(about.ground, about.ground.hops, {.command = Command::resolve, .target = {name, 0}});
  const std::string what = to_string(name);
  if (there.ok()) {
    // A proxy that takes any command for CONNECT tells its own end of a connection; a lookup has no port.
    const auto found = there.bound.target();
    const bool is_address = found && found->address() != nullptr && !found->address()->is_unspecified();
    const bool looked_up = is_address && found->port == 0;
    return about.report.add("commands", "RESOLVE", looked_up ? Answer::yes : Answer::no,
                            looked_up ? what + " is " + found->address()->to_string()
                                      : "its answer, " + field_text(there.bound) + ", is no lookup's");
  }
  const bool open = (is_answer(there.trouble, about.ground) && !lacks(there.trouble)) || timed_out(there.trouble);
  about.report.add("commands", "RESOLVE", open ? Answer::untested : Answer::no,
                   open ? what + ": " + there.text() + " (name another with --dns)" : there.text());
}

namespace {

/// Whatever it tells is not shown.
class Silent final : public client::ProbeShow {
 public:
  bool granted(const Endpoint&, const wire::AddressField&) override { return true; }
  bool line(const wire::IcmpLine&) override { return true; }
  bool text(std::string_view) override { return true; }
};

}  // namespace

void ask_probes(Case& about) {
  const bool known = about.callback != nullptr;
  for (const bool trace : {false, true}) {
    const char* const name = trace ? "TRACEROUTE" : "PING";
    const Address target = known ? about.callback->streams().address : Address::v4(127, 0, 0, 1);
    Silent show;
    Stopper stopper(about.ground.engine);
    client::Probe probe(about.ground.engine, about.ground.resolver, about.ground.hops,
                        {.trace = trace, .target = target, .flags = client::probe_no_names, .count = 1}, show);
    probe.bind<&Stopper::on_done>(&stopper);
    probe.start();
    about.ground.finish(probe);
    const route::Trouble& trouble = probe.connection();
    const std::string there = "of " + target.to_string();
    if (probe.result().succeeded) {
      about.report.add("commands", name, Answer::yes, there);
    } else if (trouble.obstacle == route::Obstacle::none || (is_answer(trouble, about.ground) && !lacks(trouble))) {
      const std::string why =
          trouble.obstacle == route::Obstacle::none ? "no answer came" : route::explain(trouble).why;
      about.report.add("commands", name, Answer::untested, there + ": " + why);
    } else {
      about.report.add("commands", name, Answer::no, route::explain(trouble).why);
    }
  }
}

// ── replies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

namespace {

/// The code that says it of a target, as far as the protocol has one: RFC 1928 section 6, RFC 9110 section 15.
bool says(const route::Trouble& trouble, std::uint16_t socks5, std::initializer_list<std::uint16_t> http) {
  const session::ProxyFailure& failure = trouble.failure;
  if (failure.protocol == ProxyProtocol::socks5) return failure.code == socks5;
  if (failure.protocol == ProxyProtocol::http) return std::ranges::find(http, failure.code) != http.end();
  return true;  // SOCKS4 has one code for all
}

void judge_reply(Case& about, const char* name, const Attempt& there, bool right) {
  if (there.ok()) return about.report.add("replies", name, Answer::no, "it grants the connection");
  const bool answered = is_answer(there.trouble, about.ground);
  const Answer otherwise = timed_out(there.trouble) ? Answer::untested : Answer::no;
  about.report.add("replies", name, answered && right ? Answer::yes : otherwise, there.text());
}

}  // namespace

void ask_replies(Case& about) {
  if (!about.reaches_callback) {
    about.report.add("replies", "refused connection", Answer::untested, about.why_no_callback());
  } else {
    const Endpoint& closed = about.callback->closed();
    const Attempt there = about.connect({closed.address, closed.port}, false, about.ground.hops);
    judge_reply(about, "refused connection", there, says(there.trouble, 0x05, {502, 503}));
  }
  route::Hop last = about.ground.proxy();
  if (last.url.protocol == ProxyProtocol::proxy_protocol) return;
  last.url.resolves_names = true;
  const OtherWay way(about.ground, std::move(last));
  const Attempt there = about.connect({*canonical_host("stile-test.invalid"), 80}, false, way.hops());
  judge_reply(about, "unknown name", there, says(there.trouble, 0x04, {502, 503, 504, 404}));
}

// ── targets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

namespace {

/// Of this host, where the proxy may reach it by IPv6; absent: there is none.
std::optional<Address> own_v6(const Case& about) {
  if (!about.plan.callback) return std::nullopt;
  if (is_loopback(about.proxy->address)) return Address::parse("::1");
  const auto own = about.ground.engine.source_towards(about.proxy->address.is_v4() ? *Address::parse("2001:db8::1")
                                                                                   : about.proxy->address);
  if (!own || is_loopback(*own)) return std::nullopt;
  return *own;
}

void ask_names(Case& about) {
  const route::Hop& proxy = about.ground.proxy();
  std::string leak;
  if (!proxy.url.resolves_names) leak = "by this scheme this host looks them up, and whoever it asks sees them";
  route::Hop last = proxy;
  last.url.resolves_names = true;
  const OtherWay way(about.ground, std::move(last));
  std::optional<Target> named;
  for (const Target& target : about.plan.targets) {
    if (target.host_name() != nullptr) named = target;
  }
  const bool at_home = about.reaches_callback && is_loopback(about.callback->streams().address);
  if (!named && at_home) named = Target{*canonical_host("localhost"), about.callback->streams().port};
  if (!named) {
    const std::string why = "no --target has a name";
    return about.report.add("targets", "names", Answer::untested, leak.empty() ? why : why + "; " + leak);
  }
  // Whichever of its addresses is tried.
  const auto twin = at_home && named->port == about.callback->streams().port
                        ? Callback::open(about.ground.engine, *Address::parse("::1"), named->port)
                        : nullptr;
  const bool echoes = at_home && *named == Target{*canonical_host("localhost"), about.callback->streams().port};
  const Attempt there = about.connect(*named, echoes, way.hops());
  std::string detail = named->to_string() + (there.ok() ? "" : ": " + there.text());
  if (there.ok() && there.silent) detail += ": it grants it, and nothing comes through";
  if (!leak.empty()) detail += "; " + leak;
  about.report.add("targets", "names", there.ok() && !there.silent ? Answer::yes : Answer::no, std::move(detail));
}

}  // namespace

void ask_targets(Case& about) {
  ask_names(about);
  const auto six = own_v6(about);
  const auto listener = six ? Callback::open(about.ground.engine, *six) : nullptr;
  std::optional<Target> target;
  if (listener != nullptr) target = Target{listener->streams().address, listener->streams().port};
  for (const Target& one : about.plan.targets) {
    if (one.address() != nullptr && !one.address()->is_v4()) target = one;
  }
  if (!target)
    return about.report.add("targets", "IPv6", Answer::untested, "there is no IPv6 target (name a --target)");
  const bool echoes = listener != nullptr && target->host == Host(listener->streams().address);
  const Attempt there = about.connect(*target, echoes, about.ground.hops);
  const bool works = there.ok() && !there.silent;
  const bool unable = there.trouble.obstacle == route::Obstacle::target_family ||
                      (there.trouble.failure.protocol == ProxyProtocol::socks5 && there.trouble.failure.code == 0x08);
  const Answer otherwise = unable || !echoes ? Answer::no : Answer::untested;
  about.report.add("targets", "IPv6", works ? Answer::yes : otherwise,
                   target->to_string() + (there.ok() ? "" : ": " + there.text()));
}

}  // namespace stile::survey
