#include "admin/control_message.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace stile::admin {
namespace {

using Json = nlohmann::json;             // what is read: a stranger's keys are looked up, not searched
using Ordered = nlohmann::ordered_json;  // what is said: its keys in the order that people read

// Whatever a message or a name holds, the line is one line of valid JSON.
std::string dump(const Ordered& json) {
  return json.dump(-1, ' ', true, Ordered::error_handler_t::replace);
}

Json parse_object(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  return json.is_object() ? json : Json();
}

std::uint64_t number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

/// Empty where there is none of that name.
const Json& array(const Json& json, const char* key) {
  static const Json none = Json::array();
  const auto found = json.find(key);
  return found != json.end() && found->is_array() ? *found : none;
}

std::vector<std::string> texts(const Json& json, const char* key) {
  std::vector<std::string> texts;
  for (const Json& item : array(json, key)) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

// In the order of Request.
constexpr std::array<std::string_view, 3> request_words{"reload", "upstreams", "counters"};

// ── what there is to say ────────────────────────────────────────────────────────────────────────────────────────────

// A time is whole seconds, or microseconds where it is a latency.
std::uint64_t seconds_of(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(duration).count());
}

std::uint64_t microseconds_of(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::microseconds>(duration).count());
}

/// Longer than a server can run; it bounds what a stranger says.
constexpr std::uint64_t seconds_max = 100ULL * 365 * 24 * 60 * 60;

template <class Unit>
std::optional<Duration> duration(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  constexpr std::uint64_t units_a_second = std::chrono::duration_cast<Unit>(std::chrono::seconds(1)).count();
  return Unit(static_cast<std::int64_t>(std::min(number(json, key), seconds_max * units_a_second)));
}

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Ordered to_json(const server::Reloaded& reloaded) {
  return {{"done", true},
          {"generation", reloaded.generation},
          {"sessions_ended", reloaded.ended},
          {"sessions_kept", reloaded.kept},
          {"notes", reloaded.notes}};
}

void parse(const Json& json, server::Reloaded& reloaded) {
  reloaded = {.generation = number(json, "generation"),
              .ended = static_cast<std::size_t>(number(json, "sessions_ended")),
              .kept = static_cast<std::size_t>(number(json, "sessions_kept")),
              .notes = texts(json, "notes")};
}

// ── upstreams ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// The numbers of a server, by their keys.
struct ServerNumber {
  const char* key;
  std::uint64_t server::UpstreamServer::* number;
};
constexpr std::array server_numbers{ServerNumber{"sessions", &server::UpstreamServer::sessions},
                                    ServerNumber{"attempts", &server::UpstreamServer::attempts},
                                    ServerNumber{"opened", &server::UpstreamServer::opened},
                                    ServerNumber{"failed", &server::UpstreamServer::failed},
                                    ServerNumber{"falls", &server::UpstreamServer::falls}};

Ordered to_json(const server::UpstreamServer& one) {
  Ordered json = {{"upstream", one.upstream}, {"server", one.server}, {"states", Ordered::object()}};
  for (std::size_t i = 0; i < one.states.size(); ++i) {
    if (one.states[i] > 0) json["states"][std::string(server::server_state_words[i])] = one.states[i];
  }
  for (const ServerNumber& each : server_numbers) json[each.key] = one.*each.number;
  if (one.latency_least) json["latency_least_us"] = microseconds_of(*one.latency_least);
  if (one.latency_most) json["latency_most_us"] = microseconds_of(*one.latency_most);
  if (one.down) json["down_seconds"] = seconds_of(*one.down);
  if (one.last_failure) {
    json["last_failure"] = {{"reason", one.last_failure->reason},
                            {"why", one.last_failure->why},
                            {"seconds_ago", seconds_of(one.last_failure->ago)}};
  }
  return json;
}

server::UpstreamServer server_of(const Json& json) {
  server::UpstreamServer one;
  one.upstream = text(json, "upstream");
  one.server = text(json, "server");
  if (const auto states = json.find("states"); states != json.end() && states->is_object()) {
    for (std::size_t i = 0; i < one.states.size(); ++i) {
      one.states[i] = number(*states, std::string(server::server_state_words[i]).c_str());
    }
  }
  for (const ServerNumber& each : server_numbers) one.*each.number = number(json, each.key);
  one.latency_least = duration<std::chrono::microseconds>(json, "latency_least_us");
  one.latency_most = duration<std::chrono::microseconds>(json, "latency_most_us");
  one.down = duration<std::chrono::seconds>(json, "down_seconds");
  if (const auto failure = json.find("last_failure"); failure != json.end() && failure->is_object()) {
    one.last_failure = server::UpstreamServer::Failure{
        .reason = text(*failure, "reason"),
        .why = text(*failure, "why"),
        .ago = duration<std::chrono::seconds>(*failure, "seconds_ago").value_or(Duration::zero())};
  }
  return one;
}

