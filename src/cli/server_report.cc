#include "cli/server_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "cli/table.h"
#include "observe/counters.h"

namespace stile::cli {
namespace {

using server::server_state_words;

// The worst one first, and for how long: that is what the table is read for.
std::string state_text(const server::UpstreamServer& one) {
  const std::uint64_t workers = std::accumulate(one.states.begin(), one.states.end(), std::uint64_t{0});
  std::string text;
  for (std::size_t i = one.states.size(); i-- > 0;) {
    if (one.states[i] == 0) continue;
    const bool first = text.empty();
    text += first ? "" : ", ";
    text += server_state_words[i];
    if (one.states[i] < workers) text += fmt::format(" in {}", one.states[i]);
    if (one.states[i] < workers && first) text += fmt::format(" of {}", workers);
    if (one.down && first) text += " for " + rough_text(*one.down);
  }
  return text;
}

std::string milliseconds_text(Duration latency) {
  const std::chrono::duration<double, std::milli> milliseconds = latency;
  return fmt::format("{:.{}f}", milliseconds.count(), milliseconds.count() < 9.95 ? 1 : 0);
}

std::string latency_text(const server::UpstreamServer& one) {
  if (!one.latency_least || !one.latency_most) return "-";
  const std::string least = milliseconds_text(*one.latency_least);
  const std::string most = milliseconds_text(*one.latency_most);
  return (least == most ? least : least + "-" + most) + " ms";
}

std::string failure_text(const server::UpstreamServer& one) {
  if (!one.last_failure) return "-";
  return fmt::format("{} ago: {}", rough_text(one.last_failure->ago), printable(one.last_failure->why));
}

std::string silence_text(std::uint64_t workers, std::uint64_t answered) {
  if (answered >= workers) return {};
  return fmt::format("{} of {} workers did not answer in time: what they know is missing here\n", workers - answered,
                     workers);
}

std::string_view help_of(std::string_view counter) {
  const auto row = std::ranges::find(observe::counter_table, counter, &observe::CounterInfo::name);
  return row == observe::counter_table.end() ? std::string_view() : row->help;
}

/// Its place in this version's table; what another version counts comes last.
std::size_t place_of(const server::NamedCount& one) {
  return static_cast<std::size_t>(std::ranges::find(observe::counter_table, one.name, &observe::CounterInfo::name) -
                                  observe::counter_table.begin());
}

void add_reasons(std::vector<TableLine>& lines, const std::vector<server::NamedCount>& counts, std::string_view what) {
  for (const server::NamedCount& one : counts) {
    lines.push_back({printable(one.name), fmt::format("{}", one.count), std::string(what)});
  }
}

std::string joined(const std::vector<std::string>& words, std::string_view otherwise) {
  if (words.empty()) return std::string(otherwise);
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + printable(word);
  return text;
}

}  // namespace

std::string upstreams_table(const server::UpstreamReport& report) {
  std::vector<TableLine> lines{
      {"upstream", "server", "state", "sessions", "opened", "failed", "latency", "last failure"}};
  for (const server::UpstreamServer& one : report.servers) {
    lines.push_back({printable(one.upstream), printable(one.server), state_text(one), fmt::format("{}", one.sessions),
                     fmt::format("{}", one.opened), fmt::format("{}", one.failed), latency_text(one),
                     failure_text(one)});
  }
  const std::string silence = silence_text(report.workers, report.answered);
  if (report.servers.empty() && silence.empty()) return "the server has no upstreams\n";
  return table_text(lines, "lllrrrrl") + silence;
}

std::string counters_table(const server::CounterReport& report) {
  std::vector<server::NamedCount> counters = report.counters;
  std::ranges::sort(counters, {}, [](const server::NamedCount& one) { return std::pair(place_of(one), one.name); });
  std::vector<TableLine> lines;
  for (const server::NamedCount& one : counters) {
    lines.push_back({printable(one.name), fmt::format("{}", one.count), std::string(help_of(one.name))});
  }
  add_reasons(lines, report.ended, "requests and sessions that ended so");
  add_reasons(lines, report.udp_drops, "datagrams dropped for that");
  std::string text = table_text(lines, "lrl");
  if (!report.resolvers.empty()) {
    std::vector<TableLine> resolvers{{"names", "resolver", "questions", "failures", "silences"}};
    for (const server::ResolverCounts& one : report.resolvers) {
      resolvers.push_back({joined(one.suffixes, "all others"), joined(one.servers, "/etc/resolv.conf"),
                           fmt::format("{}", one.questions), fmt::format("{}", one.failures),
                           fmt::format("{}", one.silences)});
    }
    text += "\n" + table_text(resolvers, "llrrr");
  }
  return text + silence_text(report.workers, report.answered);
}

}  // namespace stile::cli
