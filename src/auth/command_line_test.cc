#include "auth/command_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/limits.h"

namespace stile::auth {
namespace {

using nlohmann::json;

std::string text_of(const std::optional<std::vector<std::uint8_t>>& line) {
  return line ? std::string(line->begin(), line->end()) : "none";
}

wire::HelperLogin login(std::string_view user, std::string_view password) {
  return {.id = 7,
          .due = 0,
          .method = AuthMethod::command,
          .service = {},
          .user = user,
          .password = password,
          .client = "192.0.2.1",
          .listener = "127.0.0.1:1080"};
}

TEST(CommandRequest, IsOneLineOfJson) {
  EXPECT_EQ(text_of(write_command_request(login("alice", "secret"))),
            "{\"id\":7,\"user\":\"alice\",\"password\":\"secret\",\"client\":\"192.0.2.1\",\"listener\":"
            "\"127.0.0.1:1080\"}\n");
}

TEST(CommandRequest, AnotherReaderReadsWhatWasWritten) {
  std::string octets;
  for (int value = 1; value < 128; ++value) octets += static_cast<char>(value);
  for (const std::string& password :
       {octets, std::string("\",\"ok\":true,\"x\":\""), std::string("p\xC3\xA4ss\xE2\x82\xAC"), std::string("\\\\\n{}"),
        std::string(255, '\x01')}) {
    const std::string line = text_of(write_command_request(login("*)(uid=*\\", password)));
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const json read = json::parse(line);
    EXPECT_EQ(read["password"], password);
    EXPECT_EQ(read["user"], "*)(uid=*\\");
    EXPECT_EQ(read.size(), 5U);
  }
}

TEST(CommandRequest, ThereIsNoneForWhatJsonCannotCarry) {
  EXPECT_FALSE(write_command_request(login("alice", "\xFF")));
}

TEST(CommandAnswer, SaysWho) {
  EXPECT_EQ(read_command_answer(R"({"id":7,"ok":true})"), (CommandAnswer{7, true, {}, {}}));
  EXPECT_EQ(read_command_answer(R"({"id":7,"ok":false,"user":3})"), (CommandAnswer{7, false, {}, {}}));
  EXPECT_EQ(read_command_answer(R"( {"more":1, "groups":["a","b"],"user":"al","ok":true,"id":18446744073709551615} )"),
            (CommandAnswer{~std::uint64_t{0}, true, "al", {"a", "b"}}));
}

TEST(CommandAnswer, EverythingElseIsNone) {
  for (const std::string_view line :
       {"", "{}", "[]", "null", "{\"id\":7}", "{\"ok\":true}", R"({"id":"7","ok":true})", R"({"id":-7,"ok":true})",
        R"({"id":7.5,"ok":true})", R"({"id":7,"ok":1})", R"({"id":7,"ok":true} x)", R"({"id":7,"ok":true,"user":""})",
        R"({"id":7,"ok":true,"user":null})", R"({"id":7,"ok":true,"user":"a\u0000b"})",
        R"({"id":7,"ok":true,"user":"a\nb"})", R"({"id":7,"ok":true,"groups":"a"})",
        R"({"id":7,"ok":true,"groups":[1]})", R"({"id":7,"ok":true,"groups":[""]})",
        "{\"id\":7,\"ok\":true,\"user\":\"\xFF\"}"}) {
    EXPECT_FALSE(read_command_answer(line)) << line;
  }
  std::string groups = "\"g\"";
  for (std::size_t i = 1; i < limits::user_groups_max; ++i) groups += ",\"g\"";
  EXPECT_TRUE(read_command_answer("{\"id\":7,\"ok\":true,\"groups\":[" + groups + "]}"));
  EXPECT_FALSE(read_command_answer("{\"id\":7,\"ok\":true,\"groups\":[" + groups + ",\"g\"]}"));
  EXPECT_FALSE(read_command_answer(std::string(limits::command_line_octets_max, ' ') + "{\"id\":7,\"ok\":true}"));
  EXPECT_FALSE(read_command_answer(std::string(limits::command_line_octets_max, '['))) << "however deep";
}

TEST(CommandAnswer, NoPrefixIsTakenForIt) {
  const std::string whole = R"({"id":7,"ok":true,"user":"alice","groups":["staff"]})";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read_command_answer(std::string_view(whole).substr(0, size))) << size;
  }
  EXPECT_TRUE(read_command_answer(whole));
}

}  // namespace
}  // namespace stile::auth
