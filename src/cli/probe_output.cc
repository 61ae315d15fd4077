#include "cli/probe_output.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>
#include <variant>

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;

double milliseconds(wire::IcmpTime time) {
  return static_cast<double>(time.count()) / 1000.0;
}

std::string_view word(wire::PingTrouble trouble) {
  switch (trouble) {
    case wire::PingTrouble::net_unreachable:
      return "net unreachable";
    case wire::PingTrouble::host_unreachable:
      return "host unreachable";
    case wire::PingTrouble::admin_prohibited:
      return "admin prohibited";
    case wire::PingTrouble::ttl_expired:
      return "ttl expired";
  }
  return {};
}

std::string_view word(wire::TraceMark mark) {
  constexpr std::array<std::string_view, 5> words{"", "network", "host", "protocol", "prohibited"};
  return words[static_cast<std::size_t>(mark)];
}

std::string_view word(wire::TraceOutcome outcome) {
  constexpr std::array<std::string_view, 4> words{"reached", "hop limit", "unreachable", "ended"};
  return words[static_cast<std::size_t>(outcome)];
}

void add(Json& object, const std::optional<wire::IcmpDetail>& detail) {
  if (!detail) return;
  object["icmp_type"] = detail->type;
  object["icmp_code"] = detail->code;
}

Json object_of(const wire::PingStart& line) {
  return {{"event", "start"}, {"target", to_string(line.target)}, {"address", line.address.to_string()}};
}

Json object_of(const wire::PingAnswer& line) {
  Json object = {{"event", "answer"},
                 {"sequence", line.sequence},
                 {"from", line.from.to_string()},
                 {"ttl", line.ttl},
                 {"milliseconds", milliseconds(line.time)}};
  add(object, line.detail);
  return object;
}

Json object_of(const wire::PingTimeout& line) {
  return {{"event", "timeout"}, {"sequence", line.sequence}};
}

Json object_of(const wire::PingFailure& line) {
  Json object = {
      {"event", "error"}, {"sequence", line.sequence}, {"from", line.from.to_string()}, {"error", word(line.trouble)}};
  add(object, line.detail);
  return object;
}

Json object_of(const wire::PingTitle&) {
  return nullptr;  // says nothing that the statistics do not
}

Json object_of(const wire::PingCounts& line) {
  return {{"event", "statistics"},
          {"sent", line.sent},
          {"received", line.received},
          {"milliseconds", line.elapsed.count()}};
}

Json object_of(const wire::PingTimes& line) {
  return {{"event", "times"},
          {"min_milliseconds", milliseconds(line.shortest)},
          {"avg_milliseconds", milliseconds(line.mean)},
          {"max_milliseconds", milliseconds(line.longest)},
          {"mdev_milliseconds", milliseconds(line.deviation)}};
}

Json object_of(const wire::TraceStart& line) {
  return {{"event", "start"},
          {"target", to_string(line.target)},
          {"address", line.address.to_string()},
          {"hops_max", line.hops_max}};
}

Json object_of(const wire::TraceHop& line) {
  Json probes = Json::array();
  for (const auto& probe : line.probes) {
    if (!probe) {
      probes.push_back(nullptr);
      continue;
    }
    Json object = {{"from", probe->from.to_string()}};
    if (probe->name) object["name"] = probe->name->text();
    object["milliseconds"] = milliseconds(probe->time);
    if (probe->mark != wire::TraceMark::none) object["unreachable"] = word(probe->mark);
    add(object, probe->detail);
    probes.push_back(std::move(object));
  }
  return {{"event", "hop"}, {"hop", line.hop}, {"probes", std::move(probes)}};
}

Json object_of(const wire::TraceEnd& line) {
  return {{"event", "end"}, {"outcome", word(line.outcome)}};
}

// One writer for both forms: a line is out before the next is read, and a reader that has gone ends the run.
bool put(std::FILE* out, std::string_view line) {
  const std::string text = std::string(line) + "\n";
  return std::fwrite(text.data(), 1, text.size(), out) == text.size() && std::fflush(out) == 0;
}

class TextOutput final : public client::ProbeShow {
 public:
  TextOutput(const ProbeOutputOptions& options, std::FILE* out, std::FILE* err) noexcept
      : options_(options), out_(out), err_(err) {}

  bool granted(const Endpoint& proxy, const wire::AddressField& bound) override {
    if (!options_.verbose) return true;
    const auto source = bound.target();
    const std::string from = source ? to_string(source->host) : "an address that it does not tell";
    return put(err_, fmt::format("stile: the proxy at {} sends from {}", proxy.to_string(), from));
  }

  bool line(const wire::IcmpLine& line) override {
    if (options_.quiet && is_event(line)) return true;
    std::string text = wire::encode_icmp_line(line);
    text.resize(text.size() - 2);  // its CR LF
    // As ping does, an empty line stands before the statistics.
    if (std::holds_alternative<wire::PingTitle>(line)) text.insert(0, "\n");
    return put(out_, text);
  }

  bool text(std::string_view line) override { return options_.quiet || put(out_, line); }

 private:
  static bool is_event(const wire::IcmpLine& line) {
    return std::holds_alternative<wire::PingAnswer>(line) || std::holds_alternative<wire::PingTimeout>(line) ||
           std::holds_alternative<wire::PingFailure>(line);
  }

  ProbeOutputOptions options_;
  std::FILE* out_;
  std::FILE* err_;
};

class JsonOutput final : public client::ProbeShow {
 public:
  explicit JsonOutput(std::FILE* out) noexcept : out_(out) {}

  bool granted(const Endpoint& proxy, const wire::AddressField& bound) override {
    Json object = {{"event", "granted"}, {"proxy", proxy.to_string()}};
    if (const auto source = bound.target()) object["source"] = to_string(source->host);
    return put(out_, object.dump());
  }
  bool line(const wire::IcmpLine& line) override {
    const std::string text = as_json(line);
    return text.empty() || put(out_, text);
  }
  bool text(std::string_view line) override { return put(out_, Json{{"event", "text"}, {"text", line}}.dump()); }

 private:
  std::FILE* out_;
};

}  // namespace

std::string as_json(const wire::IcmpLine& line) {
  const Json object = std::visit([](const auto& one) { return object_of(one); }, line);
  return object.is_null() ? std::string() : object.dump();
}

std::unique_ptr<client::ProbeShow> make_probe_output(const ProbeOutputOptions& options, std::FILE* out,
                                                     std::FILE* err) {
  if (options.json) return std::make_unique<JsonOutput>(out);
  return std::make_unique<TextOutput>(options, out, err);
}

}  // namespace stile::cli
