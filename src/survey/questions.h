// The questions of a survey, by what they are about. Each adds its findings to the report. Threading: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "survey/callback.h"
#include "survey/ground.h"
#include "survey/report.h"
#include "survey/survey.h"

namespace stile::survey {

/// What they have in common.
struct Case {
  const Ground& ground;
  const Plan& plan;
  Report& report;
  std::unique_ptr<Callback> callback = nullptr;  // absent: none is wanted, or possible
  std::optional<Endpoint> proxy = std::nullopt;  // the first one's address
  bool reaches_callback = false;                 // the proxy was seen to
  std::optional<Target> works = std::nullopt;    // a connection to it was seen to work

  /// Connects to `target`, and has octets echoed where it is our own.
  [[nodiscard]] Attempt connect(const Target& target, bool echoes, std::span<const route::Hop* const> hops,
                                Duration limit = step_wait) const;
  [[nodiscard]] Target own() const { return {callback->streams().address, callback->streams().port}; }
  /// Why something cannot be tried without a listener of ours that the proxy reaches.
  [[nodiscard]] std::string why_no_callback() const;
};

/// The same way with another last hop.
class OtherWay {
 public:
  OtherWay(const Ground& ground, route::Hop last) : last_(std::move(last)), hops_(ground.hops) {
    hops_.back() = &last_;
  }
  OtherWay(const OtherWay&) = delete;
  OtherWay& operator=(const OtherWay&) = delete;
  [[nodiscard]] std::span<const route::Hop* const> hops() const noexcept { return hops_; }

 private:
  route::Hop last_;
  std::vector<const route::Hop*> hops_;
};

// In this order (survey.cc).
[[nodiscard]] bool ask_tls(Case& about);
void ask_methods(Case& about);
void ask_connect(Case& about);
void ask_protocols(Case& about);
void ask_bind(Case& about);
void ask_associate(Case& about);
void ask_lookup(Case& about);
void ask_probes(Case& about);
void ask_replies(Case& about);
void ask_targets(Case& about);
void ask_haste(Case& about);
void ask_outward(Case& about);
void measure(Case& about);

}  // namespace stile::survey
