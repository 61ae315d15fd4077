// What people and programs see of a run: each of the proxy's lines, from the golden vectors.
#include "cli/probe_output.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace stile::cli {
namespace {

const std::vector<std::string> ping_lines{
    "PING example.com (192.0.2.10) 56 data bytes",
    "64 bytes from 192.0.2.10: icmp_seq=1 ttl=61 time=12.345 ms",
    "icmp_seq=2 timeout",
    "icmp_seq=3 from 198.51.100.1: host unreachable [3/1]",
    "--- example.com ping statistics ---",
    "3 sent, 1 received, 66.7% loss, time 2003 ms",
    "rtt min/avg/max/mdev = 12.345/12.345/12.345/0.000 ms",
};
const std::vector<std::string> trace_lines{
    "traceroute to example.com (192.0.2.10), 30 hops max, 60 byte packets",
    " 1  gw.example (198.51.100.1)  0.100 ms  *  0.120 ms !X",
    " 2  *  *  *",
    "trace complete: reached",
};

wire::IcmpLine line_of(const std::string& text) {
  const std::string line = text + "\r\n";
  const auto result =
      wire::decode_icmp_line(ConstBytes(reinterpret_cast<const std::uint8_t*>(line.data()), line.size()));
  const auto* const parsed = std::get_if<wire::Parsed<wire::IcmpLine>>(&result);
  if (parsed != nullptr) return parsed->value;
  ADD_FAILURE() << text;
  return {};
}

/// A stream whose text can be read back.
class Paper {
 public:
  Paper() : file_(std::tmpfile()) {}
  Paper(const Paper&) = delete;
  Paper& operator=(const Paper&) = delete;
  ~Paper() { std::fclose(file_); }
  [[nodiscard]] std::FILE* file() const { return file_; }
  [[nodiscard]] std::string text() const {
    std::string text(static_cast<std::size_t>(std::ftell(file_)), '\0');
    std::rewind(file_);
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }

 private:
  std::FILE* file_;
};

std::string shown(const ProbeOutputOptions& options, const std::vector<std::string>& lines) {
  const Paper out;
  const Paper err;
  const auto output = make_probe_output(options, out.file(), err.file());
  for (const std::string& line : lines) EXPECT_TRUE(output->line(line_of(line)));
  EXPECT_TRUE(output->text("a line of another server"));
  return out.text();
}

TEST(ProbeOutput, TextIsTheLinesAsTheyCome) {
  std::string expected;
  for (const std::string& line : ping_lines) {
    expected += (line.starts_with("---") ? "\n" : "") + line + "\n";
  }
  EXPECT_EQ(shown({}, ping_lines), expected + "a line of another server\n");
}

TEST(ProbeOutput, QuietLeavesTheStatistics) {
  const std::string text = shown({.quiet = true}, ping_lines);
  EXPECT_EQ(text, ping_lines[0] + "\n\n" + ping_lines[4] + "\n" + ping_lines[5] + "\n" + ping_lines[6] + "\n");
}

TEST(ProbeOutput, VerboseTellsTheWay) {
  const Paper out;
  const Paper err;
  const auto output = make_probe_output({.verbose = true}, out.file(), err.file());
  wire::AddressField bound;
  bound.host = Address::v4(198, 51, 100, 7);
  EXPECT_TRUE(output->granted({Address::v4(127, 0, 0, 1), 1080}, bound));
  bound.host = std::unexpected(HostError{});
  EXPECT_TRUE(output->granted({Address::v4(127, 0, 0, 1), 1080}, bound));
  EXPECT_EQ(out.text(), "");
  EXPECT_EQ(err.text(),
            "stile: the proxy at 127.0.0.1:1080 sends from 198.51.100.7\n"
            "stile: the proxy at 127.0.0.1:1080 sends from an address that it does not tell\n");
}

TEST(ProbeOutput, JsonIsOneObjectAnEvent) {
  std::vector<nlohmann::json> objects;
  for (const std::vector<std::string>& lines : {ping_lines, trace_lines}) {
    std::string text = shown({.json = true}, lines);
    while (!text.empty()) {
      objects.push_back(nlohmann::json::parse(text.substr(0, text.find('\n'))));
      text.erase(0, text.find('\n') + 1);
    }
  }
  const std::vector<std::string> expected{
      R"({"event":"start","target":"example.com","address":"192.0.2.10"})",
      R"({"event":"answer","sequence":1,"from":"192.0.2.10","ttl":61,"milliseconds":12.345})",
      R"({"event":"timeout","sequence":2})",
      R"({"event":"error","sequence":3,"from":"198.51.100.1","error":"host unreachable","icmp_type":3,"icmp_code":1})",
      R"({"event":"statistics","sent":3,"received":1,"milliseconds":2003})",
      R"({"event":"times","min_milliseconds":12.345,"avg_milliseconds":12.345,"max_milliseconds":12.345,"mdev_milliseconds":0.0})",
      R"({"event":"text","text":"a line of another server"})",
      R"({"event":"start","target":"example.com","address":"192.0.2.10","hops_max":30})",
      R"({"event":"hop","hop":1,"probes":[{"from":"198.51.100.1","name":"gw.example","milliseconds":0.1},null,)"
      R"({"from":"198.51.100.1","name":"gw.example","milliseconds":0.12,"unreachable":"prohibited"}]})",
      R"({"event":"hop","hop":2,"probes":[null,null,null]})",
      R"({"event":"end","outcome":"reached"})",
      R"({"event":"text","text":"a line of another server"})",
  };
  ASSERT_EQ(objects.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(objects[i], nlohmann::json::parse(expected[i]));
}

TEST(ProbeOutput, AReaderThatHasGoneIsNoticed) {
  std::FILE* const full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  for (const bool json : {false, true}) {
    EXPECT_FALSE(make_probe_output({.json = json}, full, stderr)->line(line_of(ping_lines[0])));
  }
  std::fclose(full);
}

}  // namespace
}  // namespace stile::cli
