// The command line's table, and the order in which file, environment and flags win.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/options.h"
#include "cli/pages.h"
#include "cli/run.h"
#include "cli/settings.h"
#include "config/keys.h"

namespace stile::cli {
namespace {

namespace fs = std::filesystem;

Arguments understood(const std::vector<std::string>& words) {
  const Invocation invocation = parse_command_line(words);
  EXPECT_FALSE(invocation.answer) << invocation.answer->text;
  return invocation.arguments;
}

std::string mistake(const std::vector<std::string>& words) {
  const Invocation invocation = parse_command_line(words);
  if (!invocation.answer) return "understood";
  EXPECT_EQ(invocation.answer->exit_code, exit_usage);
  const std::string prefix = "stile: cannot understand the command line: ";
  EXPECT_EQ(invocation.answer->text.substr(0, prefix.size()), prefix);
  return invocation.answer->text.substr(prefix.size());
}

Environment environment_of(std::map<std::string, std::string, std::less<>> variables) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text, const std::string& name = "stile.toml")
      : folder_(testing::TempDir() + "stile-cli-test-" + std::to_string(::getpid())), path_(folder_ + "/" + name) {
    fs::create_directory(folder_);
    ::chmod(folder_.c_str(), 0755);
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), 0644);
  }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;
  ~ConfigFile() { fs::remove_all(folder_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

struct Output {
  int exit_code = 0;
  std::string out;
  std::string err;
};

Output run_and_capture(const std::vector<std::string>& words, const Environment& environment = environment_of({})) {
  const Arguments arguments = understood(words);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Output output;
  const std::map<std::string_view, int (*)(const Arguments&, const Environment&)> runs{
      {"check", run_check}, {"explain", run_explain}, {"fmt", run_fmt}, {"ping", run_ping}, {"trace", run_trace}};
  output.exit_code = runs.at(words.front())(arguments, environment);
  output.out = testing::internal::GetCapturedStdout();
  output.err = testing::internal::GetCapturedStderr();
  return output;
}

// Every command has its flags once, and every flag a home in the configuration or a meaning of its own.
TEST(OptionsTable, IsSound) {
  std::set<std::string_view> names;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second);
    EXPECT_FALSE(command.summary.empty());
    EXPECT_FALSE(command.example.empty()) << command.name;
    std::set<std::string_view> flags;
    for (const Flag& flag : command.flags) {
      EXPECT_TRUE(flags.insert(flag.name).second) << flag.name;
      EXPECT_TRUE(flag.name.starts_with("--"));
      EXPECT_FALSE(flag.help.empty());
      if (flag.key.empty() || flag.key == "listen") continue;
      EXPECT_TRUE(std::ranges::any_of(config::keys(), [&](const config::Key& key) { return path(key) == flag.key; }));
    }
    EXPECT_TRUE(flags.contains("--help")) << command.name;
  }
}

TEST(OptionsTable, EnvironmentNamesFollowTheFlags) {
  for (const Command& command : commands()) {
    for (const Flag& flag : command.flags) {
      if (flag.environment.empty()) continue;
      std::string expected = "STILE_";
      for (const char letter : flag.name.substr(2)) {
        expected += letter == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
      }
      EXPECT_EQ(flag.environment, expected);
    }
  }
}

TEST(OptionsTable, ManualPagesAreThoseOfTheCommandsShown) {
  std::vector<std::string_view> shown;
  for (const Command& command : commands()) {
    if (!command.hidden) shown.push_back(command.name);
  }
  EXPECT_TRUE(std::ranges::equal(find_command("man")->operand.choices, shown));
}

TEST(CommandLine, FlagsOfServe) {
  const Arguments arguments = understood(
      {"serve", "--listen", "127.0.0.1:1", "--listen=[::1]:2", "--workers", "3", "--log", "json", "--config", "x"});
  EXPECT_EQ(arguments.command->name, "serve");
  EXPECT_EQ(arguments.flags.at("--listen"), (std::vector<std::string>{"127.0.0.1:1", "[::1]:2"}));
  EXPECT_EQ(arguments.value("--workers"), "3");
  EXPECT_EQ(arguments.value("--log"), "json");
  EXPECT_EQ(arguments.value("--config"), "x");
  EXPECT_EQ(arguments.value("--json"), std::nullopt);
}

