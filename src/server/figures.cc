#include "server/figures.h"

#include <algorithm>
#include <string>

#include "base/reason.h"
#include "base/udp_drop.h"

namespace stile::server {
namespace {

ServerState state_of(const route::UpstreamGroup::Figures& figures) noexcept {
  switch (figures.state) {
    case route::MemberState::slow_start:
      return ServerState::slow_start;
    case route::MemberState::down:
      return ServerState::down;
    case route::MemberState::half_open:
      return ServerState::half_open;
    case route::MemberState::up:
      break;
  }
  return figures.successes == 0 && figures.failures == 0 ? ServerState::untried : ServerState::up;
}

void add(UpstreamServer& sum, const route::ServerFigures& one) {
  const route::UpstreamGroup::Figures& figures = one.figures;
  ++sum.states[static_cast<std::size_t>(state_of(figures))];
  sum.sessions += figures.sessions;
  sum.attempts += figures.attempts;
  sum.opened += figures.successes;
  sum.failed += figures.failures;
  sum.falls += figures.falls;
  if (figures.latency) {
    sum.latency_least = std::min(sum.latency_least.value_or(*figures.latency), *figures.latency);
    sum.latency_most = std::max(sum.latency_most.value_or(*figures.latency), *figures.latency);
  }
  if (one.down) sum.down = std::max(sum.down.value_or(*one.down), *one.down);
  const auto& failure = one.last_failure;
  if (failure && (!sum.last_failure || failure->ago < sum.last_failure->ago)) {
    sum.last_failure = UpstreamServer::Failure{
        .reason = std::string(token(failure->reason)), .why = failure->why, .ago = failure->ago};
  }
}

template <std::size_t Count, class Cause>
std::vector<NamedCount> those_that_were(const std::array<std::uint64_t, Count>& counts, Cause) {
  std::vector<NamedCount> named;
  for (std::size_t i = 0; i < Count; ++i) {
    if (counts[i] > 0) named.push_back({std::string(token(static_cast<Cause>(i))), counts[i]});
  }
  return named;
}

ResolverCounts counts_of(const resolve::NameService::Figures& figures) {
  ResolverCounts counts;
  for (const HostName& suffix : figures.suffixes) counts.suffixes.push_back(suffix.text());
  for (const resolve::DnsServer& server : figures.servers) counts.servers.push_back(server.to_string());
  return counts;
}

}  // namespace

UpstreamReport report_upstreams(std::size_t workers, const std::vector<std::vector<route::ServerFigures>>& answers) {
  UpstreamReport report{.workers = workers, .answered = answers.size(), .servers = {}};
  for (const auto& answer : answers) {
    std::size_t next = 0;  // where the server is expected: all workers have the same ones, but for a moment
    for (const route::ServerFigures& one : answer) {
      const auto is_it = [&](const UpstreamServer& known) {
        return known.upstream == one.upstream && known.server == one.server;
      };
      if (next >= report.servers.size() || !is_it(report.servers[next])) {
        const auto found = std::ranges::find_if(report.servers, is_it);
        next = static_cast<std::size_t>(found - report.servers.begin());
        if (found == report.servers.end()) {
          report.servers.emplace_back();
          report.servers.back().upstream = one.upstream;
          report.servers.back().server = one.server;
        }
      }
      add(report.servers[next++], one);
    }
  }
  return report;
}

CounterReport report_counters(std::size_t workers, const observe::Totals& totals,
                              const std::vector<std::vector<resolve::NameService::Figures>>& answers) {
  CounterReport report{.workers = workers,
                       .answered = answers.size(),
                       .counters = {},
                       .ended = those_that_were(totals.ended, Reason::none),
                       .udp_drops = those_that_were(totals.udp_drops, UdpDrop{}),
                       .resolvers = {}};
  for (std::size_t i = 0; i < totals.values.size(); ++i) {
    report.counters.push_back({std::string(observe::counter_table[i].name), totals.values[i]});
  }
  for (const auto& answer : answers) {
    for (const resolve::NameService::Figures& one : answer) {
      ResolverCounts counts = counts_of(one);
      const auto known = std::ranges::find_if(report.resolvers, [&](const ResolverCounts& sum) {
        return sum.suffixes == counts.suffixes && sum.servers == counts.servers;
      });
      ResolverCounts& sum = known != report.resolvers.end() ? *known : report.resolvers.emplace_back(std::move(counts));
      sum.questions += one.counted.questions;
      sum.failures += one.counted.failures;
      sum.silences += one.counted.silences;
    }
  }
  return report;
}

}  // namespace stile::server
