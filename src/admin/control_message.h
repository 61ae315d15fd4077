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

enum class Request : std::uint8_t { reload, upstreams, counters };

[[nodiscard]] std::string to_line(Request request);
/// The failure says what is wrong, as part of a sentence.
[[nodiscard]] std::expected<Request, std::string> parse_request(std::string_view line);

/// Of what was asked for: server::Reloaded, UpstreamReport or CounterReport.
template <class Done>
using Answer = std::expected<Done, server::Refusal>;

[[nodiscard]] std::string to_line(const Answer<server::Reloaded>& answer);
[[nodiscard]] std::string to_line(const Answer<server::UpstreamReport>& answer);
[[nodiscard]] std::string to_line(const Answer<server::CounterReport>& answer);

/// Nothing that is no answer of ours. What is missing in one counts as absent or 0.
template <class Done>
[[nodiscard]] std::expected<Answer<Done>, std::string> parse_answer(std::string_view line);

}  // namespace stile::admin
