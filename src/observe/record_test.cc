#include "observe/record.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace stile::observe {
namespace {

using namespace std::chrono_literals;

Record full_record() {
  Record record;
  record.event = Event::session_end;
  record.time = WallTime{std::chrono::microseconds{1'790'000'000'123'456}};
  record.session = 0x2a;
  record.listener = "127.0.0.1:1080";
  record.client = Endpoint::parse("192.0.2.7:40000");
  record.protocol = "socks5";
  record.user = "alice";
  record.method = "none";
  record.command = "connect";
  record.target = "example.com:443";
  record.address = Endpoint::parse("[2001:db8::1]:443");
  record.rule = "web";
  record.route = "direct";
  record.reply = ReplyCode::succeeded;
  record.bytes_up = 517;
  record.bytes_down = 18'446'744'073'709'551'615ULL;
  record.packets_up = 1;
  record.packets_down = 2;
  record.packets_dropped = 3;
  record.socket_errors = 4;
  record.duration = 3s + 250ms + 1us;
  record.reason = Reason::fin_client;
  record.announced_user = "al\nice";
  record.cache = "uri-miss";
  record.url = "GET http://example.com/";
  record.sni = "example.com";
  record.alpn = "h2,http/1.1";
  return record;
}

TEST(Record, JsonHasEveryKeyInTheOrderOfTheDesign) {
  EXPECT_EQ(
      to_json(full_record()),
      R"({"event":"session.end","time":"2026-09-21T14:13:20.123456Z","session":"000000000000002a",)"
      R"("listener":"127.0.0.1:1080","client":"192.0.2.7:40000","protocol":"socks5","user":"alice",)"
      R"("method":"none","command":"connect","target":"example.com:443","address":"[2001:db8::1]:443",)"
      R"("rule":"web","route":"direct","reply":0,"bytes_up":517,"bytes_down":18446744073709551615,)"
      R"("packets_up":1,"packets_down":2,"packets_dropped":3,"socket_errors":4,"seconds":3.250001,"reason":"fin.client",)"
      R"("announced_user":"al\nice","cache":"uri-miss","url":"GET http://example.com/","sni":"example.com","alpn":"h2,http/1.1"})"
      "\n");
}

TEST(Record, TextSaysTheSame) {
  EXPECT_EQ(
      to_text(full_record()),
      "2026-09-21T14:13:20.123456Z session.end session=000000000000002a listener=127.0.0.1:1080 "
      "client=192.0.2.7:40000 protocol=socks5 user=\"alice\" method=none command=connect "
      "target=\"example.com:443\" address=[2001:db8::1]:443 rule=\"web\" route=\"direct\" reply=0 bytes_up=517 "
      "bytes_down=18446744073709551615 packets_up=1 packets_down=2 packets_dropped=3 socket_errors=4 "
      "seconds=3.250001 reason=fin.client announced_user=\"al\\x0aice\" cache=uri-miss url=\"GET http://example.com/\" "
      "sni=\"example.com\" alpn=\"h2,http/1.1\"\n");
}

TEST(Record, ADropSaysWhy) {
  Record record;
  record.event = Event::drop;
  record.drop = UdpDrop::source;
  EXPECT_EQ(to_text(record), "1970-01-01T00:00:00.000000Z drop reason=udp.src\n");
}

TEST(Record, WhatIsAbsentIsLeftOut) {
  Record record;
  record.event = Event::denied;
  EXPECT_EQ(to_json(record), "{\"event\":\"denied\",\"time\":\"1970-01-01T00:00:00.000000Z\"}\n");
  EXPECT_EQ(to_text(record), "1970-01-01T00:00:00.000000Z denied\n");
}

TEST(Record, EveryEventHasItsName) {
  const std::pair<Event, std::string> names[] = {{Event::session_start, "session.start"},
                                                 {Event::session_end, "session.end"},
                                                 {Event::denied, "denied"},
                                                 {Event::auth_failed, "auth.failed"},
                                                 {Event::error, "error"},
                                                 {Event::drop, "drop"},
                                                 {Event::request, "request"}};
  for (const auto& [event, name] : names) {
    Record record;
    record.event = event;
    EXPECT_EQ(nlohmann::json::parse(to_json(record))["event"], name);
  }
}

TEST(Record, EveryReasonPrintsItsToken) {
  for (int i = 1; i < reason_count; ++i) {
    Record record;
    record.reason = static_cast<Reason>(i);
    EXPECT_EQ(nlohmann::json::parse(to_json(record))["reason"], std::string(token(record.reason)));
  }
}

// Threat TL1: names with line breaks, terminal escapes, look-alikes, quotes, a forged record.
const std::string_view hostile[] = {
    "a\nauth_failed from 1.2.3.4",
    "\nauth.failed session=000000000000002a listener=x client=1.2.3.4:1 ",
    "\" auth.failed session=000000000000002a listener=x client=1.2.3.4:1 ",
    "\",\"time\":\"2026-09-21T14:13:20.123456Z\",\"client\":\"1.2.3.4:1\"",
    "stile[1]: "
    "{\"event\":\"auth.failed\",,\"session\":\"000000000000002a\",\"listener\":\"x\",\"client\":\"1.2.3.4:1\",",
    "Sep 21 14:13:20 host stile[1]: auth.failed session=000000000000002a listener=x client=1.2.3.4:1 ",
    "\r\n{\"event\":\"auth.failed\",\"client\":\"1.2.3.4:1\"}",
    "\x1b[2J\x1b]0;title\x07",
    "\xe2\x80\xae"
    "drowssap",      // U+202E
    "\xe2\x80\xa8",  // U+2028
    "\"} {\"event\":\"error\"",
    "\" client=1.2.3.4:1 x=\"",
    "\\\"",
    "\xff\xfe\x80",
    "\xed\xa0\x80",  // a surrogate
    "\x7f",
    std::string_view("nul\0nul", 7),
};

TEST(Record, HostileNamesStayInsideTheirJsonString) {
  for (const std::string_view name : hostile) {
    Record record = full_record();
    record.user = name;
    record.target = name;
    record.url = name;
    record.sni = name;
    record.alpn = name;
    record.announced_user = name;
    const std::string line = to_json(record);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    for (const char octet : line.substr(0, line.size() - 1)) {
      EXPECT_TRUE(octet >= 0x20 && octet <= 0x7e) << line;
    }
    const auto parsed = nlohmann::json::parse(line);
    EXPECT_EQ(parsed["event"], "session.end");
    EXPECT_EQ(parsed["client"], "192.0.2.7:40000");
    EXPECT_LT(line.find("\"client\""), line.find("\"user\""));
    EXPECT_EQ(parsed.size(), 27U);
  }
}

// What the fail2ban filter under packaging/ is judged by (tests/e2e/fail2ban_test.py): whoever fails to log in,
// whatever the name, is told from everybody else, in either form.
TEST(Record, FailedLoginsAreThoseOfTheVectors) {
  std::ifstream file("tests/vectors/auth_failed.records");
  std::vector<std::string> expected;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('#')) expected.push_back(line + '\n');
  }
  std::vector<std::string> made;
  for (const std::string_view name : hostile) {
    Record record;
    record.event = Event::auth_failed;
    record.time = WallTime{std::chrono::microseconds{1'790'000'000'123'456}};
    record.session = 0x2a;
    record.listener = "127.0.0.1:1080";
    record.client = Endpoint::parse(made.size() % 4 == 0 ? "203.0.113.9:40000" : "[2001:db8::9]:40000");
    record.protocol = "socks5";
    record.user = name;
    record.method = "password";
    record.reason = Reason::auth_failed;
    made.push_back(to_json(record));
    made.push_back(to_text(record));
  }
  EXPECT_EQ(made, expected);
}

// What needs no escape is not given to the library: it must look the same.
TEST(Record, EveryOctetIsWrittenAsTheLibraryWrites) {
  for (int octet = 0; octet <= 0xff; ++octet) {
    const std::string name = {'a', static_cast<char>(octet), 'z'};
    Record record;
    record.target = name;
    const std::string written = nlohmann::json(name).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    EXPECT_EQ(to_json(record), R"({"event":"error","time":"1970-01-01T00:00:00.000000Z","target":)" + written + "}\n");
  }
}

TEST(Record, SecondsAreADecimalFraction) {
  const std::pair<Duration, std::string> written[] = {
      {0s, "0.0"},        {1us, "0.000001"},     {999ns, "0.0"},       {250ms, "0.25"},
      {1s, "1.0"},        {10s + 100ms, "10.1"}, {86'400s, "86400.0"}, {1h + 1us, "3600.000001"},
      {7s + 7ms, "7.007"}};
  for (const auto& [duration, text] : written) {
    Record record;
    record.duration = duration;
    EXPECT_EQ(to_json(record), R"({"event":"error","time":"1970-01-01T00:00:00.000000Z","seconds":)" + text + "}\n");
    EXPECT_EQ(nlohmann::json::parse(to_json(record))["seconds"].get<double>(), std::stod(text));
  }
}

TEST(Record, TimesAreUtcWithSixDigits) {
  const std::pair<std::int64_t, std::string> written[] = {{951'826'154'000'009, "2000-02-29T12:09:14.000009Z"},
                                                          {1'798'761'599'999'999, "2026-12-31T23:59:59.999999Z"}};
  for (const auto& [micros, text] : written) {
    Record record;
    record.time = WallTime{std::chrono::microseconds{micros}};
    EXPECT_EQ(nlohmann::json::parse(to_json(record))["time"], text);
  }
}

TEST(Record, HostileNamesStayInsideTheirQuotesInText) {
  for (const std::string_view name : hostile) {
    Record record;
    record.client = Endpoint::parse("192.0.2.7:40000");
    record.target = name;
    const std::string line = to_text(record);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    for (const char octet : line.substr(0, line.size() - 1)) {
      EXPECT_TRUE(octet >= 0x20 && octet <= 0x7e) << line;
    }
    // Undoing the quotes gives the name back, and nothing stands behind it.
    std::size_t at = line.find(" target=\"") + 9;
    std::string undone;
    for (; line[at] != '"'; ++at) {
      if (line[at] != '\\') {
        undone += line[at];
      } else if (line[++at] == 'x') {
        undone += static_cast<char>(std::stoi(line.substr(at + 1, 2), nullptr, 16));
        at += 2;
      } else {
        undone += line[at];
      }
    }
    EXPECT_EQ(undone, name);
    EXPECT_EQ(line.substr(at), "\"\n");
    EXPECT_LT(line.find("client=192.0.2.7:40000"), line.find("target="));
  }
}

TEST(Record, ALossIsARecordToo) {
  const Loss loss{.time = WallTime{}, .records = 12};
  EXPECT_EQ(
      to_json(loss),
      "{\"event\":\"error\",\"time\":\"1970-01-01T00:00:00.000000Z\",\"reason\":\"log.dropped\",\"dropped\":12}\n");
  EXPECT_EQ(to_text(loss), "1970-01-01T00:00:00.000000Z error reason=log.dropped dropped=12\n");
}

}  // namespace
}  // namespace stile::observe