TEST(CommandLine, OperandsAreNotTakenForCommands) {
  EXPECT_EQ(understood({"man", "serve"}).operand, "serve");
  EXPECT_EQ(understood({"man"}).operand, "");
  EXPECT_EQ(understood({"completions", "zsh"}).operand, "zsh");
}

TEST(CommandLine, ShortFlagsAndFreeOperands) {
  const Arguments arguments = understood({"ping", "-n", "-c", "3", "example.com", "-v", "-q", "--via", "socks5h://h"});
  EXPECT_EQ(arguments.operand, "example.com");
  EXPECT_EQ(arguments.value("--count"), "3");
  for (const std::string_view flag : {"--numeric", "--verbose", "--quiet"}) EXPECT_TRUE(arguments.has(flag)) << flag;
  EXPECT_EQ(understood({"trace", "2001:db8::1", "-nv"}).operand, "2001:db8::1");
  EXPECT_EQ(mistake({"ping"}), "'ping' needs HOST: a name or an address (see 'stile ping --help')\n");
  EXPECT_EQ(mistake({"ping", "h", "-c"}), "--count needs a value, N (see 'stile ping --help')\n");
  EXPECT_EQ(mistake({"ping", "h", "-x"}), "unknown flag '-x' (see 'stile ping --help')\n");
  EXPECT_EQ(mistake({"trace", "h", "--count", "1"}), "unknown flag '--count' (see 'stile trace --help')\n");
}

TEST(Ping, MistakesAreUsage) {
  const auto fault = [](const std::vector<std::string>& words) {
    const Output output = run_and_capture(words);
    EXPECT_EQ(output.exit_code, exit_usage);
    EXPECT_EQ(output.out, "");
    return output.err;
  };
  EXPECT_EQ(fault({"ping", "a b", "--via", "socks5h://h"}).rfind("stile: cannot use HOST 'a b': ", 0), 0U);
  for (const std::string count : {"0", "3601", "-1", "x", "1x", "99999999999"}) {
    EXPECT_EQ(fault({"ping", "h", "--via", "socks5h://h", "--count=" + count}).rfind("stile: cannot use --count ", 0),
              0U)
        << count;
  }
  EXPECT_EQ(fault({"trace", "h"}),
            "stile: cannot trace: no proxy is named (add --via socks5h://HOST:PORT, or set ALL_PROXY)\n");
}

TEST(CommandLine, WhatIsToBeRunKeepsItsFlags) {
  using Words = std::vector<std::string>;
  const Arguments plain = understood({"run", "--via", "socks5h://p", "-v", "curl", "-v", "--via", "x", "--", "--help"});
  EXPECT_EQ(plain.value("--via"), "socks5h://p");
  EXPECT_TRUE(plain.has("--verbose"));
  EXPECT_EQ(plain.operand, "curl");
  EXPECT_EQ(plain.rest, (Words{"curl", "-v", "--via", "x", "--", "--help"}));
  const Arguments marked = understood({"run", "--via=socks5h://p", "--", "curl", "--json"});
  EXPECT_EQ(marked.value("--via"), "socks5h://p");
  EXPECT_EQ(marked.rest, (Words{"curl", "--json"}));
  EXPECT_FALSE(marked.has("--verbose"));
  EXPECT_EQ(understood({"run", "--via", "a", "--via", "b", "true"}).flags.at("--via"), (Words{"a", "b"}));
  EXPECT_EQ(mistake({"run", "--via", "a"}).substr(0, 21), "'run' needs COMMAND: ");
  EXPECT_EQ(mistake({"run", "--via", "a", "--"}).substr(0, 21), "'run' needs COMMAND: ");
  EXPECT_EQ(mistake({"run", "--vai", "true"}), "unknown flag '--vai' (did you mean '--via'?)\n");
  EXPECT_NE(help_text(*find_command("run")).find("Usage: stile run [FLAGS] [--] COMMAND [ARGUMENT...]\n"),
            std::string::npos);
}

