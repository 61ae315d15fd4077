// The files by which Stile shows itself to a proxy and knows it, for a command's flags as for an upstream's keys: read
// as sys/trusted_file reads, secrets as secrets. Blocking, for any thread. Tested in proxy_choice_test.cc.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "protect/tls.h"
#include "sys/trusted_file.h"

namespace stile::client {

/// The file's first line: 1 to 255 octets (RFC 1929, section 2).
[[nodiscard]] std::expected<std::string, sys::FileRefusal> password_in(const std::string& path);

/// Paths; empty: none.
struct ProxyTlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;  // of the certificate
};

/// The fault names the file by its part.
[[nodiscard]] std::expected<std::shared_ptr<const protect::TlsClient>, protect::TlsFault> tls_client_of(
    const ProxyTlsFiles& files);

}  // namespace stile::client
