// What `stile bench` was asked for: its words as values, with each mode's own defaults. Pure but for choose_proxy,
// which reads a password file. Tested in bench_options_test.cc.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "cli/options.h"
#include "cli/settings.h"
#include "loadgen/options.h"

namespace stile::cli {

struct BenchRequest {
  loadgen::Options load;
  std::string warning;  // for standard error; may be empty
};

/// The error is a whole message without its newline.
[[nodiscard]] std::expected<BenchRequest, std::string> parse_bench(const Arguments& arguments,
                                                                   const Environment& environment);

/// Of `stile bench origin`.
struct BenchOrigin {
  Endpoint local;
  bool offload = false;
};
[[nodiscard]] std::expected<BenchOrigin, std::string> parse_bench_origin(const Arguments& arguments);

/// As on the command line: "down", …, "rr".
[[nodiscard]] std::string_view word(loadgen::Mode mode) noexcept;

}  // namespace stile::cli