TEST(CommandLine, SomeOperandsMayBeGivenSeveralTimes) {
  const Invocation parsed = parse_command_line({"forward", "1=a.example:1", "-v", "2=b.example:2"});
  ASSERT_FALSE(parsed.answer) << parsed.answer->text;
  EXPECT_EQ(parsed.arguments.rest, (std::vector<std::string>{"1=a.example:1", "2=b.example:2"}));
  EXPECT_TRUE(parsed.arguments.has("--verbose"));
  EXPECT_NE(help_text(*find_command("forward")).find("Usage: stile forward [FORWARD...] [FLAGS]\n"), std::string::npos);
  EXPECT_NE(man_page(*find_command("forward")).find(".RI [ FORWARD... ]\n"), std::string::npos);
  EXPECT_EQ(mistake({"forward", "1=a.example:1", "--revers", "0=22"}),
            "unknown flag '--revers' (did you mean '--reverse'?)\n");
}

TEST(CommandLine, MistakesAreCorrected) {
  EXPECT_EQ(mistake({"sevre"}), "unknown command 'sevre' (did you mean 'serve'?)\n");
  EXPECT_EQ(mistake({"frobnicate"}), "unknown command 'frobnicate' (see 'stile --help')\n");
  EXPECT_EQ(mistake({"--verson"}), "unknown flag '--verson' (did you mean '--version'?)\n");
  EXPECT_EQ(mistake({"serve", "--lisen", "127.0.0.1:1"}), "unknown flag '--lisen' (did you mean '--listen'?)\n");
  EXPECT_EQ(mistake({"serve", "--lisen=127.0.0.1:1"}), "unknown flag '--lisen' (did you mean '--listen'?)\n");
  EXPECT_EQ(mistake({"serve", "--upstream", "x"}), "unknown flag '--upstream' (see 'stile serve --help')\n");
  EXPECT_EQ(mistake({"serve", "-x"}), "unknown flag '-x' (see 'stile serve --help')\n");
  EXPECT_EQ(mistake({"serve", "now"}), "'now' is one word too many (see 'stile serve --help')\n");
  EXPECT_EQ(mistake({"serve", "--workers"}), "--workers needs a value, N (see 'stile serve --help')\n");
  EXPECT_EQ(mistake({"serve", "--workers", "1", "--workers", "2"}), "--workers is given twice (give it once)\n");
  EXPECT_EQ(mistake({"completions"}),
            "'completions' needs SHELL: bash, zsh or fish (see 'stile completions --help')\n");
  EXPECT_EQ(mistake({"completions", "bsh"}), "SHELL 'bsh' is unknown (did you mean 'bash'?)\n");
  EXPECT_EQ(mistake({"man", "serve", "check"}), "'check' is one word too many (see 'stile man --help')\n");
}

TEST(CommandLine, HelpComesWithAnExample) {
  EXPECT_EQ(parse_command_line({}).answer->text, help_text());
  EXPECT_EQ(parse_command_line({"--help"}).answer->text, help_text());
  for (const Command& command : commands()) {
    for (const std::string flag : {"-h", "--help"}) {
      const Invocation invocation = parse_command_line({std::string(command.name), flag});
      ASSERT_TRUE(invocation.answer);
      EXPECT_EQ(invocation.answer->exit_code, exit_done);
      EXPECT_NE(invocation.answer->text.find("\nExample:\n  stile "), std::string::npos);
      for (const Flag& row : command.flags) {
        EXPECT_NE(invocation.answer->text.find(row.name), std::string::npos) << row.name;
      }
    }
  }
}

TEST(CommandLine, VersionEndsWithTheFeatures) {
  const std::string text = parse_command_line({"--version"}).answer->text;
  EXPECT_EQ(text.rfind("stile ", 0), 0U);
  const std::size_t last = text.rfind('\n', text.size() - 2) + 1;
  EXPECT_EQ(text.substr(last, 10), "features: ");
}

TEST(Pages, ManualPagesNameEveryFlag) {
  for (const Command& command : commands()) {
    const std::string page = man_page(command);
    EXPECT_EQ(page.rfind(".TH STILE\\-", 0), 0U);
    for (const Flag& flag : command.flags) {
      std::string escaped;
      for (const char letter : flag.name) escaped += letter == '-' ? std::string("\\-") : std::string(1, letter);
      EXPECT_NE(page.find(escaped), std::string::npos) << flag.name;
    }
  }
}

