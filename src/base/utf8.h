// Whether octets are UTF-8 (RFC 3629): for names that go to back ends of other people's making. Refuses: overlong
// forms, surrogates, and what lies beyond U+10FFFF, which a second reader could take for something else. Pure. Tested
// in utf8_test.cc.
#pragma once

#include <string_view>

namespace stile {

[[nodiscard]] bool is_utf8(std::string_view octets) noexcept;

}  // namespace stile
