// Where a client command's proxy comes from, and where its password must not show.
#include "cli/proxy_choice.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

namespace stile::cli {
namespace {

namespace fs = std::filesystem;

Environment environment_of(std::map<std::string, std::string, std::less<>> variables) {
  return [variables = std::move(variables)](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

std::expected<ProxyChoice, std::string> chosen(std::vector<std::string> words,
                                               Environment environment = environment_of({})) {
  words.insert(words.begin(), {"ping", "example.com"});
  const Invocation invocation = parse_command_line(words);
  EXPECT_FALSE(invocation.answer) << invocation.answer->text;
  return choose_proxy(invocation.arguments, environment);
}

std::string server_of(const std::expected<ProxyChoice, std::string>& choice) {
  return choice ? choice->proxy.url.server.to_string() : choice.error();
}

class PasswordFile {
 public:
  explicit PasswordFile(const std::string& text)
      : folder_(testing::TempDir() + "stile-proxy-test-" + std::to_string(::getpid())), path_(folder_ + "/password") {
    fs::create_directory(folder_);
    ::chmod(folder_.c_str(), 0755);
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), 0600);
  }
  PasswordFile(const PasswordFile&) = delete;
  PasswordFile& operator=(const PasswordFile&) = delete;
  ~PasswordFile() { fs::remove_all(folder_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

// Protocol reference, section 10: an explicit option beats the variables, lower case beats upper.
TEST(ProxyChoice, FlagThenVariables) {
  const std::string flag = "socks5h://flag:1";
  std::map<std::string, std::string, std::less<>> variables{
      {"STILE_VIA", "socks5h://own:2"}, {"all_proxy", "socks5h://lower:3"}, {"ALL_PROXY", "socks5h://upper:4"}};
  EXPECT_EQ(server_of(chosen({"--via", flag}, environment_of(variables))), "flag:1");
  EXPECT_EQ(server_of(chosen({}, environment_of(variables))), "own:2");
  variables.erase("STILE_VIA");
  EXPECT_EQ(server_of(chosen({}, environment_of(variables))), "lower:3");
  variables["all_proxy"] = "";
  EXPECT_EQ(server_of(chosen({}, environment_of(variables))), "upper:4") << "an empty variable is none";
  variables["NO_PROXY"] = "*";
  EXPECT_EQ(server_of(chosen({}, environment_of(variables))), "upper:4") << "there is no other way";
}

TEST(ProxyChoice, MistakesNameTheirPlaceAndCure) {
  EXPECT_EQ(server_of(chosen({})),
            "stile: cannot ping: no proxy is named (add --via socks5h://HOST:PORT, or set ALL_PROXY)");
  EXPECT_EQ(server_of(chosen({"--via", "sock5h://h"})),
            "stile: cannot use --via: at character 1: the scheme sock5h is unknown (did you mean socks5h?)");
  EXPECT_EQ(
      server_of(chosen({}, environment_of({{"ALL_PROXY", "ftp://h:3128"}}))),
      "stile: cannot use ALL_PROXY: at character 1: the scheme ftp is unknown (use socks5h, socks5, socks4a, "
      "socks4 or http; inside TLS socks5h+tls, socks5+tls, socks4a+tls, socks4+tls or https; by a Kerberos ticket "
      "socks5h+gssapi or socks5+gssapi; with a PROXY header alone proxy-protocol)");
}

TEST(ProxyChoice, APasswordOnTheCommandLineIsWarnedOf) {
  const auto flag = chosen({"--via", "socks5h://alice:sentinel@h"});
  EXPECT_NE(flag->warning.find("STILE_VIA"), std::string::npos);
  EXPECT_EQ(flag->warning.find("sentinel"), std::string::npos);
  EXPECT_EQ(chosen({}, environment_of({{"STILE_VIA", "socks5h://alice:sentinel@h"}}))->warning, "");
  EXPECT_EQ(chosen({"--via", "socks5h://alice@h"})->warning, "");
}

TEST(ProxyChoice, ThePasswordMayComeFromAFile) {
  const PasswordFile file("se:cr@et\nnotes\n");
  const auto choice = chosen({"--via", "socks5h://alice@h", "--password-file", file.path()});
  ASSERT_TRUE(choice) << choice.error();
  EXPECT_EQ(choice->proxy.url.password, "se:cr@et");
  EXPECT_EQ(choice->warning, "");
  for (const std::string url : {"socks5h://h", "socks5h://alice:x@h", "socks4://alice@h"}) {
    EXPECT_FALSE(chosen({"--via", url, "--password-file", file.path()})) << url;
  }
  EXPECT_FALSE(chosen({"--via", "socks5h://alice@h", "--password-file", "/nowhere"}));
  ::chmod(file.path().c_str(), 0666);
  EXPECT_FALSE(chosen({"--via", "socks5h://alice@h", "--password-file", file.path()})) << "anybody may write it";
  ::chmod(file.path().c_str(), 0644);
  const auto read_by_all = chosen({"--via", "socks5h://alice@h", "--password-file", file.path()});
  ASSERT_FALSE(read_by_all);
  EXPECT_NE(read_by_all.error().find(file.path()), std::string::npos) << read_by_all.error();
}

TEST(ProxyChoice, AnEmptyOrEndlessPasswordIsRefused) {
  for (const std::string& text : {std::string("\n"), std::string(256, 'p') + "\n"}) {
    const PasswordFile file(text);
    EXPECT_FALSE(chosen({"--via", "socks5h://alice@h", "--password-file", file.path()}));
  }
}

TEST(ProxyChoice, NoProxyGoesWithTheEnvironmentsProxy) {
  const Target local{.host = Address::v4(10, 0, 0, 1), .port = 80};
  const std::map<std::string, std::string, std::less<>> variables{{"SOCKS_PROXY", "socks5h://h"},
                                                                  {"NO_PROXY", "10.0.0.0/8"}};
  EXPECT_TRUE(chosen({}, environment_of(variables))->no_proxy.covers(local));
  EXPECT_FALSE(chosen({"--via", "socks5h://h"}, environment_of(variables))->no_proxy.covers(local));
}

TEST(ProxyChoice, ClearPasswordsAreOptIn) {
  EXPECT_FALSE(chosen({"--via", "socks5h://h"})->proxy.clear_password_allowed);
  EXPECT_TRUE(chosen({"--via", "socks5h://h", "--clear-password"})->proxy.clear_password_allowed);
}

// Security reference, section 5.1.
TEST(Conceal, PasswordsLeaveTheProcessList) {
  std::vector<std::string> words{"stile",
                                 "socks5h://alice:sentinel@proxy:1080",
                                 "--via=socks5://a:se@ntinel@h",
                                 "alice:sentinel@h",
                                 "socks5h://alice@proxy:1080",
                                 "example.com:80",
                                 "@",
                                 ""};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  conceal_passwords(arguments);
  const std::vector<std::string> expected{"stile",
                                          "socks5h://alice:********@proxy:1080",
                                          "--via=socks5://a:*********@h",
                                          "alice:********@h",
                                          "socks5h://alice@proxy:1080",
                                          "example.com:80",
                                          "@",
                                          ""};
  EXPECT_EQ(words, expected);
}

TEST(ProxyChoice, TlsGoesWithTheUrlThatAsksForIt) {
  EXPECT_NE(chosen({"--via", "socks5h+tls://h"})->proxy.tls, nullptr) << "the system's CAs count";
  EXPECT_EQ(chosen({"--via", "socks5h://h"})->proxy.tls, nullptr);
  for (const char* const flag : {"--ca", "--certificate", "--key"}) {
    EXPECT_NE(chosen({"--via", "socks5h://h", flag, "file"}).error().find("not spoken to inside TLS"),
              std::string::npos);
  }
  EXPECT_NE(chosen({"--via", "https://h", "--key", "file"}).error().find("add --certificate FILE"), std::string::npos);
  const PasswordFile no_pem("nothing\n");
  EXPECT_NE(chosen({"--via", "https://h", "--ca", no_pem.path()}).error().find("it holds no certificate"),
            std::string::npos);
}

}  // namespace
}  // namespace stile::cli