TEST(Pages, CompletionsNameEveryCommandAndFlag) {
  for (const std::string_view shell : find_command("completions")->operand.choices) {
    const std::string script = completion_script(shell);
    for (const Command& command : commands()) {
      EXPECT_EQ(script.find(command.name) == std::string::npos, command.hidden) << shell << " " << command.name;
      if (command.hidden) continue;
      for (const Flag& flag : command.flags) {
        EXPECT_NE(script.find(flag.name.substr(2)), std::string::npos) << shell << " " << flag.name;
      }
    }
  }
}

TEST(Precedence, FlagsOverEnvironmentOverFile) {
  const ConfigFile file(
      "workers = 1\nlog = \"json\"\n[[listen]]\naddress = \"127.0.0.1:1\"\n[limits]\nidle = \"1h\"\n");
  const Environment environment = environment_of({{"STILE_CONFIG", file.path()},
                                                  {"STILE_WORKERS", "2"},
                                                  {"STILE_LISTEN", "127.0.0.1:2, [::1]:2"},
                                                  {"STILE_LOG", ""}});
  const auto settings = load_settings(understood({"serve", "--workers", "3"}), environment);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->file, file.path());
  EXPECT_EQ(settings->config.workers, 3U);
  EXPECT_EQ(settings->config.log, config::LogFormat::json) << "an empty variable is none";
  ASSERT_EQ(settings->config.listeners.size(), 2U);
  EXPECT_EQ(settings->config.listeners[1].address.to_string(), "[::1]:2");
  EXPECT_EQ(settings->config.limits.idle, std::chrono::hours{1});
}

TEST(Precedence, TheFlagNamesTheFile) {
  const ConfigFile file("workers = 7\n");
  const Environment environment = environment_of({{"STILE_CONFIG", "/nowhere"}});
  EXPECT_EQ(load_settings(understood({"serve", "--config", file.path()}), environment)->config.workers, 7U);
  EXPECT_FALSE(load_settings(understood({"serve"}), environment));
}

TEST(Precedence, NothingAtAllIsTheZeroConfiguration) {
  const auto settings = load_settings(understood({"serve"}), environment_of({}));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->config.listeners.size(), 2U);
  EXPECT_TRUE(settings->config.origins.empty());
}

TEST(Precedence, ABadFlagIsUsageABadVariableIsConfiguration) {
  const auto flag = load_settings(understood({"serve", "--listen", "localhost:1080"}), environment_of({}));
  ASSERT_FALSE(flag);
  EXPECT_EQ(flag.error().exit_code, exit_usage);
  EXPECT_EQ(
      to_text(flag.error().faults[0]),
      "stile: cannot use --listen 'localhost:1080': expected an IP address and a port, such as \"127.0.0.1:1080\" or "
      "\"[::1]:1080\", or \"unix:/PATH\"; host names are not looked up here");
  const auto variable = load_settings(understood({"serve"}), environment_of({{"STILE_LOG", "xml"}}));
  ASSERT_FALSE(variable);
  EXPECT_EQ(variable.error().exit_code, exit_configuration);
  EXPECT_EQ(to_text(variable.error().faults[0]),
            "stile: cannot use STILE_LOG 'xml': expected one of json, text, none, auto");
}

TEST(Precedence, ContradictionsOfFlagsAreFound) {
  const auto settings =
      load_settings(understood({"serve", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"}), environment_of({}));
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().faults[0].message.find("named twice"), std::string::npos);
}

// Threat TM2.
TEST(Settings, AFileThatOthersMayWriteIsRefused) {
  const ConfigFile file("");
  ::chmod(file.path().c_str(), 0666);
  const auto settings = load_settings(understood({"serve", "--config", file.path()}), environment_of({}));
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().exit_code, exit_configuration);
  EXPECT_EQ(to_text(settings.error().faults[0]), "stile: cannot read " + file.path() +
                                                     ": it is writable by its group or by others (chmod go-w " +
                                                     file.path() + ")");
}

TEST(Serve, RefusesToBeAnOpenProxy) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_serve(understood({"serve", "--listen", "0.0.0.0:1080"}), environment_of({})), exit_configuration);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.rfind("stile: cannot listen on 0.0.0.0:1080: ", 0), 0U);
  EXPECT_NE(text.find("[policy]"), std::string::npos);
  EXPECT_NE(text.find("127.0.0.1:1080"), std::string::npos);
}

