#include "auth/command_line.h"

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/utf8.h"

namespace stile::auth {
namespace {

using nlohmann::json;

// Six octets for one are the most that JSON makes of it ("\u001f"), and all five fields are bounded.
constexpr std::size_t request_octets_max = 8 * limits::KiB;

/// Written here and not by the library, which would leave copies of the password behind.
class Line {
 public:
  // No copy is left where the octets moved to: they never move.
  Line() { octets_.reserve(request_octets_max); }

  void plain(std::string_view text) { octets_.insert(octets_.end(), text.begin(), text.end()); }
  void quoted(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    plain("\"");
    for (const char octet : text) {
      const auto value = static_cast<unsigned char>(octet);
      if (octet == '"' || octet == '\\') octets_.push_back('\\');
      if (value >= 0x20) {
        octets_.push_back(value);
      } else {
        plain("\\u00");
        octets_.push_back(static_cast<std::uint8_t>(digits[value >> 4]));
        octets_.push_back(static_cast<std::uint8_t>(digits[value & 15]));
      }
    }
    plain("\"");
  }
  [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(octets_); }

 private:
  std::vector<std::uint8_t> octets_;
};

std::optional<std::string> name_in(const json& value) {
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  return wire::is_name_for_back_ends(text) ? std::optional(text) : std::nullopt;
}

bool read_who(const json& object, CommandAnswer& answer) {
  if (const auto user = object.find("user"); user != object.end()) {
    answer.user = name_in(*user);
    if (!answer.user) return false;
  }
  const auto groups = object.find("groups");
  if (groups == object.end()) return true;
  if (!groups->is_array() || groups->size() > limits::user_groups_max) return false;
  for (const json& group : *groups) {
    auto name = name_in(group);
    if (!name) return false;
    answer.groups.push_back(std::move(*name));
  }
  return true;
}

}  // namespace

std::optional<std::vector<std::uint8_t>> write_command_request(const wire::HelperLogin& login) {
  if (!is_utf8(login.password)) return std::nullopt;
  Line line;
  line.plain("{\"id\":" + std::to_string(login.id) + ",\"user\":");
  line.quoted(login.user);
  line.plain(",\"password\":");
  line.quoted(login.password);
  line.plain(",\"client\":");
  line.quoted(is_utf8(login.client) ? login.client : "");
  line.plain(",\"listener\":");
  line.quoted(is_utf8(login.listener) ? login.listener : "");
  line.plain("}\n");
  return line.take();
}

std::optional<CommandAnswer> read_command_answer(std::string_view line) {
  if (line.size() > limits::command_line_octets_max) return std::nullopt;
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto id = object.find("id");
  const auto ok = object.find("ok");
  if (id == object.end() || !id->is_number_unsigned() || ok == object.end() || !ok->is_boolean()) return std::nullopt;
  CommandAnswer answer{.id = id->get<std::uint64_t>(), .accepted = ok->get<bool>(), .user = {}, .groups = {}};
  if (answer.accepted && !read_who(object, answer)) return std::nullopt;
  return answer;
}

}  // namespace stile::auth
