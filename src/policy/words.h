// The fixed words of the policy language, and how a wrong one is reported. Pure; any thread. Tested in rules_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/policy.h"

namespace stile::policy {

/// `connect` is another word for tcp.
[[nodiscard]] std::optional<Command> command_named(std::string_view word) noexcept;
/// The port of a well-known service name.
[[nodiscard]] std::optional<std::uint16_t> service_port(std::string_view word) noexcept;
/// A word that begins an option.
[[nodiscard]] bool is_option(std::string_view word) noexcept;

[[nodiscard]] std::span<const std::string_view> command_words() noexcept;
[[nodiscard]] std::span<const std::string_view> service_words() noexcept;
[[nodiscard]] std::span<const std::string_view> option_words() noexcept;
/// `mon` to `sun`, in the order of WeekTime.
[[nodiscard]] std::span<const std::string_view> day_words() noexcept;
[[nodiscard]] std::span<const std::string_view> class_words() noexcept;
/// Classes and `any`.
[[nodiscard]] std::span<const std::string_view> host_words() noexcept;

/// 'word', shortened and with every octet outside printable ASCII as \xHH, so that a message shows what is there.
[[nodiscard]] std::string quoted(std::string_view word);
/// " (did you mean 'X'?)", or nothing when no known word is near.
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string_view> known);

}  // namespace stile::policy