TEST(Check, AGoodConfiguration) {
  const ConfigFile file("[policy]\nrules = 'allow anyone from 192.0.2.0/24 to public:443'\n");
  const Output output = run_and_capture({"check", "--config", file.path(), "--listen", "0.0.0.0:1080"});
  EXPECT_EQ(output.exit_code, exit_done);
  EXPECT_EQ(output.out, "the configuration is good\n");
  EXPECT_EQ(output.err, "");
}

TEST(Check, ABadConfigurationIsLocated) {
  const ConfigFile file("wokers = 1\n[limits]\nidle = 5\n");
  const Output output = run_and_capture({"check", "--config", file.path()});
  EXPECT_EQ(output.exit_code, exit_configuration);
  EXPECT_EQ(output.err, file.path() + ":1:1: unknown key 'wokers' (did you mean 'workers'?)\n" + file.path() +
                            ":3:8: limits.idle: expected a string such as \"1h\", not a whole number\n");
}

TEST(Check, ExposuresAreErrors) {
  EXPECT_EQ(run_and_capture({"check", "--listen", "[::]:1080"}).exit_code, exit_configuration);
}

TEST(Check, WarningsAreLocatedAndChangeNothing) {
  const ConfigFile file("[policy]\nrules = '''\nallow anyone from 192.0.2.0/24 to public\n'''\n");
  const Output output = run_and_capture({"check", "--config", file.path()});
  EXPECT_EQ(output.exit_code, exit_done);
  EXPECT_EQ(output.err.rfind(file.path() + ":3:1: warning: ", 0), 0U) << output.err;
}

TEST(Check, RunsTheExpectations) {
  const ConfigFile file(
      "[policy]\nrules = '''\nno: deny anyone to any:25\n'''\nexpect = '''\nanyone may not connect a.example:25\n"
      "anonymous may connect a.example:25\n'''\n");
  const Output output = run_and_capture({"check", "--config", file.path()});
  EXPECT_EQ(output.exit_code, exit_configuration);
  EXPECT_EQ(output.err,
            file.path() + ":7:1: expected 'anonymous may connect a.example:25', but 'no' (line 3) denies it\n");
  EXPECT_EQ(run_serve(understood({"serve", "--config", file.path()}), environment_of({})), exit_configuration);
  EXPECT_EQ(run_and_capture({"explain", "--config", file.path(), "--target", "a.example:25", "--no-dns"}).exit_code,
            exit_done);
}

TEST(Check, ReadsTheListsBesideTheConfiguration) {
  const ConfigFile list("a.example\n10.0.0.1/8\n", "list.txt");
  const ConfigFile file("[policy]\nrules = 'deny anyone to list:x'\nlists = { x = 'list.txt' }\n");
  EXPECT_EQ(run_and_capture({"check", "--config", file.path()}).err,
            list.path() + ":2:1: '10.0.0.1/8' has bits set beyond its prefix length (did you mean '10.0.0.0/8'?)\n");
  const ConfigFile lost("[policy]\nrules = 'deny anyone to list:x'\nlists = { x = 'nowhere.txt' }\n", "lost.toml");
  EXPECT_EQ(run_and_capture({"check", "--config", lost.path()}).exit_code, exit_configuration);
}

TEST(Check, JsonSaysTheSame) {
  const ConfigFile file("wokers = 1\n");
  const Output bad = run_and_capture({"check", "--config", file.path(), "--json"});
  EXPECT_EQ(bad.exit_code, exit_configuration);
  const auto object = nlohmann::json::parse(bad.out);
  EXPECT_EQ(object["ok"], false);
  EXPECT_EQ(object["errors"][0]["file"], file.path());
  EXPECT_EQ(object["errors"][0]["line"], 1);
  EXPECT_EQ(object["errors"][0]["column"], 1);
}

