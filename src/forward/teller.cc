#include "forward/teller.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "client/failure.h"
#include "session/proxy_failure.h"
#include "sys/terminal.h"

namespace stile::forward {
namespace {

using observe::RecordFormat;

/// What a SOCKS5 proxy says with this reply code; nothing where the reason is none that a proxy answers.
std::optional<std::string> answered(Reason reason) {
  if (reason < Reason::upstream_general || reason > Reason::upstream_address_type) return std::nullopt;
  return session::explain({.fault = session::ProxyFault::refused,
                           .awaited = session::Awaited::reply,
                           .code = static_cast<std::uint16_t>(reply_code(reason))})
      .why;
}

}  // namespace

Result<std::unique_ptr<Teller>> Teller::create(Manner manner) {
  auto output =
      observe::RecordSink::create(sys::standard_output, manner.json ? RecordFormat::json : RecordFormat::text);
  if (!output) return std::unexpected(output.error());
  auto errors = observe::RecordSink::create(sys::standard_error, RecordFormat::text);
  if (!errors) return std::unexpected(errors.error());
  return std::unique_ptr<Teller>(new Teller(manner, *std::move(output), *std::move(errors)));
}

void Teller::listening(std::string_view place, std::string_view kind, std::string_view target) {
  if (!manner_.json) return output_->write_lines(fmt::format("{} {} {}\n", place, kind, target));
  const nlohmann::ordered_json line{{"event", "listening"}, {"address", place}, {"kind", kind}, {"target", target}};
  output_->write_lines(line.dump(-1, ' ', true) + "\n");
}

void Teller::failed(std::string_view what, std::string_view why, std::string_view cure) {
  errors_->write_lines(
      fmt::format("stile: cannot {}: {}{}\n", what, why, cure.empty() ? "" : fmt::format(" ({})", cure)));
}

void Teller::report(const observe::Record& record) noexcept {
  if (manner_.json) output_->write(record);
  if (manner_.every_connection) errors_->write(record);
  const bool is_failure = record.event == observe::Event::error || record.event == observe::Event::denied;
  if (!is_failure || record.reason == Reason::client_reset || record.reason == Reason::drain) return;
  const std::string client = record.client ? " for " + record.client->to_string() : std::string();
  failed(fmt::format("reach {}{}", record.target, client), why(record.reason), "");
}

// The last one's words, where it is the upstream that failed: several do not fail at once for different reasons.
std::string Teller::why(Reason reason) const {
  if (auto words = answered(reason)) return *std::move(words);
  if (reason == Reason::upstream_failed && figures_) {
    std::optional<route::ServerFigures> newest;
    for (route::ServerFigures& one : figures_()) {
      if (!one.last_failure || (newest && newest->last_failure->ago <= one.last_failure->ago)) continue;
      newest = std::move(one);
    }
    if (newest) return fmt::format("{}: {}", newest->server, newest->last_failure->why);
  }
  if ((reason >= Reason::dns_not_found && reason <= Reason::dial_failed) || reason == Reason::no_resources) {
    const Target nobody;
    return client::direct_failure(reason, nobody).text.substr(nobody.to_string().size() + 2);
  }
  return std::string(token(reason));
}

}  // namespace stile::forward
