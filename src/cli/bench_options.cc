#include "cli/bench_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "base/limits.h"
#include "base/number.h"
#include "cli/proxy_choice.h"
#include "loadgen/origin_messages.h"
#include "loadgen/schedule.h"
#include "policy/words.h"

namespace stile::cli {
namespace {

using loadgen::Mode;

struct ModeRow {
  std::string_view word;
  Mode mode;
  std::size_t connections;  // unless --connections says otherwise
};

constexpr ModeRow modes[] = {
    {"down", Mode::down, 16},           {"up", Mode::up, 16},
    {"both", Mode::both, 16},           {"rr", Mode::round_trips, 64},
    {"connect", Mode::connections, 64}, {"handshake", Mode::handshakes, 64},
    {"idle", Mode::idle, 1000},         {"udp", Mode::datagrams, 1},
};

constexpr double seconds_max = 86'400;

/// Reads the flags of one command line; the first fault is kept.
class Reader {
 public:
  explicit Reader(const Arguments& arguments) noexcept : arguments_(arguments) {}

  /// `value` stays as it is where the flag is not given.
  void number(std::string_view flag, std::uint64_t least, std::uint64_t most, std::size_t& value) {
    std::optional<std::uint64_t> read;
    number(flag, least, most, read);
    if (read) value = static_cast<std::size_t>(*read);
  }

  void number(std::string_view flag, std::uint64_t least, std::uint64_t most, std::optional<std::uint64_t>& value) {
    const auto text = arguments_.value(flag);
    if (!text) return;
    const auto read = whole_number<std::uint64_t>(*text, most);
    if (!read || *read < least) {
      return fail(
          fmt::format("cannot use {} {}: expected a number from {} to {}", flag, policy::quoted(*text), least, most));
    }
    value = *read;
  }

  void seconds(std::string_view flag, double least, Duration& value) {
    const auto text = arguments_.value(flag);
    if (!text) return;
    double read = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), read);
    const bool whole = error == std::errc{} && end == text->data() + text->size() && std::isfinite(read);
    if (!whole || read < least || read > seconds_max) {
      return fail(fmt::format("cannot use {} {}: expected seconds from {} to {}", flag, policy::quoted(*text), least,
                              seconds_max));
    }
    value = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(read));
  }

  void endpoint(std::string_view flag, std::optional<Endpoint>& value) {
    const auto text = arguments_.value(flag);
    if (!text) return;
    value = Endpoint::parse(*text);
    if (!value || value->port == 0) {
      fail(fmt::format("cannot use {} {}: expected ADDR:PORT, an address and no name", flag, policy::quoted(*text)));
    }
  }

  /// The flag belongs to other modes.
  void refuse(std::initializer_list<std::string_view> flags) {
    for (const std::string_view flag : flags) {
      if (!arguments_.has(flag)) continue;
      fail(fmt::format("cannot use {} with {}: it means nothing there (see 'stile bench --help')", flag,
                       arguments_.operand));
    }
  }

  void fail(std::string what) {
    if (error_.empty()) error_ = "stile: " + std::move(what);
  }
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  const Arguments& arguments_;
  std::string error_;
};

void read_verify(const Arguments& arguments, Reader& reader, loadgen::Options& load) {
  const auto text = arguments.value("--verify");
  if (!text || *text == "full") return;
  if (*text == "edges") {
    load.verify = loadgen::Verify::edges;
    return;
  }
  reader.fail(fmt::format("cannot use --verify {}: expected full or edges", policy::quoted(*text)));
}

void refuse_what_means_nothing(Mode mode, Reader& reader) {
  if (loadgen::is_bulk(mode)) reader.refuse({"--size", "--rate"});
  if (mode == Mode::handshakes) reader.refuse({"--size"});
  if (mode == Mode::idle) reader.refuse({"--rate"});
  if (mode != Mode::datagrams) reader.refuse({"--window", "--offload"});
  reader.refuse({"--listen"});
}

void read_size(Mode mode, Reader& reader, loadgen::Options& load) {
  if (mode != Mode::datagrams) return reader.number("--size", 1, limits::bench_message_octets_max, load.size);
  // The SOCKS header stands in front of it in the same datagram.
  constexpr std::size_t header_octets_max = 22;
  reader.number("--size", loadgen::datagram_head_octets, limits::udp_payload_octets_max - header_octets_max, load.size);
}

std::expected<BenchRequest, std::string> with_proxy(BenchRequest request, const Arguments& arguments,
                                                    const Environment& environment) {
  if (arguments.has("--direct")) {
    if (arguments.has("--via")) {
      return std::unexpected("stile: cannot use --direct with --via: it goes through no proxy (give one of them)");
    }
    return request;
  }
  auto choice = choose_proxy(arguments, environment);
  if (!choice) return std::unexpected(std::move(choice.error()));
  if (request.load.mode == Mode::datagrams && choice->proxy.url.protocol != wire::ProxyProtocol::socks5) {
    return std::unexpected("stile: cannot bench udp through this proxy: only SOCKS5 has associations (use socks5h://)");
  }
  request.load.proxy = std::move(choice->proxy);
  request.warning = std::move(choice->warning);
  return request;
}

}  // namespace

std::expected<BenchRequest, std::string> parse_bench(const Arguments& arguments, const Environment& environment) {
  const auto* const row = std::ranges::find(modes, arguments.operand, &ModeRow::word);
  STILE_ASSERT(row != std::end(modes));  // the table of commands lists the same words
  BenchRequest request;
  loadgen::Options& load = request.load;
  load.mode = row->mode;
  load.connections = row->connections;
  load.offload = arguments.has("--offload");
  Reader reader(arguments);
  refuse_what_means_nothing(load.mode, reader);
  reader.number("--connections", 1, limits::bench_connections_max, load.connections);
  read_size(load.mode, reader, load);
  reader.seconds("--seconds", 0.01, load.measured);
  reader.seconds("--warmup", 0, load.warmup);
  reader.number("--rate", 1, loadgen::Schedule::rate_max, load.rate);
  reader.number("--window", 1, limits::bench_window_max, load.window);
  reader.endpoint("--origin", load.origin);
  read_verify(arguments, reader, load);
  if (!reader.error().empty()) return std::unexpected(reader.error());
  return with_proxy(std::move(request), arguments, environment);
}

std::expected<BenchOrigin, std::string> parse_bench_origin(const Arguments& arguments) {
  Reader reader(arguments);
  reader.refuse({"--via", "--direct", "--connections", "--size", "--seconds", "--warmup", "--rate", "--origin",
                 "--verify", "--window", "--password-file", "--clear-password", "--ca", "--certificate", "--key",
                 "--json"});
  std::optional<Endpoint> local;
  reader.endpoint("--listen", local);
  if (reader.error().empty() && !local) reader.fail("cannot bench origin: --listen ADDR:PORT is missing");
  if (!reader.error().empty()) return std::unexpected(reader.error());
  return BenchOrigin{.local = *local, .offload = arguments.has("--offload")};
}

std::string_view word(loadgen::Mode mode) noexcept {
  return std::ranges::find(modes, mode, &ModeRow::mode)->word;
}

}  // namespace stile::cli