TEST(Check, EffectiveNamesEveryOrigin) {
  const ConfigFile file("[limits]\nidle = \"1h\"\n");
  const Environment environment = environment_of({{"STILE_LOG", "none"}});
  const std::vector<std::string> words{"check", "--config", file.path(), "--workers", "2", "--effective"};
  const Output text = run_and_capture(words, environment);
  EXPECT_NE(text.out.find("workers = 2  # flag --workers\n"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("log = \"none\"  # environment STILE_LOG\n"), std::string::npos);
  EXPECT_NE(text.out.find("limits.idle = \"1h\"  # " + file.path() + ":2\n"), std::string::npos);
  EXPECT_NE(text.out.find("limits.drain = \"1m\"  # default\n"), std::string::npos);
  std::vector<std::string> json_words = words;
  json_words.push_back("--json");
  const auto object = nlohmann::json::parse(run_and_capture(json_words, environment).out);
  EXPECT_EQ(object["effective"]["workers"]["value"], 2);
  EXPECT_EQ(object["effective"]["log"]["origin"], "environment STILE_LOG");
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Fmt, LaysTheFileOutInPlace) {
  const ConfigFile file("workers   = 1\n[policy]\nrules = '''\na: deny x to any\nlong:  allow y to any'''\n");
  const std::string before = content(file.path());
  const Output check = run_and_capture({"fmt", "--check", file.path()});
  EXPECT_EQ(check.exit_code, exit_failed);
  EXPECT_EQ(check.err, "stile: " + file.path() + " is not laid out (run 'stile fmt " + file.path() + "')\n");
  EXPECT_EQ(content(file.path()), before);
  EXPECT_EQ(run_and_capture({"fmt", file.path()}).exit_code, exit_done);
  EXPECT_EQ(content(file.path()),
            "workers   = 1\n[policy]\nrules = '''\na:    deny  x to any\nlong: allow y to any\n'''\n");
  EXPECT_EQ(run_and_capture({"fmt", "--check", "--config", file.path()}).exit_code, exit_done);
}

TEST(Fmt, FaultsChangeNothing) {
  const ConfigFile file("[policy]\nrules = '''\n\nallow   \"x\n'''\n");
  const Output output = run_and_capture({"fmt", file.path()});
  EXPECT_EQ(output.exit_code, exit_configuration);
  EXPECT_EQ(output.err, file.path() + ":4:9: a quote does not end\n");
  EXPECT_EQ(run_and_capture({"fmt"}).exit_code, exit_usage);
  EXPECT_EQ(run_and_capture({"fmt", file.path() + ".none"}).exit_code, exit_failed);
}

TEST(Explain, NamesTheRuleWithItsLineInTheFile) {
  const ConfigFile file("# first\n[policy]\nrules = '''\nweb: allow anyone from 192.0.2.0/24 to public:443\n'''\n");
  const auto ask = [&](const std::string& source, const std::string& target) {
    const Output output = run_and_capture(
        {"explain", "--config", file.path(), "--source", source, "--target", target, "--no-dns", "--json"});
    EXPECT_EQ(output.exit_code, exit_done) << output.err;
    return nlohmann::json::parse(output.out);
  };
  const auto allowed = ask("192.0.2.7", "198.51.100.1:443");
  const auto public_target = ask("192.0.2.7", "8.8.8.8:443");
  EXPECT_EQ(public_target["decision"], "allow");
  EXPECT_EQ(public_target["rule"]["name"], "web");
  EXPECT_EQ(public_target["rule"]["line"], 4);
  EXPECT_EQ(allowed["decision"], "deny") << "documentation prefixes are reserved";
  EXPECT_EQ(ask("203.0.113.1", "8.8.8.8:443")["decision"], "deny");
  EXPECT_EQ(ask("192.0.2.7", "8.8.8.8:80")["decision"], "deny");
  EXPECT_EQ(ask("192.0.2.7", "example.com:443")["decision"], "undecided");
  EXPECT_EQ(ask("192.0.2.7", "[2606:4700::1]:443")["decision"], "allow");
}

TEST(Explain, AsksForAUserAtATime) {
  const ConfigFile file(
      "[policy]\nrules = '''\noffice: allow group:staff to public:443 when mon-fri 08:00-18:00 rate 1MB/s\n'''\n");
  const auto ask = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"explain", "--config", file.path(), "--target", "www.example.com:443"});
    return run_and_capture(words).out;
  };
  const std::string allowed =
      ask({"--user", "alice", "--group", "ops", "--group", "staff", "--at", "mon 09:00", "--resolving-to", "8.8.8.8"});
  EXPECT_EQ(allowed,
            "www.example.com is 8.8.8.8: allowed\n"
            "  asked   tcp www.example.com:443 by 'alice' of 'ops', 'staff' from 127.0.0.1 on mon 09:00\n"
            "  address 8.8.8.8 (public)\n"
            "  rule    office (" +
                file.path() +
                ":3): office: allow group:staff to public:443 when mon-fri 08:00-18:00 rate 1MB/s\n"
                "  option  rate 1MB/s\n"
                "  option  when mon-fri 08:00-18:00\n");
  const std::string closed = ask({"--user", "alice", "--group", "staff", "--at", "sun 09:00", "--no-dns"});
  EXPECT_NE(closed.find("      it does not hold on sun 09:00\n"), std::string::npos) << closed;
  const std::string stranger = ask({"--user", "bob", "--at", "mon 09:00", "--no-dns"});
  EXPECT_NE(stranger.find("      'bob' of no group is not among its clients\n"), std::string::npos) << stranger;
}

