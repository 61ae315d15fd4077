// How fast a proxy is, what may be sent before it has answered, and as whom its clients go out.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "survey/questions.h"

namespace stile::survey {
namespace {

using session::ClientSession;
using wire::ProxyProtocol;

constexpr unsigned rounds = 5;
constexpr std::array<std::uint8_t, 8> early{'t', 'o', 'o', ' ', 's', 'o', 'o', 'n'};

Duration median(std::vector<Duration> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// A conversation with the last proxy whose request is followed by octets for the target, before the reply.
class HastyTalk {
 public:
  HastyTalk(Stream& stream, const session::ProxyRequest& request) : stream_(stream), session_(request) {}

  /// True when it was granted.
  bool hold() {
    tell(ClientSession::Connected{});
    while (!over_) {
      if (!to_send_.empty() && !stream_.send(std::exchange(to_send_, {}))) return false;
      const auto octets = stream_.receive(wanted_);
      octets.empty() ? tell(ClientSession::ProxyFin{}) : tell(ClientSession::Received{octets});
    }
    return granted_;
  }

 private:
  void tell(const ClientSession::Event& event) {
    for (const ClientSession::Action& action : session_.handle(event)) {
      if (const auto* const send = std::get_if<ClientSession::Send>(&action)) {
        to_send_.assign(send->octets.begin(), send->octets.end());
        const bool asks = session_.phase() == session::ClientPhase::reply;
        if (asks) to_send_.insert(to_send_.end(), early.begin(), early.end());
      } else if (const auto* const read = std::get_if<ClientSession::Read>(&action)) {
        wanted_ = read->octets_max;
      } else {
        over_ = true;
        granted_ = std::holds_alternative<ClientSession::Finish>(action);
      }
    }
  }

  Stream& stream_;
  ClientSession session_;
  std::vector<std::uint8_t> to_send_;
  std::size_t wanted_ = 0;
  bool over_ = false;
  bool granted_ = false;
};

void ask_early_data(Case& about) {
  const route::Hop& proxy = about.ground.proxy();
  Stream stream(about.ground);
  bool works = approach(about.ground, stream);
  if (works && proxy.url.protection == wire::ProxyProtection::tls) {
    stream.line().protect(proxy.tls->connect(proxy.url.server.host));
    works = stream.establish();
  }
  if (works) {
    HastyTalk talk(stream,
                   {.protocol = proxy.url.protocol,
                    .target = about.own(),
                    .user = proxy.url.user ? std::string_view(*proxy.url.user) : std::string_view(),
                    .password = proxy.url.password ? std::string_view(*proxy.url.password) : std::string_view()});
    works = talk.hold() && std::ranges::equal(stream.receive_all(early.size()), early);
  }
  about.report.add(
      "haste", "early data", works ? Answer::yes : Answer::no,
      works ? "octets behind the request reach the target" : "octets behind the request are lost, or too much for it");
}

}  // namespace

void ask_haste(Case& about) {
  const route::Hop& proxy = about.ground.proxy();
  const bool by_ticket = proxy.url.protection == wire::ProxyProtection::gssapi;
  if (!about.reaches_callback || by_ticket) {
    const std::string why = by_ticket ? "GSSAPI takes its turns" : about.why_no_callback();
    about.report.add("haste", "pipelining", Answer::untested, why);
    about.report.add("haste", "early data", Answer::untested, why);
    return;
  }
  if (proxy.url.protocol == ProxyProtocol::socks5) {
    route::Hop last = proxy;
    last.pipelined = true;
    const OtherWay way(about.ground, std::move(last));
    const Attempt there = about.connect(about.own(), true, way.hops());
    const bool works = there.ok() && !there.silent;
    about.report.add("haste", "pipelining", works ? Answer::yes : Answer::no,
                     works ? "greeting, login and request at once" : there.text());
  }
  if (proxy.url.protocol != ProxyProtocol::proxy_protocol) ask_early_data(about);
}

void ask_outward(Case& about) {
  if (!about.reaches_callback) {
    return about.report.add("outward", "outward address", Answer::untested, about.why_no_callback());
  }
  const std::size_t before = about.callback->callers().size();
  const Attempt there = about.connect(about.own(), true, about.ground.hops);
  if (!there.ok() || there.silent || about.callback->callers().size() == before) {
    return about.report.add("outward", "outward address", Answer::untested, "it did not connect here this time");
  }
  const Endpoint seen = about.callback->callers().back();
  std::string detail = seen.address.to_string();
  const auto& senders = about.callback->senders();
  if (!senders.empty() && senders.back().address != seen.address) {
    detail += ", for datagrams " + senders.back().address.to_string();
  }
  const auto told = there.bound.target();
  const bool right = told && told->address() != nullptr && Endpoint{*told->address(), told->port} == seen;
  const ProxyProtocol protocol = about.ground.proxy().url.protocol;
  about.report.add("outward", "outward address", Answer::yes, detail);
  if (protocol == ProxyProtocol::http || protocol == ProxyProtocol::proxy_protocol) return;
  about.report.add("outward", "told in replies", right ? Answer::yes : Answer::no,
                   told ? told->to_string() : "nothing that can be read");
}

void measure(Case& about) {
  Latency latency;
  std::vector<Duration> dial;
  std::vector<Duration> let_in;
  std::vector<Duration> granted;
  std::vector<Duration> round_trip;
  for (unsigned i = 0; i < rounds; ++i) {
    const Attempt there = about.works ? about.connect(*about.works, about.reaches_callback, about.ground.hops)
                                      : attempt(about.ground, about.ground.hops, {.target = {}, .only_meets = true});
    if (!there.ok() || there.silent) continue;
    dial.push_back(there.dial);
    let_in.push_back(there.let_in);
    granted.push_back(there.granted);
    round_trip.push_back(there.round_trip);
  }
  if (dial.empty()) return;
  latency = {.dial = median(dial),
             .let_in = median(let_in),
             .granted = median(granted),
             .round_trip = median(round_trip),
             .through = about.reaches_callback,
             .connections = static_cast<unsigned>(dial.size())};
  about.report.latency = latency;
}

}  // namespace stile::survey
