#include "admin/control_message.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::admin {
namespace {

TEST(ControlMessage, ARequestIsReadBack) {
  EXPECT_EQ(parse_request(to_line(Request::reload)), Request::reload);
}

TEST(ControlMessage, WhatIsNoRequestIsNone) {
  for (const std::string line :
       {"", "reload", "[]", "{}", R"({"request":1})", R"({"request":"stop"})", "{\"request\":"}) {
    EXPECT_FALSE(parse_request(line)) << line;
  }
}

TEST(ControlMessage, ASuccessIsReadBack) {
  const Answer answer = server::Reloaded{.generation = 7, .ended = 3, .kept = 9000, .notes = {"'workers' …"}};
  const auto read = parse_answer(to_line(answer));
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->generation, 7U);
  EXPECT_EQ((*read)->ended, 3U);
  EXPECT_EQ((*read)->kept, 9000U);
  EXPECT_EQ((*read)->notes, std::vector<std::string>{"'workers' …"});
}

TEST(ControlMessage, ARefusalIsReadBackAndStaysOneLine) {
  const Answer answer = std::unexpected(
      server::ReloadRefusal{.bad_configuration = true, .messages = {"a.toml:1:2: \"x\"\nforged\xff", "second"}});
  const std::string line = to_line(answer);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto read = parse_answer(line);
  ASSERT_TRUE(read && !*read);
  EXPECT_TRUE(read->error().bad_configuration);
  EXPECT_EQ(read->error().messages.size(), 2U);
}

TEST(ControlMessage, WhatIsNoAnswerIsNone) {
  for (const std::string line : {"", "{}", R"({"done":1})", "[true]", "nonsense"}) {
    EXPECT_FALSE(parse_answer(line)) << line;
  }
  const auto bare = parse_answer(R"({"done":false,"messages":[1,2]})");
  ASSERT_TRUE(bare && !*bare);
  EXPECT_EQ(bare->error().messages, std::vector<std::string>{"the server does not say why"});
}

}  // namespace
}  // namespace stile::admin
