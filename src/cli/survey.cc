// stile test
#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/number.h"
#include "cli/client_command.h"
#include "cli/proxy_choice.h"
#include "cli/run.h"
#include "cli/table.h"
#include "policy/words.h"
#include "survey/survey.h"
#include "sys/errno_table.h"
#include "wire/proxy_url.h"

namespace stile::cli {
namespace {

std::expected<Target, std::string> parse_target(std::string_view flag, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto named = canonical_host(!bracketed && host.contains(':') ? std::string() : host);
  const auto port = colon == std::string::npos ? std::nullopt : whole_number<std::uint16_t>(text.substr(colon + 1));
  if (named && port && *port != 0) return Target{*named, *port};
  return std::unexpected(
      fmt::format("stile: cannot use {} {}: it is not HOST:PORT (write www.example:80)", flag, policy::quoted(text)));
}

/// All but the way. The error is a whole message.
std::expected<survey::Plan, std::string> plan_of(const Arguments& arguments) {
  survey::Plan plan{.callback = !arguments.has("--no-callback")};
  if (const auto given = arguments.flags.find("--target"); given != arguments.flags.end()) {
    for (const std::string& text : given->second) {
      auto target = parse_target("--target", text);
      if (!target) return std::unexpected(std::move(target.error()));
      plan.targets.push_back(*std::move(target));
    }
  }
  if (const auto text = arguments.value("--udp-target")) {
    auto target = parse_target("--udp-target", *text);
    if (!target) return std::unexpected(std::move(target.error()));
    plan.udp_target = *std::move(target);
  }
  if (const auto text = arguments.value("--dns")) {
    const auto host = canonical_host(*text);
    if (!host || !std::holds_alternative<HostName>(*host)) {
      return std::unexpected(fmt::format("stile: cannot use --dns {}: it is no name", policy::quoted(*text)));
    }
    plan.name = std::get<HostName>(*host);
  }
  return plan;
}

std::string_view word(survey::Answer answer) {
  switch (answer) {
    case survey::Answer::yes:
      return "yes";
    case survey::Answer::no:
      return "no";
    case survey::Answer::untested:
      return "not tested";
  }
  return {};
}

double milliseconds(Duration time) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(time).count()) / 1000.0;
}

std::string text_of(const survey::Report& report) {
  std::vector<TableLine> lines;
  std::string_view group;
  for (const survey::Finding& one : report.findings) {
    lines.push_back({one.group == group ? "" : std::string(one.group), printable(one.name),
                     std::string(word(one.answer)), printable(one.detail)});
    group = one.group;
  }
  if (const auto& latency = report.latency) {
    std::string detail = fmt::format("{:.2f} ms to connect, {:.2f} to be let in", milliseconds(latency->dial),
                                     milliseconds(latency->let_in));
    if (latency->through) {
      detail += fmt::format(", {:.2f} to its reply, {:.2f} there and back", milliseconds(latency->granted),
                            milliseconds(latency->round_trip));
    }
    lines.push_back({"latency", fmt::format("median of {}", latency->connections), "", detail});
  }
  return fmt::format("{}\n\n{}", report.proxy, table_text(lines, "llll"));
}

std::string json_of(const survey::Report& report, bool works) {
  nlohmann::ordered_json json{{"proxy", report.proxy}, {"works", works}, {"findings", nlohmann::ordered_json::array()}};
  for (const survey::Finding& one : report.findings) {
    nlohmann::ordered_json finding{{"group", one.group}, {"name", one.name}, {"answer", word(one.answer)}};
    if (!one.detail.empty()) finding["detail"] = one.detail;
    json["findings"].push_back(std::move(finding));
  }
  if (const auto& latency = report.latency) {
    json["latency_ms"] = {{"connect", milliseconds(latency->dial)}, {"let_in", milliseconds(latency->let_in)}};
    if (latency->through) {
      json["latency_ms"]["reply"] = milliseconds(latency->granted);
      json["latency_ms"]["round_trip"] = milliseconds(latency->round_trip);
    }
    json["latency_ms"]["connections"] = latency->connections;
  }
  return json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int run_survey(const Arguments& given, const Environment& environment) {
  auto plan = plan_of(given);
  if (!plan) return complain(plan.error(), exit_usage);
  for (const std::string& text : given.rest) {
    const auto url = wire::parse_proxy_url(text);
    if (url) continue;
    const wire::ProxyUrlError& error = url.error();
    return complain(fmt::format("stile: cannot use URL: at character {}: {} ({})", error.column, error.why, error.cure),
                    exit_usage);
  }
  Arguments arguments = given;
  if (!given.rest.empty()) arguments.flags["--via"] = given.rest;
  auto choices = choose_proxies(arguments, environment);
  if (!choices) return complain(choices.error(), exit_usage);
  warn(*choices, false);
  plan->upstreams = way_through(*std::move(choices));
  const auto report = survey::run_survey(*plan);
  if (!report) {
    return complain(fmt::format("stile: cannot test: {} (raise the process's limits)", sys::describe(report.error())),
                    exit_failed);
  }
  const bool works = survey::basics_work(*report, *plan);
  const std::string text = given.has("--json") ? json_of(*report, works) : text_of(*report);
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return works && written ? exit_done : exit_failed;
}

}  // namespace stile::cli
