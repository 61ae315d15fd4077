// stile check
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/run.h"
#include "server/banner.h"
#include "sys/icmp_socket.h"
#include "sys/landlock.h"
#include "sys/net_probe.h"
#include "sys/own_addresses.h"

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Findings {
  int exit_code = exit_done;
  std::vector<Fault> errors;
  std::vector<Fault> warnings;
  std::vector<config::EffectiveValue> values;
};

bool may_probe() {
  return sys::icmp_access(Family::ipv4) != sys::IcmpAccess::none ||
         sys::icmp_access(Family::ipv6) != sys::IcmpAccess::none;
}

// Facts about this host, too, and where the files lie on it.
void add_sandbox_cautions(const Settings& settings, std::vector<Fault>& warnings) {
  if (settings.config.sandbox == config::Sandbox::off) return;
  if (sys::landlock_version() == 0) {
    const bool required = settings.config.sandbox == config::Sandbox::required;
    warnings.push_back({"", 0, 0,
                        fmt::format("warning: this kernel has no Landlock, or it is not enabled: {}",
                                    required ? "the server does not start, since `sandbox` is \"required\""
                                             : "the sandbox confines no files")});
  }
  for (const std::string& file : settings.files) {
    const std::string folder = file.substr(0, file.rfind('/') + 1);
    if (folder != "/" && folder != "/etc/") continue;
    warnings.push_back({"", 0, 0,
                        fmt::format("warning: the server may read whatever lies in {}, since {} lies there (give it a "
                                    "folder of its own, such as /etc/stile)",
                                    folder, file)});
  }
}

// Facts about this host and this user again.
void add_egress_cautions(const config::Config& config, std::vector<Fault>& warnings) {
  const server::EgressFacts host{
      .addresses = sys::own_addresses().value_or(std::vector<Cidr>()),
      .has_interface = sys::has_interface,
      .may_mark = sys::may_mark(),
      .mark_cure = "start the server as root, or with AmbientCapabilities=CAP_NET_RAW in its unit"};
  for (const server::Shortcoming& one : server::missing_egress(config, host)) {
    warnings.push_back({"", 0, 0, fmt::format("warning: {}: {} ({})", one.what, one.why, one.cure)});
  }
}

Findings findings_of(const Arguments& arguments, const Environment& environment) {
  Findings findings;
  const auto settings = load_settings(arguments, environment);
  if (!settings) {
    findings.exit_code = settings.error().exit_code;
    findings.errors = settings.error().faults;
    return findings;
  }
  for (std::string& message : config::exposures(settings->config)) {
    findings.errors.push_back({"", 0, 0, std::move(message)});
    findings.exit_code = exit_configuration;
  }
  for (Fault& fault : failed_expectations(*settings)) {
    findings.errors.push_back(std::move(fault));
    findings.exit_code = exit_configuration;
  }
  for (config::ConfigError& caution : config::cautions(settings->config)) {
    const std::string file = caution.line == 0 ? "" : settings->file;
    findings.warnings.push_back({file, caution.line, caution.column, "warning: " + caution.message});
  }
  if (settings->users != nullptr && settings->users->costs().size() > 1) {
    std::string costs;
    for (const auth::HashCost& cost : settings->users->costs()) {
      costs += fmt::format("{}{} has {}", costs.empty() ? "" : ", ", cost.cost, cost.records);
    }
    findings.warnings.push_back(
        {"", 0, 0,
         fmt::format("warning: the users' hashes have different costs ({}), so time tells known users from unknown "
                     "ones (set the passwords of the fewer anew: stile user passwd)",
                     costs)});
  }
  // A fact about this user, not about the file: the server may be another.
  if (!may_probe()) {
    findings.warnings.push_back({"", 0, 0,
                                 fmt::format("warning: PING and TRACEROUTE are answered 'general failure': the system "
                                             "gives this user no ICMP socket ({})",
                                             sys::icmp_access_cure)});
  }
  add_sandbox_cautions(*settings, findings.warnings);
  add_egress_cautions(settings->config, findings.warnings);
  findings.values = config::effective(settings->config);
  return findings;
}

Json to_json(const Fault& fault) {
  Json object = Json::object();
  if (!fault.file.empty()) {
    object["file"] = fault.file;
    object["line"] = fault.line;
    object["column"] = fault.column;
  }
  object["message"] = fault.message;
  return object;
}

std::string as_json(const Findings& findings, bool effective) {
  Json object = {{"ok", findings.exit_code == exit_done}, {"errors", Json::array()}, {"warnings", Json::array()}};
  for (const Fault& fault : findings.errors) object["errors"].push_back(to_json(fault));
  for (const Fault& fault : findings.warnings) object["warnings"].push_back(to_json(fault));
  if (effective) {
    object["effective"] = Json::object();
    for (const config::EffectiveValue& value : findings.values) {
      Json entry = {{"value", value.value}, {"origin", value.origin}};
      if (value.form != config::EffectiveValue::Form::text) entry["value"] = Json::parse(value.value);
      object["effective"][value.key] = std::move(entry);
    }
  }
  return object.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

// Lines that could stand in a file, each with where its value came from.
std::string effective_text(const std::vector<config::EffectiveValue>& values) {
  std::string text;
  for (const config::EffectiveValue& value : values) {
    const bool lines = value.value.find('\n') != std::string::npos;
    const std::string quoted = value.form != config::EffectiveValue::Form::text ? value.value
                               : lines                                          ? fmt::format("'''\n{}'''", value.value)
                                                                                : fmt::format("\"{}\"", value.value);
    text += fmt::format("{} = {}  # {}\n", value.key, quoted, value.origin);
  }
  return text;
}

}  // namespace

int run_check(const Arguments& arguments, const Environment& environment) {
  const Findings findings = findings_of(arguments, environment);
  const bool effective = arguments.has("--effective");
  if (arguments.has("--json")) {
    const int printed = print(Answer{as_json(findings, effective)});
    return printed == exit_done ? findings.exit_code : printed;
  }
  for (const Fault& fault : findings.errors) fmt::print(stderr, "{}\n", to_text(fault));
  for (const Fault& fault : findings.warnings) fmt::print(stderr, "{}\n", to_text(fault));
  if (findings.exit_code != exit_done) return findings.exit_code;
  return print(Answer{effective ? effective_text(findings.values) : "the configuration is good\n"});
}

}  // namespace stile::cli
