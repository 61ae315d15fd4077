// How ping and trace show what the proxy tells: as the lines that people know, or as one JSON object a line.
// Refuses: to print an octet of the proxy's that is not printable ASCII; the run (client/probe.h) escapes those.
// Threading: one thread. Tested in probe_output_test.cc.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "client/probe.h"

namespace stile::cli {

/// The line as one JSON object, without newline; empty for a line that only people need.
[[nodiscard]] std::string as_json(const wire::IcmpLine& line);

struct ProbeOutputOptions {
  bool json = false;
  bool quiet = false;    // text: the first line and the statistics only
  bool verbose = false;  // text: how the proxy was reached, on `err`
};

/// Writes each line to `out` at once. `out` and `err` outlive it.
[[nodiscard]] std::unique_ptr<client::ProbeShow> make_probe_output(const ProbeOutputOptions& options, std::FILE* out,
                                                                   std::FILE* err);

}  // namespace stile::cli
