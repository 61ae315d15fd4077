// Which addresses are this host's own, from the kernel's local routing table: what makes the policy class `self`. It
// covers any-IP ranges as well as interface addresses. Linux only; blocking, for the main thread.
// Tested in own_addresses_test.cc against the running kernel.
#pragma once

#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// Every route of type local in both families, the loopback prefixes (127.0.0.0/8, ::1) left out.
[[nodiscard]] Result<std::vector<Cidr>> own_addresses();

/// Tells of changes to them: readable after a change, until `drain` was called.
class OwnAddressMonitor {
 public:
  [[nodiscard]] static Result<OwnAddressMonitor> create();
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  /// Discards what the kernel reported; lost reports (ENOBUFS) count as a change too.
  void drain() noexcept;

 private:
  explicit OwnAddressMonitor(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace stile::sys
