#include "relay/tunnel_watch.h"

#include <algorithm>
#include <variant>

namespace stile::relay {
namespace {

// With the headers of its records; one that is cut into more of them than any library does is not followed.
constexpr std::size_t hello_octets_max = limits::tls_hello_octets_max + limits::KiB;

}  // namespace

bool TunnelWatch::look(ConstBytes octets) {
  if (octets.empty()) return true;
  if (kind_ == Kind::undecided) kind_ = octets.front() == wire::tls_handshake_record ? Kind::tls : Kind::http;
  return kind_ == Kind::tls ? look_for_hello(octets) : look_for_requests(octets);
}

bool TunnelWatch::look_for_hello(ConstBytes octets) {
  ConstBytes whole = octets;
  if (!hello_.empty()) {
    hello_.insert(hello_.end(), octets.begin(), octets.end());
    whole = hello_;
  }
  const auto result = wire::decode_tls_client_hello(whole.first(std::min(whole.size(), hello_octets_max)));
  if (const auto* hello = std::get_if<wire::Parsed<wire::TlsClientHello>>(&result)) {
    owner_->hello_seen(context_, hello->value);
    return false;
  }
  if (!std::holds_alternative<wire::NeedMore>(result) || whole.size() >= hello_octets_max) return false;
  if (hello_.empty()) hello_.assign(octets.begin(), octets.end());
  return true;
}

bool TunnelWatch::look_for_requests(ConstBytes octets) {
  while (!octets.empty()) {
    if (const auto request = requests_.next(octets)) owner_->request_seen(context_, *request);
  }
  return !requests_.over();
}

}  // namespace stile::relay
