// The one file that knows the TOML library. It walks the tree once; what each value means is the key table's.
#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "base/nearest.h"
#include "config/config.h"
#include "config/keys.h"
#include "policy/words.h"

// Version 3.3 of the library asserts what a file may break, such as a table header that begins with no key ("[.a]").
// Without assertions it would take the condition for granted, so they are on in every build, and throw.
namespace stile::config {
namespace {
struct LibraryFault {};
// A function: where the library may not throw, the process ends, and that is no compile-time warning.
[[noreturn]] void library_fault() {
  throw LibraryFault{};
}
}  // namespace
}  // namespace stile::config
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : ::stile::config::library_fault())
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace stile::config {
namespace {

struct Place {
  int line = 0;
  int column = 0;
};

Place place_of(const toml::source_region& region) {
  return {static_cast<int>(region.begin.line), static_cast<int>(region.begin.column)};
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

// Where the octets of a multi-line string stand in the file. Exact for strings without escapes; a string with escapes
// has lines that stand nowhere, so a fault in it is placed at its first octet and counts its own lines.
class StringPlaces {
 public:
  StringPlaces(std::string_view file, Place opening) : opening_(opening) {
    const std::string_view rest = from(file, opening);
    const bool triple = rest.starts_with("'''") || rest.starts_with("\"\"\"");
    const std::size_t quotes = triple ? 3 : 1;
    exact_ = rest.starts_with("'") || !has_escapes(rest, quotes);
    first_ = {opening.line, opening.column + static_cast<int>(quotes)};
    // TOML drops a line break that follows the opening quotes at once.
    const std::string_view body = rest.substr(std::min(quotes, rest.size()));
    if (triple && (body.starts_with("\n") || body.starts_with("\r\n"))) first_ = {opening.line + 1, 1};
  }

  [[nodiscard]] int first_line() const { return first_.line; }

  [[nodiscard]] ConfigError at(int line, int column, std::string message) const {
    if (!exact_) {
      return {opening_.line, opening_.column, fmt::format("rules line {}, column {}: {}", line, column, message)};
    }
    if (line == 1) return {first_.line, first_.column + column - 1, std::move(message)};
    return {first_.line + line - 1, column, std::move(message)};
  }

 private:
  static std::string_view from(std::string_view file, Place place) {
    for (int line = 1; line < place.line; ++line) file.remove_prefix(std::min(file.find('\n'), file.size() - 1) + 1);
    // The library counts code points, this finds octets.
    for (int column = 1; column < place.column && !file.empty(); ++column) {
      file.remove_prefix(1);
      while (!file.empty() && (static_cast<unsigned char>(file.front()) & 0xC0) == 0x80) file.remove_prefix(1);
    }
    return file;
  }

  static bool has_escapes(std::string_view rest, std::size_t quotes) {
    const std::string_view closing = rest.substr(0, quotes);
    const std::size_t end = rest.find(closing, quotes);
    return rest.substr(0, end).find('\\') != std::string_view::npos;
  }

  Place opening_;
  Place first_;
  bool exact_ = false;
};

bool breaks_the_library(std::string_view text) {
  try {
    static_cast<void>(toml::parse(text));
  } catch (const toml::parse_error&) {  // it ends in the middle of something
  } catch (const LibraryFault&) {
    return true;
  }
  return false;
}

// The library does not say where: the shortest run of lines that breaks it ends with the line at fault. It reads front
// to back, so a search by halves finds that in a few parses.
int faulty_line(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n' || at + 1 == text.size()) ends.push_back(at + 1);
  }
  const auto first =
      std::ranges::partition_point(ends, [&](std::size_t end) { return !breaks_the_library(text.substr(0, end)); });
  return static_cast<int>(first - ends.begin()) + 1;
}

/// One walk over one file.
class Reader {
 public:
  Reader(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  std::expected<Config, std::vector<ConfigError>> read() {
    try {
      read_root(toml::parse(text_));
    } catch (const toml::parse_error& error) {
      const Place place = place_of(error.source());
      return std::unexpected(
          std::vector<ConfigError>{{place.line, place.column, fmt::format("not TOML: {}", error.description())}});
    } catch (const LibraryFault&) {
      return std::unexpected(std::vector<ConfigError>{{faulty_line(text_), 1, "not TOML: no key can begin so"}});
    }
    if (config_.listeners.empty()) config_.listeners = zero_configuration().listeners;
    if (errors_.empty()) errors_ = contradictions(config_);
    if (errors_.empty()) return std::move(config_);
    std::ranges::sort(errors_, {}, [](const ConfigError& e) { return std::tie(e.line, e.column, e.message); });
    return std::unexpected(std::move(errors_));
  }

 private:
  void fail(Place place, std::string message) { errors_.push_back({place.line, place.column, std::move(message)}); }

  void remember(std::string key, Place place) {
    config_.origins.insert_or_assign(std::move(key), Origin{Origin::Source::file, place.line, std::string(file_)});
  }

  void read_root(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key.str() == "listen") {
        read_listen(node);
      } else if (key.str() == "limits" || key.str() == "policy") {
        read_table(key, node);
      } else {
        read_value("", key, node);
      }
    }
  }

  void read_listen(const toml::node& node) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return fail(place_of(node.source()), "write [[listen]], in two brackets, for each listener");
    for (const toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (table == nullptr) {
        fail(place_of(element.source()), fmt::format("expected a [[listen]] table, not {}", type_name(element)));
        continue;
      }
      if (!table->contains("address")) fail(place_of(element.source()), "[[listen]] has no 'address'");
      for (const auto& [key, value] : *table) read_value("listen", key, value);
    }
  }

  void read_table(const toml::key& key, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return fail(place_of(node.source()), fmt::format("'{0}' is a table: write [{0}]", key.str()));
    }
    for (const auto& [name, value] : *table) read_value(key.str(), name, value);
    if (key.str() == "policy" && !table->contains("rules")) {
      fail(place_of(key.source()), "[policy] has no 'rules': nobody could go anywhere");
    }
  }

  void read_value(std::string_view table, const toml::key& name, const toml::node& node) {
    const Key* key = find_key(table, name.str());
    if (key == nullptr) return fail(place_of(name.source()), unknown(table, name.str()));
    const Place place = place_of(node.source());
    switch (key->type) {
      case KeyType::address:
        return read_address(*key, node, place);
      case KeyType::rules:
        return read_rules(*key, node, place);
      case KeyType::number:
        if (!node.is_integer()) return wrong_type(*key, node, "a whole number without quotes");
        return stored(*key, place, store_number(*key, node.ref<std::int64_t>(), config_));
      default:
        if (!node.is_string()) return wrong_type(*key, node, fmt::format("a string such as {}", key->example));
        return stored(*key, place, store_text(*key, node.ref<std::string>(), config_));
    }
  }

  void stored(const Key& key, Place place, const std::expected<void, std::string>& result) {
    if (!result) return fail(place, fmt::format("{}: {}", path(key), result.error()));
    remember(path(key), place);
  }

  void wrong_type(const Key& key, const toml::node& node, std::string_view expected) {
    fail(place_of(node.source()), fmt::format("{}: expected {}, not {}", path(key), expected, type_name(node)));
  }

  void read_address(const Key& key, const toml::node& node, Place place) {
    if (!node.is_string()) return wrong_type(key, node, fmt::format("a string such as {}", key.example));
    const auto address = parse_listen_address(node.ref<std::string>());
    if (!address) return fail(place, fmt::format("{}: {}", path(key), address.error()));
    remember(fmt::format("listen[{}].address", config_.listeners.size()), place);
    config_.listeners.push_back({.address = *address});
  }

  void read_rules(const Key& key, const toml::node& node, Place place) {
    if (!node.is_string()) return wrong_type(key, node, "a string between '''");
    const std::string& rules = node.ref<std::string>();
    const StringPlaces places(text_, place);
    auto policy = policy::Policy::compile(rules);
    if (!policy) {
      for (const policy::RuleError& e : policy.error()) errors_.push_back(places.at(e.line, e.column, e.message));
      return;
    }
    config_.policy = std::make_shared<const policy::Policy>(std::move(*policy));
    config_.policy_rules = rules;
    config_.policy_rules_line = places.first_line();
    remember(path(key), place);
  }

  // "unknown key 'adress' (did you mean 'address'?)"; a key that stands in another table is named with it.
  static std::string unknown(std::string_view table, std::string_view name) {
    std::vector<std::string_view> known;
    std::vector<std::string> elsewhere;
    for (const Key& key : keys()) {
      if (key.table == table) known.push_back(key.name);
      if (key.table != table && key.name == name) elsewhere.push_back(path(key));
    }
    if (table.empty()) {
      for (const Table& other : tables()) {
        if (!other.name.empty()) known.push_back(other.name);
      }
    }
    const std::string place =
        table.empty() ? "" : fmt::format(" in {}", table == "listen" ? "[[listen]]" : fmt::format("[{}]", table));
    const std::string text = fmt::format("unknown key {}{}", policy::quoted(name), place);
    if (const auto near = nearest(name, known)) return fmt::format("{} (did you mean '{}'?)", text, *near);
    if (!elsewhere.empty()) return fmt::format("{} (did you mean '{}'?)", text, elsewhere.front());
    return text;
  }

  std::string_view text_;
  std::string_view file_;
  Config config_;
  std::vector<ConfigError> errors_;
};

}  // namespace

std::expected<Config, std::vector<ConfigError>> parse(std::string_view text, std::string_view file) {
  if (text.size() > limits::configuration_octets_max) {
    return std::unexpected(std::vector<ConfigError>{{1, 1, "the file is larger than 1 MiB"}});
  }
  return Reader(text, file).read();
}

}  // namespace stile::config
