// A build without GSSAPI.
#include "protect/gss.h"

namespace stile::protect {

bool has_gssapi() noexcept {
  return false;
}

void prepare_gssapi() noexcept {}

std::vector<std::string> files_of_gssapi() {
  return {};
}

std::unique_ptr<GssContext> GssContext::import(ConstBytes) {
  return nullptr;
}

std::unique_ptr<GssInitiator> GssInitiator::create(const std::string&, const Host&) {
  return nullptr;
}

}  // namespace stile::protect
