// stile user
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "auth/password_hash.h"
#include "auth/users_file.h"
#include "base/limits.h"
#include "cli/run.h"
#include "sys/errno_table.h"
#include "sys/terminal.h"

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int tries_max = 3;

int fail(int exit_code, std::string_view what, std::string_view why) {
  fmt::print(stderr, "stile: {}: {}\n", what, why);
  return exit_code;
}

int fail(const std::string& file, std::string_view what, const auth::UsersErrors& errors) {
  for (const auth::UsersError& error : errors) {
    if (error.line == 0) {
      fmt::print(stderr, "stile: {}: {}\n", what, error.message);
    } else {
      fmt::print(stderr, "{}:{}:{}: {}\n", file, error.line, error.column, error.message);
    }
  }
  return exit_failed;
}

// ── the password ────────────────────────────────────────────────────────────────────────────────────────────────────

std::string_view fault_of(const Secret& password) {
  if (password.empty()) return "the password is empty";
  if (password.reveal().find('\0') != std::string_view::npos) return "the password holds a NUL octet";
  return {};
}

std::string_view words_of(sys::NoLine why) {
  switch (why) {
    case sys::NoLine::ended:
      return "standard input ends before it";
    case sys::NoLine::interrupted:
      return "interrupted";
    case sys::NoLine::too_long:
      return "it is longer than 255 octets, which no client could send";
    case sys::NoLine::failed:
      return "it cannot be read";
  }
  return {};
}

std::expected<Secret, std::string_view> ask_twice(const std::string& name) {
  for (int i = 0; i < tries_max; ++i) {
    auto first =
        sys::ask_secret(sys::standard_input, fmt::format("Password for {}: ", name), limits::credential_octets_max);
    if (!first) return std::unexpected(words_of(first.error()));
    if (const std::string_view fault = fault_of(*first); !fault.empty()) {
      fmt::print(stderr, "{}\n", fault);
      continue;
    }
    const auto second = sys::ask_secret(sys::standard_input, "Once more: ", limits::credential_octets_max);
    if (!second) return std::unexpected(words_of(second.error()));
    if (first->reveal() == second->reveal()) return std::move(*first);
    fmt::print(stderr, "these are two different ones\n");
  }
  return std::unexpected("nothing usable was typed");
}

std::expected<Secret, std::string_view> read_password(const std::string& name) {
  if (sys::is_terminal(sys::standard_input)) return ask_twice(name);
  auto line = sys::read_secret_line(sys::standard_input, limits::credential_octets_max);
  if (!line) return std::unexpected(words_of(line.error()));
  if (const std::string_view fault = fault_of(*line); !fault.empty()) return std::unexpected(fault);
  return std::move(*line);
}

// Made before the file is locked: a person may take their time.
std::expected<std::string, std::string> new_hash(const std::string& name) {
  const auto password = read_password(name);
  if (!password) return std::unexpected(fmt::format("cannot take the password: {}", password.error()));
  auto hash = auth::make_hash(*password);
  if (!hash) return std::unexpected(fmt::format("cannot hash the password: {}", sys::describe(hash.error())));
  return std::move(*hash);
}

// ── the actions ─────────────────────────────────────────────────────────────────────────────────────────────────────

struct Task {
  std::string file;
  std::string name;
  std::vector<std::string> groups;
  bool json = false;
};

std::optional<std::string> fault_of(const Task& task) {
  if (auto judged = auth::judge_user_name(task.name); !judged) return std::move(judged.error());
  for (const std::string& group : task.groups) {
    if (auto judged = auth::judge_group_name(group); !judged) return std::move(judged.error());
  }
  return std::nullopt;
}

// A clash is told before anybody types a password; where two programs race, the edit itself finds it.
std::optional<auth::UsersErrors> refusal_to(const Task& task, auth::Missing missing, const auth::UsersEdit& edit) {
  const auto nothing = auth::dry_edit(task.file, missing, edit);
  return nothing ? std::nullopt : std::optional(nothing.error());
}

