#include "client/proxy_files.h"

#include <cstdint>
#include <utility>

#include "base/limits.h"
#include "base/secret.h"

namespace stile::client {
namespace {

constexpr std::size_t password_file_octets_max = 4'096;
constexpr std::size_t password_octets_max = 255;  // RFC 1929 section 2

void forget(std::string& text) noexcept {
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

std::expected<std::string, protect::TlsFault> text_of(const std::string& path, protect::TlsFile part) {
  const bool key = part == protect::TlsFile::key;
  auto text =
      sys::read_trusted_file(path, limits::tls_file_octets_max, key ? sys::Secrecy::secret : sys::Secrecy::none);
  if (text) return *std::move(text);
  return std::unexpected(protect::TlsFault{part, std::move(text.error().why), std::move(text.error().cure)});
}

}  // namespace

std::expected<std::string, sys::FileRefusal> password_in(const std::string& path) {
  auto text = sys::read_trusted_file(path, password_file_octets_max, sys::Secrecy::secret);
  if (!text) return text;
  std::string password = text->substr(0, text->find_first_of("\r\n"));
  forget(*text);
  if (password.empty() || password.size() > password_octets_max) {
    return std::unexpected(sys::FileRefusal{"its first line is no password", "write 1 to 255 octets there"});
  }
  return password;
}

std::expected<std::shared_ptr<const protect::TlsClient>, protect::TlsFault> tls_client_of(const ProxyTlsFiles& files) {
  protect::TlsClientTexts texts;
  if (!files.ca.empty()) {
    auto ca = text_of(files.ca, protect::TlsFile::client_ca);
    if (!ca) return std::unexpected(std::move(ca.error()));
    texts.ca = *std::move(ca);
  }
  if (!files.certificate.empty()) {
    auto certificate = text_of(files.certificate, protect::TlsFile::certificate);
    if (!certificate) return std::unexpected(std::move(certificate.error()));
    auto key = text_of(files.key, protect::TlsFile::key);
    if (!key) return std::unexpected(std::move(key.error()));
    texts.own = protect::TlsOwnTexts{.certificate = *std::move(certificate), .key = Secret(*key)};
    forget(*key);
  }
  return protect::TlsClient::create(texts);
}

}  // namespace stile::client
