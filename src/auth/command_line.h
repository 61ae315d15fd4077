// What the helper and the operator's program say to each other: a JSON object a line (docs/authentication.md).
//
//   asked     {"id":7,"user":"alice","password":"…","client":"192.0.2.1","listener":"127.0.0.1:1080"}
//   answered  {"id":7,"ok":true,"user":"alice","groups":["staff"]}     user and groups may be left out
//
// Refuses: passwords that are no UTF-8, which JSON cannot carry; answers that are not one object, lack `id` or `ok`, or
// have a user or group that could mean something else to a reader. Other keys mean nothing. Threading: pure functions.
// Tested in command_line_test.cc, fuzzed in command_line_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/helper_record.h"

namespace stile::auth {

/// A line with its end; whoever holds the octets wipes them. Nullopt where the password is no UTF-8.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> write_command_request(const wire::HelperLogin& login);

struct CommandAnswer {
  std::uint64_t id = 0;
  bool accepted = false;
  std::optional<std::string> user;  // absent: as asked
  std::vector<std::string> groups;

  friend bool operator==(const CommandAnswer&, const CommandAnswer&) = default;
};

/// Of one line, without its end.
[[nodiscard]] std::optional<CommandAnswer> read_command_answer(std::string_view line);

}  // namespace stile::auth
