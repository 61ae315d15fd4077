#include "observe/diagnostics.h"

// From its headers, with the same fmt as everything else.
#define SPDLOG_FMT_EXTERNAL
#include <fmt/core.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace stile::observe {
namespace {

// Messages quote operator's input (paths, values): it must not move a cursor or forge a line.
std::string printable(std::string_view text) {
  std::string out;
  for (const char octet : text) {
    const auto value = static_cast<unsigned char>(octet);
    if (value < 0x20 || value == 0x7f) {
      out += fmt::format("\\x{:02x}", value);
    } else {
      out += octet;
    }
  }
  return out;
}

}  // namespace

std::string diagnostic_line(std::string_view what, std::string_view why, std::string_view cure) {
  std::string line = fmt::format("stile: {}", printable(what));
  if (!why.empty()) line += fmt::format(": {}", printable(why));
  if (!cure.empty()) line += fmt::format(" ({})", printable(cure));
  return line;
}

struct Diagnostics::Logger {
  spdlog::logger log{"stile", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

Diagnostics::Diagnostics() : logger_(std::make_unique<Logger>()) {
  logger_->log.set_pattern("%v");
  logger_->log.flush_on(spdlog::level::trace);
}

Diagnostics::~Diagnostics() = default;

void Diagnostics::error(std::string_view what, std::string_view why, std::string_view cure) {
  logger_->log.error(diagnostic_line(what, why, cure));
}

void Diagnostics::warning(std::string_view what, std::string_view why, std::string_view cure) {
  logger_->log.warn(diagnostic_line(fmt::format("warning: {}", what), why, cure));
}

void Diagnostics::notice(std::string_view text) {
  logger_->log.info(diagnostic_line(text));
}

}  // namespace stile::observe