int add(const Task& task) {
  const std::string what = fmt::format("cannot add {}", task.name);
  auth::UserRecord record{.name = task.name, .hash = "!", .groups = task.groups, .expires = {}};
  const auth::UsersEdit edit = [&](const std::string& text) { return auth::add_user(text, record); };
  if (const auto refusal = refusal_to(task, auth::Missing::is_empty, edit)) return fail(task.file, what, *refusal);
  auto hash = new_hash(task.name);
  if (!hash) return fail(exit_failed, what, hash.error());
  record.hash = std::move(*hash);
  const auto edited = auth::edit_users_file(task.file, auth::Missing::is_empty, edit);
  return edited ? exit_done : fail(task.file, what, edited.error());
}

int passwd(const Task& task) {
  const std::string what = fmt::format("cannot set a password for {}", task.name);
  std::string hash = "!";
  const auth::UsersEdit edit = [&](const std::string& text) { return auth::change_hash(text, task.name, hash); };
  if (const auto refusal = refusal_to(task, auth::Missing::is_a_fault, edit)) return fail(task.file, what, *refusal);
  auto made = new_hash(task.name);
  if (!made) return fail(exit_failed, what, made.error());
  hash = std::move(*made);
  const auto edited = auth::edit_users_file(task.file, auth::Missing::is_a_fault, edit);
  return edited ? exit_done : fail(task.file, what, edited.error());
}

int remove(const Task& task) {
  const auto edited = auth::edit_users_file(task.file, auth::Missing::is_a_fault, [&](const std::string& text) {
    return auth::remove_user(text, task.name);
  });
  return edited ? exit_done : fail(task.file, fmt::format("cannot remove {}", task.name), edited.error());
}

std::string_view state_of(const auth::UserRecord& record, std::int64_t day) {
  if (record.hash.empty()) return "locked";
  return record.may_log_in(day) ? "active" : "expired";
}

int list(const Task& task) {
  const auto users = auth::load_users(task.file);
  if (!users) return fail(task.file, "cannot list the users", users.error());
  const auto now = std::chrono::system_clock::now();
  const auto day = std::chrono::floor<std::chrono::days>(now).time_since_epoch().count();
  if (task.json) {
    Json array = Json::array();
    for (const auth::UserRecord& record : users->records()) {
      array.push_back({{"name", record.name},
                       {"state", state_of(record, day)},
                       {"hash", record.hash.empty() ? std::string_view("none") : auth::scheme_name(record.hash)},
                       {"groups", record.groups}});
    }
    return print(Answer{array.dump(2, ' ', true, Json::error_handler_t::replace) + "\n"});
  }
  std::size_t width = 0;
  for (const auth::UserRecord& record : users->records()) width = std::max(width, record.name.size());
  std::string text;
  for (const auth::UserRecord& record : users->records()) {
    text += fmt::format("{:<{}}  {:<7}  {:<11}  {}", record.name, width, state_of(record, day),
                        record.hash.empty() ? std::string_view("none") : auth::scheme_name(record.hash),
                        fmt::join(record.groups, ","));
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return print(Answer{text});
}

}  // namespace

int run_user(const Arguments& arguments, const Environment&) {
  Task task{.file = arguments.value("--file").value_or(""),
            .name = arguments.second_operand,
            .groups = {},
            .json = arguments.has("--json")};
  if (const auto groups = arguments.flags.find("--group"); groups != arguments.flags.end())
    task.groups = groups->second;
  const std::string& action = arguments.operand;
  const std::string what = fmt::format("cannot {} {}", action, action == "list" ? "the users" : "a user");
  if (task.file.empty()) return fail(exit_usage, what, "no file is named (add --file FILE)");
  if (!task.groups.empty() && action != "add") return fail(exit_usage, what, "--group belongs to add");
  if (task.json && action != "list") return fail(exit_usage, what, "--json belongs to list");
  if (action == "list") {
    if (task.name.empty()) return list(task);
    return fail(exit_usage, what, fmt::format("'{}' is one word too many", task.name));
  }
  if (task.name.empty()) return fail(exit_usage, what, fmt::format("no user is named (stile user {} NAME)", action));
  if (const auto fault = fault_of(task)) return fail(exit_usage, what, *fault);
  if (action == "add") return add(task);
  return action == "passwd" ? passwd(task) : remove(task);
}

}  // namespace stile::cli