TEST(Explain, GroupsComeFromTheUsersFile) {
  const ConfigFile users("alice:!:staff,ops\n", "users");
  const ConfigFile file(
      "[users]\nfile = 'users'\n[policy]\nrules = 'allow group:staff to public'\nexpect = 'alice may connect "
      "8.8.8.8:80'\n");
  const auto decision = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"explain", "--config", file.path(), "--target", "8.8.8.8:80", "--json"});
    return nlohmann::json::parse(run_and_capture(words).out)["decision"];
  };
  EXPECT_EQ(decision({"--user", "alice"}), "allow");
  EXPECT_EQ(decision({"--user", "alice", "--group", "ops"}), "deny");
  EXPECT_EQ(decision({"--user", "bob"}), "deny");
  EXPECT_EQ(run_and_capture({"check", "--config", file.path()}).exit_code, exit_done) << "so do those of expectations";
}

TEST(Explain, EachAddressOfANameIsDecided) {
  const ConfigFile file("[policy]\nrules = 'allow anyone to *.example.com'\n");
  const Output output = run_and_capture(
      {"explain", "--config", file.path(), "--target", "www.example.com:443", "--resolving-to", "10.0.0.1", "--json"});
  const auto object = nlohmann::json::parse(output.out);
  EXPECT_EQ(object["decision"], "deny");
  EXPECT_EQ(object["addresses"][0]["address"], "10.0.0.1");
  EXPECT_EQ(object["addresses"][0]["near_misses"][0]["rule"]["file"], file.path());
}

TEST(Explain, WithoutPolicyLoopbackHasThePresetAndOthersNothing) {
  const auto decision = [](const std::string& source, const std::string& target) {
    const Output output = run_and_capture({"explain", "--source", source, "--target", target, "--json"});
    return nlohmann::json::parse(output.out)["decision"];
  };
  EXPECT_EQ(decision("127.0.0.1", "8.8.8.8:25"), "allow");
  EXPECT_EQ(decision("127.0.0.1", "127.0.0.1:1080"), "deny") << "Stile's own listener";
  EXPECT_EQ(decision("192.0.2.7", "8.8.8.8:443"), "deny");
}

TEST(Explain, MistakesAreUsage) {
  const auto fault = [](std::vector<std::string> words) {
    words.insert(words.begin(), "explain");
    const Output output = run_and_capture(words);
    EXPECT_EQ(output.exit_code, exit_usage);
    return output.err;
  };
  EXPECT_EQ(fault({}), "stile: cannot explain: no target is given (add --target HOST:PORT)\n");
  EXPECT_EQ(fault({"--source", "localhost", "--target", "x:1"}),
            "stile: cannot use --source 'localhost': expected an IP address\n");
  EXPECT_EQ(fault({"--command", "fly", "--target", "x:1"}),
            "stile: cannot use --command 'fly': expected connect, udp, bind, ping or resolve\n");
  for (const std::string target :
       {"example.com", "example.com:", "example.com:0", "example.com:65536", "::1:80", "a b:80", "[::1]", ":80"}) {
    EXPECT_EQ(fault({"--target", target}).rfind("stile: cannot use --target '" + target + "': ", 0), 0U) << target;
  }
}

TEST(Explain, PingAndResolveNeedNoPort) {
  for (const std::string command : {"ping", "resolve"}) {
    EXPECT_EQ(run_and_capture({"explain", "--command", command, "--target", "::1"}).exit_code, exit_done);
  }
}

}  // namespace
}  // namespace stile::cli
