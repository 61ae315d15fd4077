// A build without GSSAPI.
#include "protect/gss.h"

#include "protect/gss_ticket.h"
#include "protect/ticket_source.h"

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

std::shared_ptr<const GssTicket> GssTicket::import(ConstBytes, std::string, WallTime) {
  return nullptr;
}

std::unique_ptr<TicketSource> TicketSource::create() {
  return nullptr;
}

}  // namespace stile::protect
