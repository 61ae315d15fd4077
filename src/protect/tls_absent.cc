// For builds without TLS: nothing can be created.
#include "protect/tls.h"

namespace stile::protect {
namespace {

std::unexpected<TlsFault> absent() {
  return std::unexpected(TlsFault{.file = TlsFile::certificate,
                                  .why = "this build has no TLS",
                                  .cure = "use an executable whose `stile --version` names tls"});
}

}  // namespace

bool has_tls() noexcept {
  return false;
}

std::expected<std::shared_ptr<const TlsServer>, TlsFault> TlsServer::create(const TlsServerTexts&) {
  return absent();
}

std::expected<std::shared_ptr<const TlsClient>, TlsFault> TlsClient::create(const TlsClientTexts&) {
  return absent();
}

}  // namespace stile::protect
