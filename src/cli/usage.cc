// stile usage
#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <expected>

#include "cli/run.h"
#include "cli/usage_report.h"

namespace stile::cli {
namespace {

struct Question {
  observe::UsageKey by = observe::UsageKey::user;
  observe::Period period;
};

std::expected<Question, std::string> parse_question(const Arguments& arguments) {
  const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  Question question;
  const std::string by = arguments.value("--by").value_or("user");
  const auto key = usage_key_named(by);
  if (!key) return std::unexpected(fmt::format("cannot use --by {}: expected user, target or rule", by));
  question.by = *key;
  const auto moment = [&](std::string_view flag, WallTime fallback) -> std::expected<WallTime, std::string> {
    const auto text = arguments.value(flag);
    if (!text) return fallback;
    const auto parsed = parse_moment(*text, now);
    if (parsed) return *parsed;
    return std::unexpected(fmt::format("cannot use {} {}: expected {}", flag, *text, moments_understood()));
  };
  const auto since = moment("--since", *parse_moment("today", now));
  if (!since) return std::unexpected(since.error());
  const auto until = moment("--until", WallTime::max());
  if (!until) return std::unexpected(until.error());
  if (*until <= *since) return std::unexpected("cannot count: --until is not after --since");
  question.period = {*since, *until};
  return question;
}

}  // namespace

int run_usage(const Arguments& arguments, const Environment& environment) {
  const auto question = parse_question(arguments);
  if (!question) {
    fmt::print(stderr, "stile: {}\n", question.error());
    return exit_usage;
  }
  std::string file = arguments.value("--file").value_or("");
  if (file.empty()) {
    const auto settings = load_settings(arguments, environment);
    if (!settings) return print(settings.error());
    file = settings->config.accounting.file;
  }
  if (file.empty()) {
    fmt::print(stderr,
               "stile: cannot count: no accounting file is named (add --file FILE, or --config FILE with "
               "[accounting] file)\n");
    return exit_usage;
  }
  const auto rows = observe::AccountingStore::usage(file, question->by, question->period);
  if (!rows) {
    const std::string cure = rows.error().cure.empty() ? "" : fmt::format(" ({})", rows.error().cure);
    fmt::print(stderr, "stile: cannot read {}: {}{}\n", file, rows.error().why, cure);
    return exit_failed;
  }
  return print(Answer{arguments.has("--json") ? usage_json(question->by, question->period, *rows)
                                              : usage_table(question->by, *rows)});
}

}  // namespace stile::cli
