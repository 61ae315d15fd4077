// The configuration: TOML text in, a validated immutable value out, every error with its place. Strict: an unknown key
// is an error that names the nearest known one. Pure: the caller reads files (sys/file.h) and passes their text.
// The keys are one table (keys.cc) that also makes docs/configuration.md. Tested in config_test.cc, fuzzed in
// config_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/time.h"
#include "config/gateway.h"
#include "config/listener.h"
#include "config/names.h"
#include "config/outside.h"
#include "config/upstream.h"
#include "policy/expect.h"
#include "policy/policy.h"

namespace stile::config {

enum class LogFormat : std::uint8_t { automatic, json, text, none };

/// What a server gives up once it is ready.
enum class Sandbox : std::uint8_t {
  best_effort,  // what this system lacks or refuses is told, and done without
  required,     // there is no server without all of it
  off,
};

struct Limits {
  Duration handshake = limits::handshake;
  Duration idle = Duration::zero();  // zero: off
  Duration half_closed = limits::half_closed_idle;
  Duration connect_per_address = limits::connect_per_address;
  Duration connect_total = limits::connect_total;
  Duration drain = limits::drain;
  std::uint32_t sessions = limits::sessions_process_max;
  std::uint32_t sessions_per_listener = limits::sessions_per_listener_max;
  std::uint32_t sessions_per_source = limits::sessions_per_source_max;
  std::uint32_t sessions_per_user = limits::sessions_per_user_max;
  std::uint32_t udp_associations_per_user = limits::udp_associations_per_user_max;
  bool timeout_is_ttl_expired = false;  // a connect timeout is told as REP 06, as Dante and Tor do, instead of 04
  std::vector<Cidr> penalty_exempt;     // whose mistakes are forgiven, as those of loopback are
};

/// Who may log in.
struct Users {
  std::string file;  // as the configuration names it; empty: nobody
  Duration cache = limits::login_cache;
};

/// Who may log in by the system's PAM modules.
struct Pam {
  std::string service = "stile";  // a file of /etc/pam.d
  Duration cache = limits::login_cache;
};

/// A program of the operator's that says who may log in.
struct Command {
  std::vector<std::string> program;  // its path, and its arguments; empty: there is none
  Duration cache = limits::login_cache;
};

/// Who may log in by a Kerberos ticket (RFC 1961).
struct Gssapi {
  std::string keytab = "/etc/krb5.keytab";
  std::string service;              // whose keys count; empty: every key there
  std::vector<std::string> realms;  // whose users go by their names alone
  bool confidentiality = false;     // nothing less is granted
  bool clear = false;               // level 0: the login alone
  bool nec = false;                 // levels that are not wrapped
};

/// Who judges what foreign code has to judge (auth/helper.h).
struct Helper {
  std::string socket;  // "unix:/PATH" of a service of its own; empty: the server starts it
};

/// Who used how much, kept on disk (observe/accounting.h).
struct Accounting {
  std::string file;  // empty: off
  Duration interim = limits::accounting_interim;
  bool refuse_new = false;  // sessions, when there is no room for their entries
};

/// What /proxy.pac says, on the listeners that have it.
struct Pac {
  std::string host;                                  // in canonical form; empty: the address that a browser has reached
  std::vector<std::variant<HostName, Cidr>> direct;  // not by the proxy; a name with all that is below it
};

struct Engine {
  Duration spin = limits::spin;  // zero: off
};

/// How the server is asked things while it runs.
struct Admin {
  std::string socket;  // "unix:/PATH"; empty: it is not
};

/// Where a value came from. Later sources win over earlier ones.
struct Origin {
  enum class Source : std::uint8_t { built_in, file, environment, flag };
  Source source = Source::built_in;
  int line = 0;      // of a file
  std::string name;  // the file, the environment variable or the flag
};

struct Config {
  std::vector<Listener> listeners;
  Udp udp;
  Bind bind;
  std::vector<ProxyProtocolTo> proxy_protocol_to;
  std::vector<Resolver> resolvers;
  std::vector<DnsListener> dns;
  Names names;
  std::vector<Upstream> upstreams;
  Users users;
  Pam pam;
  Command command;
  Gssapi gssapi;
  Pac pac;
  Helper helper;
  Limits limits;
  Engine engine;
  Admin admin;
  Gateway gateway;
  Accounting accounting;
  LogFormat log = LogFormat::automatic;
  bool log_query = false;      // the URLs in records keep their query
  std::uint32_t workers = 0;   // 0: one a core
  std::string user = "stile";  // whom a server that root started becomes
  Sandbox sandbox = Sandbox::best_effort;
  /// Present when the file has a [policy]; then only its rules say who may go where.
  std::shared_ptr<const policy::Policy> policy;
  bool keep_sessions_on_reload = false;  // those that a new policy does not allow; else they are ended
  std::string policy_rules;              // the text behind it, for explain
  int policy_rules_line = 0;             // of the file: where the text's first line stands; 0 without [policy]
  std::vector<policy::Expectation> expectations;
  std::string policy_expect;                                     // the text behind them
  int policy_expect_line = 0;                                    // as for the rules
  std::map<std::string, std::string, std::less<>> policy_lists;  // name -> file, as written
  /// By key ("limits.idle", "listen[0].address", "listen" for all listeners); a key that nobody set is absent.
  std::map<std::string, Origin, std::less<>> origins;
};

/// A fault with its place, printed as "FILE:LINE:COLUMN: message". Line 0: no one place is at fault.
struct ConfigError {
  int line = 0;
  int column = 0;
  std::string message;
  std::string file = {};  // one that the configuration names; empty: the configuration itself
};

/// A file that the configuration names, read.
struct NamedFile {
  std::string path;  // for people
  std::string text;
};
/// Reads one; `path` is as written, and a relative one begins at the folder of the configuration. A failure says what
/// is in the way and what to do.
using ReadFile = std::function<std::expected<NamedFile, std::string>(const std::string& path)>;

/// Parses and validates. All faults that can be found at once are reported, in file order. `file` is only a name for
/// the origins. Without `read_file`, a file that the configuration names is a fault.
[[nodiscard]] std::expected<Config, std::vector<ConfigError>> parse(std::string_view text, std::string_view file = "",
                                                                    const ReadFile& read_file = {});

/// No file at all: 127.0.0.1 and ::1, port 1080.
[[nodiscard]] Config zero_configuration();

/// Sets one key from the environment or a flag. `values` has one element, or any number for a list; that of listeners
/// has the key "listen". The message of a failure is without the key.
[[nodiscard]] std::expected<void, std::string> set(Config& config, std::string_view key,
                                                   const std::vector<std::string>& values, Origin origin);

/// What a listener offers: what the file says, else a password where there are users, else nothing (security reference,
/// 1.1).
[[nodiscard]] AuthMethods auth_of(const Config& config, const Listener& listener) noexcept;

/// What rules may name.
[[nodiscard]] policy::Upstreams upstreams_of(const Config& config);

/// The listener's /proxy.pac: what `pac` and [pac] say, and whatever is always DIRECT; nullptr where it has none.
[[nodiscard]] std::shared_ptr<const wire::PacFile> pac_of(const Config& config, const Listener& listener);

/// Some listener has names and passwords judged by the helper process.
[[nodiscard]] bool needs_helper(const Config& config) noexcept;

/// What several keys say together: faults that no single key shows. Part of parse(); to be asked again after set().
[[nodiscard]] std::vector<ConfigError> contradictions(const Config& config);

/// The rules of the security reference 1.1 that involve several keys, for the final configuration (file, environment
/// and flags together): no listener is an open proxy. Messages say what to add.
[[nodiscard]] std::vector<std::string> exposures(const Config& config);

/// Each line of [policy] expect that does not hold: a fault for a server, which does not start with it. Of this host's
/// own addresses it knows those that the configuration names.
[[nodiscard]] std::vector<ConfigError> failed_expectations(const Config& config, const policy::GroupsOf& groups_of);

/// Whether passwords reach the listener from another host as they are (RFC 1929 section 3).
[[nodiscard]] bool sends_passwords_in_clear(const Config& config, const Listener& listener) noexcept;

/// What is allowed and yet worth a second look; `stile check` prints it.
[[nodiscard]] std::vector<ConfigError> cautions(const Config& config);

/// One line of `stile check --effective`.
struct EffectiveValue {
  enum class Form : std::uint8_t {
    text,    // the file quotes it
    number,  // the file does not
    list,    // as the file writes it: ["a", "b"], which is JSON as well
  };
  std::string key;    // "limits.idle", "listen[0].address"
  std::string value;  // as it would be written in the file, without quotes
  Form form = Form::text;
  std::string origin;  // "default", "stile.toml:12", "environment STILE_LOG", "flag --log"
};

/// Every value in force, in the order of the key table.
[[nodiscard]] std::vector<EffectiveValue> effective(const Config& config);

}  // namespace stile::config
