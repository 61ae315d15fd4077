// What an operator's command and a running server say to each other: one JSON object a line, each way. Pure; any
// thread. The answer is what a server with other rights sent, hence hostile to whoever reads it, as the request is.
// Tested in control_message_test.cc, fuzzed in control_message_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "server/control.h"

namespace stile::admin {

enum class Request : std::uint8_t { reload };

[[nodiscard]] std::string to_line(Request request);
/// The failure says what is wrong, as part of a sentence.
[[nodiscard]] std::expected<Request, std::string> parse_request(std::string_view line);

using Answer = std::expected<server::Reloaded, server::ReloadRefusal>;

[[nodiscard]] std::string to_line(const Answer& answer);
/// Nothing that is no answer of ours.
[[nodiscard]] std::expected<Answer, std::string> parse_answer(std::string_view line);

}  // namespace stile::admin