Ordered to_json(const server::UpstreamReport& report) {
  Ordered json = {
      {"done", true}, {"workers", report.workers}, {"answered", report.answered}, {"servers", Ordered::array()}};
  for (const server::UpstreamServer& one : report.servers) json["servers"].push_back(to_json(one));
  return json;
}

void parse(const Json& json, server::UpstreamReport& report) {
  report.workers = number(json, "workers");
  report.answered = number(json, "answered");
  for (const Json& one : array(json, "servers")) {
    if (one.is_object()) report.servers.push_back(server_of(one));
  }
}

// ── counters ────────────────────────────────────────────────────────────────────────────────────────────────────────

struct CounterPart {
  const char* key;
  std::vector<server::NamedCount> server::CounterReport::* counts;
};
constexpr std::array counter_parts{CounterPart{"counters", &server::CounterReport::counters},
                                   CounterPart{"ended", &server::CounterReport::ended},
                                   CounterPart{"udp_drops", &server::CounterReport::udp_drops}};

Ordered to_json(const server::CounterReport& report) {
  Ordered json = {{"done", true}, {"workers", report.workers}, {"answered", report.answered}};
  for (const CounterPart& part : counter_parts) {
    Ordered& counts = json[part.key] = Ordered::object();
    for (const server::NamedCount& one : report.*part.counts) counts[one.name] = one.count;
  }
  Ordered& resolvers = json["resolvers"] = Ordered::array();
  for (const server::ResolverCounts& one : report.resolvers) {
    resolvers.push_back({{"suffixes", one.suffixes},
                         {"servers", one.servers},
                         {"questions", one.questions},
                         {"failures", one.failures},
                         {"silences", one.silences}});
  }
  return json;
}

void parse(const Json& json, server::CounterReport& report) {
  report.workers = number(json, "workers");
  report.answered = number(json, "answered");
  for (const CounterPart& part : counter_parts) {
    const auto counts = json.find(part.key);
    if (counts == json.end() || !counts->is_object()) continue;
    for (const auto& [name, count] : counts->items()) {
      if (count.is_number_unsigned()) (report.*part.counts).push_back({name, count.template get<std::uint64_t>()});
    }
  }
  for (const Json& one : array(json, "resolvers")) {
    if (!one.is_object()) continue;
    report.resolvers.push_back({.suffixes = texts(one, "suffixes"),
                                .servers = texts(one, "servers"),
                                .questions = number(one, "questions"),
                                .failures = number(one, "failures"),
                                .silences = number(one, "silences")});
  }
}

template <class Done>
std::string line_of(const Answer<Done>& answer) {
  if (answer) return dump(to_json(*answer));
  return dump({{"done", false},
               {"bad_configuration", answer.error().bad_configuration},
               {"messages", answer.error().messages}});
}

}  // namespace

std::string to_line(Request request) {
  return dump({{"request", request_words[static_cast<std::size_t>(request)]}});
}

std::expected<Request, std::string> parse_request(std::string_view line) {
  const Json json = parse_object(line);
  if (json.is_null()) return std::unexpected("the request is no JSON object");
  const auto found = std::ranges::find(request_words, text(json, "request"));
  if (found == request_words.end()) return std::unexpected("the request is not known to this server");
  return static_cast<Request>(found - request_words.begin());
}

std::string to_line(const Answer<server::Reloaded>& answer) {
  return line_of(answer);
}

std::string to_line(const Answer<server::UpstreamReport>& answer) {
  return line_of(answer);
}

std::string to_line(const Answer<server::CounterReport>& answer) {
  return line_of(answer);
}

template <class Done>
std::expected<Answer<Done>, std::string> parse_answer(std::string_view line) {
  const Json json = parse_object(line);
  const auto done = json.is_null() ? json.end() : json.find("done");
  if (json.is_null() || done == json.end() || !done->is_boolean()) {
    return std::unexpected("what answered is no server of this version");
  }
  if (done->get<bool>()) {
    Done what;
    parse(json, what);
    return what;
  }
  const auto bad = json.find("bad_configuration");
  server::Refusal refusal{.bad_configuration = bad != json.end() && bad->is_boolean() && bad->get<bool>(),
                          .messages = texts(json, "messages")};
  if (refusal.messages.empty()) refusal.messages.emplace_back("the server does not say why");
  return Answer<Done>(std::unexpected(std::move(refusal)));
}

template std::expected<Answer<server::Reloaded>, std::string> parse_answer(std::string_view line);
template std::expected<Answer<server::UpstreamReport>, std::string> parse_answer(std::string_view line);
template std::expected<Answer<server::CounterReport>, std::string> parse_answer(std::string_view line);

}  // namespace stile::admin
