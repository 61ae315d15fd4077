// The configuration: TOML text in, a validated immutable value out, every error with its place. Strict: an unknown key
// is an error that names the nearest known one. Pure: the caller reads files (sys/file.h) and passes their text.
// The keys are one table (keys.cc) that also makes docs/configuration.md. Tested in config_test.cc, fuzzed in
// config_fuzz.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/time.h"
#include "policy/policy.h"

namespace stile::config {

enum class LogFormat : std::uint8_t { automatic, json, text, none };

/// One listening socket.
struct Listener {
  Endpoint address;
  bool optional = false;  // of the zero-configuration pair: a missing ::1 is a warning
};

struct Limits {
  Duration handshake = limits::handshake;
  Duration idle = Duration::zero();  // zero: off
  Duration half_closed = limits::half_closed_idle;
  Duration connect_per_address = limits::connect_per_address;
  Duration connect_total = limits::connect_total;
  Duration drain = limits::drain;
  std::uint32_t sessions = limits::sessions_process_max;
};

struct Config {
  std::vector<Listener> listeners;
  Limits limits;
  LogFormat log = LogFormat::automatic;
  unsigned workers = 0;  // 0: one a core
  /// Present when the file has a [policy]; then only its rules say who may go where.
  std::shared_ptr<const policy::Policy> policy;
  std::string policy_rules;  // the text behind it, for explain
};

/// A fault with its place, printed as "FILE:LINE:COLUMN: message".
struct ConfigError {
  int line = 0;
  int column = 0;
  std::string message;
};

/// Parses and validates. All faults that can be found at once are reported.
[[nodiscard]] std::expected<Config, std::vector<ConfigError>> parse(std::string_view text);

/// No file at all: 127.0.0.1 and ::1, port 1080.
[[nodiscard]] Config zero_configuration();

/// The rules of the security reference 1.1 that involve several keys, for the final configuration (file, environment
/// and flags together): no listener is an open proxy. Messages say what to add.
[[nodiscard]] std::vector<std::string> exposures(const Config& config);

}  // namespace stile::config
