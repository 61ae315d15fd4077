// The configuration in force: the file, then the environment, then the flags, each winning over the one before. Shared
// by serve, check and explain, so that they cannot disagree. Reads files; the environment is passed in. Tested in
// cli_test.cc.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/users.h"
#include "cli/options.h"
#include "config/config.h"
#include "server/control.h"

namespace stile::cli {

/// A variable's value; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

/// That of this process.
[[nodiscard]] Environment process_environment();

/// One fault for people and for --json. With a file it prints as "FILE:LINE:COLUMN: message", else as
/// "stile: message".
struct Fault {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;
};

[[nodiscard]] std::string to_text(const Fault& fault);

/// A path that the configuration `file` names: beside that file, unless it is absolute.
[[nodiscard]] std::string beside(const std::string& file, const std::string& path);

struct Settings {
  config::Config config;
  std::string file;                          // empty: none
  std::shared_ptr<const auth::Users> users;  // nullptr: the configuration names no file of users
  server::TlsServers tls;
  route::UpstreamPlans upstreams;
  std::vector<std::string> files;  // all that were read for it

  /// As that file has them; nothing where it does not know the user.
  [[nodiscard]] std::optional<std::vector<std::string>> groups_of(const std::string& user) const;
};

struct BadSettings {
  int exit_code = exit_configuration;  // exit_usage when a flag is at fault
  std::vector<Fault> faults;
};

/// Everything but exposures(), which only a server refuses.
[[nodiscard]] std::expected<Settings, BadSettings> load_settings(const Arguments& arguments,
                                                                 const Environment& environment);

/// The same where no file says anything, but the command itself what the flags change.
[[nodiscard]] std::expected<Settings, BadSettings> load_settings_upon(config::Config base, const Arguments& arguments,
                                                                      const Environment& environment);

/// What the file says, and nothing of the files that it names: for `stile helper`, which has no business with them.
[[nodiscard]] std::expected<config::Config, BadSettings> load_configuration_alone(const Arguments& arguments,
                                                                                  const Environment& environment);

/// The lines of [policy] expect that the rules do not meet.
[[nodiscard]] std::vector<Fault> failed_expectations(const Settings& settings);

/// The same for a server: exposures() and failed expectations are faults too.
[[nodiscard]] std::expected<Settings, BadSettings> load_server_settings(const Arguments& arguments,
                                                                        const Environment& environment);
[[nodiscard]] std::expected<Settings, BadSettings> for_a_server(std::expected<Settings, BadSettings> settings);

}  // namespace stile::cli
