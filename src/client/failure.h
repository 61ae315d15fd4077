// Why something that libstile was asked for came to nothing, as include/stile/stile.h tells it: a code, an errno that
// says about the same, the proxy's own reply, and a text. The one translation of route::Trouble and of the dialling's
// reasons into these. No text holds a password, or an octet that a proxy chose. Threading: values and pure functions.
// Tested in failure_test.cc, which visits every obstacle, fault and reply.
#pragma once

#include <stile/stile.h>

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/reason.h"
#include "route/chain.h"
#include "route/trouble.h"

namespace stile::client {

struct Failure {
  stile_code code = STILE_OK;
  int system_error = 0;
  int reply = -1;
  stile_protocol protocol = STILE_PROTOCOL_NONE;
  int hop = -1;
  std::string text;

  [[nodiscard]] bool is_none() const noexcept { return code == STILE_OK; }
};

/// Fills all of `error`, where it is not nullptr, and sets errno.
void tell(const Failure& failure, stile_error* error) noexcept;

/// What a chain through `hops` came to.
[[nodiscard]] Failure failure_of(const route::Trouble& trouble, std::span<const route::Hop* const> hops);
/// Of a target that is reached without a proxy: the lookup of its name failed, or every address of it did.
[[nodiscard]] Failure direct_failure(Reason reason, const Target& target);
/// Of this process.
[[nodiscard]] Failure system_failure(std::string_view what, const Error& error);
[[nodiscard]] Failure argument_failure(std::string text);
[[nodiscard]] Failure state_failure(std::string text);
[[nodiscard]] Failure timeout_failure(std::string text);

}  // namespace stile::client
