// What `stile bench` shows: the figures as text or JSON, and one line of progress. Tested in bench_output_test.cc.
#pragma once

#include <memory>
#include <string>

#include "loadgen/run.h"

namespace stile::cli {

/// Lines for people, each with its newline.
[[nodiscard]] std::string bench_text(const loadgen::Options& options, const loadgen::Figures& figures);
/// One object, with its newline. Latencies are in microseconds; a bulk mode has none.
[[nodiscard]] std::string bench_json(const loadgen::Options& options, const loadgen::Figures& figures);

/// One line on standard error that is written over, where that is a terminal.
[[nodiscard]] std::unique_ptr<loadgen::Show> make_bench_show(const loadgen::Options& options, bool terminal);
/// Takes the line away.
void clear_bench_line(bool terminal);

}  // namespace stile::cli
