#include "admin/control_message.h"

#include <nlohmann/json.hpp>

#include <vector>

namespace stile::admin {
namespace {

using Json = nlohmann::json;

// Whatever a message or a name holds, the line is one line of valid JSON.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Json parse_object(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  return json.is_object() ? json : Json();
}

std::uint64_t number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::vector<std::string> texts(const Json& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return texts;
  for (const Json& item : *found) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

}  // namespace

std::string to_line(Request) {
  return dump({{"request", "reload"}});
}

std::expected<Request, std::string> parse_request(std::string_view line) {
  const Json json = parse_object(line);
  if (json.is_null()) return std::unexpected("the request is no JSON object");
  const auto found = json.find("request");
  if (found == json.end() || !found->is_string() || *found != "reload") {
    return std::unexpected("the request is not known to this server");
  }
  return Request::reload;
}

std::string to_line(const Answer& answer) {
  if (!answer) {
    return dump({{"done", false},
                 {"bad_configuration", answer.error().bad_configuration},
                 {"messages", answer.error().messages}});
  }
  return dump({{"done", true},
               {"generation", answer->generation},
               {"sessions_ended", answer->ended},
               {"sessions_kept", answer->kept},
               {"notes", answer->notes}});
}

std::expected<Answer, std::string> parse_answer(std::string_view line) {
  const Json json = parse_object(line);
  const auto done = json.is_null() ? json.end() : json.find("done");
  if (json.is_null() || done == json.end() || !done->is_boolean()) {
    return std::unexpected("what answered is no server of this version");
  }
  if (done->get<bool>()) {
    return server::Reloaded{.generation = number(json, "generation"),
                            .ended = static_cast<std::size_t>(number(json, "sessions_ended")),
                            .kept = static_cast<std::size_t>(number(json, "sessions_kept")),
                            .notes = texts(json, "notes")};
  }
  const auto bad = json.find("bad_configuration");
  server::ReloadRefusal refusal{.bad_configuration = bad != json.end() && bad->is_boolean() && bad->get<bool>(),
                                .messages = texts(json, "messages")};
  if (refusal.messages.empty()) refusal.messages.emplace_back("the server does not say why");
  return Answer(std::unexpected(std::move(refusal)));
}

}  // namespace stile::admin
