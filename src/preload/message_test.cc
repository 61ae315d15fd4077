#include "preload/message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace stile::preload {
namespace {

using Octets = std::vector<std::uint8_t>;

Endpoint at(const char* text) {
  return Endpoint::parse(text).value();
}

Octets octets(std::string_view text) {
  return {text.begin(), text.end()};
}

Octets encoded(const Question& question) {
  MessageRoom room;
  const ConstBytes record = encode(question, room);
  return {record.begin(), record.end()};
}

Octets encoded(const Answer& answer) {
  MessageRoom room;
  const ConstBytes record = encode(answer, room);
  return {record.begin(), record.end()};
}

TEST(Message, QuestionsComeAsTheyWent) {
  const Octets name = octets("www.example.com");
  for (int kind = 1; kind <= 7; ++kind) {
    const Question asked{.kind = static_cast<Kind>(kind),
                         .proof = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                         .local = at("127.0.0.1:4711"),
                         .called = at("[2001:db8::1]:443"),
                         .octets = name};
    const Octets record = encoded(asked);
    const auto heard = decode_question(record);
    ASSERT_TRUE(heard.has_value());
    EXPECT_EQ(heard->kind, asked.kind);
    EXPECT_EQ(heard->proof, asked.proof);
    EXPECT_EQ(heard->local, asked.local);
    EXPECT_EQ(heard->called, asked.called);
    EXPECT_TRUE(std::ranges::equal(heard->octets, name));
  }
}

TEST(Message, AnswersComeAsTheyWent) {
  const Octets longest(message_text_octets_max, 7);
  const Answer said{
      .error = 111, .first = at("198.18.1.0:0"), .second = at("[fd73:7469:6c65::100]:0"), .octets = longest};
  const Octets record = encoded(said);
  const auto heard = decode_answer(record);
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->error, 111);
  EXPECT_EQ(heard->first, said.first);
  EXPECT_EQ(heard->second, said.second);
  EXPECT_TRUE(std::ranges::equal(heard->octets, longest));
}

TEST(Message, NoPrefixIsARecordAndNothingMayFollow) {
  const Octets name = octets("a.example");
  Octets question = encoded(Question{.kind = Kind::name, .local = at("[::1]:1"), .octets = name});
  Octets answer = encoded(Answer{.first = at("[2001:db8::1]:2"), .octets = name});
  for (std::size_t size = 0; size < question.size(); ++size) {
    EXPECT_FALSE(decode_question(Octets(question.begin(), question.begin() + static_cast<long>(size)))) << size;
  }
  for (std::size_t size = 0; size < answer.size(); ++size) {
    EXPECT_FALSE(decode_answer(Octets(answer.begin(), answer.begin() + static_cast<long>(size)))) << size;
  }
  question.push_back(0);
  answer.push_back(0);
  EXPECT_FALSE(decode_question(question));
  EXPECT_FALSE(decode_answer(answer));
}

TEST(Message, WhatNobodyWritesIsRefused) {
  const Octets good = encoded(Question{.kind = Kind::about});
  const auto changed = [&](std::size_t place, std::uint8_t value) {
    Octets bad = good;
    bad[place] = value;
    return decode_question(bad).has_value();
  };
  EXPECT_FALSE(changed(0, 2));               // version
  EXPECT_FALSE(changed(1 + key_octets, 0));  // kind
  EXPECT_FALSE(changed(1 + key_octets, 8));
  EXPECT_FALSE(changed(2 + key_octets, 5));  // family
  Octets answer = encoded(Answer{});
  answer[0] = 0;
  EXPECT_FALSE(decode_answer(answer));
}

TEST(Message, KeysAreDigits) {
  Keys keys;
  for (std::size_t i = 0; i < key_octets; ++i) {
    keys.name[i] = static_cast<std::uint8_t>(i * 17);
    keys.proof[i] = static_cast<std::uint8_t>(255 - i);
  }
  std::string text(keys_text_octets, '?');
  write_keys(keys, text.data());
  EXPECT_EQ(text, "00112233445566778899aabbccddeefffffefdfcfbfaf9f8f7f6f5f4f3f2f1f0");
  EXPECT_EQ(parse_keys(text), keys);
  const SocketName name = socket_name(keys.name);
  EXPECT_EQ(std::string(name.begin(), name.end()), "stile-preload-00112233445566778899aabbccddeeff");
  EXPECT_FALSE(parse_keys(text.substr(1)));
  EXPECT_FALSE(parse_keys(text + "0"));
  EXPECT_FALSE(parse_keys(""));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = i % 2 == 0 ? 'G' : 'A';
    EXPECT_FALSE(parse_keys(bad)) << i;
  }
}

}  // namespace
}  // namespace stile::preload
