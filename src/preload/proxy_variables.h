// Variables of the environment by which programs find a proxy (protocol reference, section 10). A program whose
// connections are carried anyhow must not go by them: it would ask the proxy for the way to the proxy. Pure; tested in
// proxy_variables_test.cc.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace stile::preload {

/// No program but Stile's reads it.
inline constexpr const char* own_proxy_name = "STILE_VIA";
/// Where Stile looks for the proxy, the first that is set and not empty counting.
inline constexpr std::array<const char*, 4> proxy_names{own_proxy_name, "all_proxy", "ALL_PROXY", "SOCKS_PROXY"};

/// In small letters; programs read either.
inline constexpr std::array<std::string_view, 8> proxy_variables{
    "all_proxy", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "socks_proxy", "socks5_server", "stile_via"};

[[nodiscard]] constexpr bool names_a_proxy(std::string_view variable) noexcept {
  constexpr auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::any_of(proxy_variables,
                             [&](std::string_view one) { return std::ranges::equal(one, variable, {}, {}, small); });
}

}  // namespace stile::preload
