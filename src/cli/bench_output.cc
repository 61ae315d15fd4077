#include "cli/bench_output.h"

#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/bench_options.h"

namespace stile::cli {
namespace {

using Json = nlohmann::ordered_json;
using loadgen::Figures;
using loadgen::Mode;
using loadgen::Options;

double microseconds(Duration duration) noexcept {
  return static_cast<double>(duration.count()) / 1000.0;
}

/// What an operation of the mode is.
std::string_view unit_of(Mode mode) noexcept {
  switch (mode) {
    case Mode::round_trips:
      return "round trips";
    case Mode::connections:
    case Mode::handshakes:
      return "connections";
    case Mode::idle:
      return "tunnels";
    case Mode::datagrams:
      return "datagrams";
    default:
      return "octets";
  }
}

std::string way_of(const Options& options) {
  return options.proxy ? options.proxy->url.to_string() : "direct";
}

/// 12,345,678
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string rate_text(const Options& options, const Figures& figures) {
  if (!loadgen::is_bulk(options.mode)) return grouped(static_cast<std::uint64_t>(figures.per_second)) + " a second";
  return fmt::format("{:.2f} Gbit/s", figures.per_second * 8 / 1e9);
}

std::string cost_text(const Options& options, const Figures& figures) {
  if (figures.operations == 0) return "";
  const double each = figures.cpu_seconds / static_cast<double>(figures.operations);
  if (loadgen::is_bulk(options.mode)) return fmt::format(", {:.3f} s a GB", each * 1e9);
  return fmt::format(", {:.2f} us each", each * 1e6);
}

std::string line(std::string_view label, std::string_view text) {
  return fmt::format("{:<12}{}\n", label, text);
}

std::string head_of(const Options& options) {
  std::string text = fmt::format("{}, {} ", way_of(options), options.connections);
  text += options.mode == Mode::datagrams     ? "associations"
          : options.mode == Mode::connections ? "at once"
                                              : "connections";
  const bool sized = !loadgen::is_bulk(options.mode) && options.mode != Mode::handshakes;
  if (sized) text += fmt::format(", {} octets", options.size);
  if (options.mode == Mode::datagrams) text += fmt::format(", window {}", options.window);
  if (options.offload) text += ", offload";
  if (options.rate) text += fmt::format(", {} a second due", grouped(*options.rate));
  return text;
}

std::string latency_text(const loadgen::Histogram& latency) {
  return fmt::format("min {:.1f}  mean {:.1f}  p50 {:.1f}  p90 {:.1f}  p99 {:.1f}  p99.9 {:.1f}  max {:.1f} us",
                     microseconds(latency.min()), microseconds(latency.mean()), microseconds(latency.percentile(0.5)),
                     microseconds(latency.percentile(0.9)), microseconds(latency.percentile(0.99)),
                     microseconds(latency.percentile(0.999)), microseconds(latency.max()));
}

class LineShow final : public loadgen::Show {
 public:
  LineShow(const Options& options, bool terminal) : options_(options), terminal_(terminal) {}

  void progress(const loadgen::Progress& progress) override {
    if (!terminal_) return;
    const double elapsed = std::chrono::duration<double>(progress.elapsed).count();
    const double whole = std::chrono::duration<double>(options_.measured).count();
    const std::string rate = loadgen::is_bulk(options_.mode)
                                 ? fmt::format("{:.2f} Gbit/s", progress.per_second * 8 / 1e9)
                                 : grouped(static_cast<std::uint64_t>(progress.per_second)) + " a second";
    fmt::print(stderr, "\r\x1b[K{} {:.1f}/{:.1f} s  {}", word(options_.mode), elapsed, whole, rate);
    std::fflush(stderr);
  }
  void holding(std::size_t tunnels) override { fmt::print(stderr, "holding {} tunnels\n", tunnels); }
  void listening(const Endpoint& at) override { fmt::print(stderr, "listening on {}\n", at.to_string()); }

 private:
  const Options& options_;
  bool terminal_;
};

}  // namespace

std::string bench_text(const Options& options, const Figures& figures) {
  const std::string_view unit = unit_of(options.mode);
  std::string text = line(word(options.mode), head_of(options));
  text += line("measured", fmt::format("{:.2f} s after {:.2f} s of warm-up", figures.seconds, figures.warmup));
  text += line(unit, fmt::format("{} ({} in all)", grouped(figures.operations), grouped(figures.operations_total)));
  if (options.mode != Mode::idle) text += line("rate", rate_text(options, figures));
  if (figures.latency.count() > 0) text += line("latency", latency_text(figures.latency));
  if (options.mode == Mode::datagrams) text += line("drops", grouped(figures.drops));
  text +=
      line("processor", fmt::format("{:.2f} s of this process{}", figures.cpu_seconds, cost_text(options, figures)));
  if (figures.behind > 0) {
    text += line("behind", grouped(figures.behind) + " were due and not begun: the rate is more than can be served");
  }
  for (const auto& [reason, count] : figures.errors)
    text += line("error", fmt::format("{} x {}", grouped(count), reason));
  text += line("octets", figures.wrong == 0 ? "as they were sent" : "WRONG");
  return text;
}

std::string bench_json(const Options& options, const Figures& figures) {
  Json object = {{"mode", word(options.mode)},
                 {"via", way_of(options)},
                 {"connections", options.connections},
                 {"size", loadgen::is_bulk(options.mode) || options.mode == Mode::handshakes ? 0 : options.size},
                 {"seconds", figures.seconds},
                 {"warmup", figures.warmup},
                 {"operations", figures.operations},
                 {"operations_total", figures.operations_total},
                 {"octets", figures.octets},
                 {"octets_total", figures.octets_total},
                 {"per_second", figures.per_second}};
  if (!loadgen::is_bulk(options.mode)) {
    const loadgen::Histogram& latency = figures.latency;
    object["latency_us"] = {{"min", microseconds(latency.min())},
                            {"mean", microseconds(latency.mean())},
                            {"p50", microseconds(latency.percentile(0.5))},
                            {"p90", microseconds(latency.percentile(0.9))},
                            {"p99", microseconds(latency.percentile(0.99))},
                            {"p999", microseconds(latency.percentile(0.999))},
                            {"max", microseconds(latency.max())}};
  }
  object["errors"] = Json::object();
  for (const auto& [reason, count] : figures.errors) object["errors"][reason] = count;
  object["verified"] = figures.wrong == 0 && figures.operations_total > 0;
  object["cpu_seconds"] = figures.cpu_seconds;
  if (options.mode == Mode::datagrams) object["drops"] = figures.drops;
  if (options.rate) {
    object["rate"] = *options.rate;
    object["behind"] = figures.behind;
  }
  return object.dump() + "\n";
}

std::unique_ptr<loadgen::Show> make_bench_show(const Options& options, bool terminal) {
  return std::make_unique<LineShow>(options, terminal);
}

void clear_bench_line(bool terminal) {
  if (terminal) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace stile::cli
