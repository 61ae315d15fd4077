// TLS, as a Transform: the certificates and rules of a listener or of a client, read and checked once (TlsServer,
// TlsClient), and from them one transform for each connection. Versions 1.2 and 1.3 with the library's ciphers; no
// renegotiation, no compression, no early data, no resumption: each connection proves anew who is at its other end.
// A client's certificate names it by its subjectAltName, never by its CN: the first URI, else DNS name, else e-mail
// address.
// Refuses: to read files (the caller does, and the texts are wiped), encrypted keys, certificates that are not valid
// today, a certificate without its own key.
// Threading: TlsServer and TlsClient are immutable, any thread; a transform belongs to one. Where the build has no TLS
// (tls_absent.cc), nothing can be created. Tested in tls_test.cc, and by tests/e2e/tls_test.py against other people's
// programs.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/address.h"
#include "base/reason.h"
#include "base/secret.h"
#include "protect/transform.h"

namespace stile::protect {

/// Whether this build speaks it.
[[nodiscard]] bool has_tls() noexcept;

/// `client_ca`: of a client, the CAs that its servers' certificates are to lead to.
enum class TlsFile : std::uint8_t { certificate, key, client_ca, crl };

/// Which text is at fault: why, and what to do.
struct TlsFault {
  TlsFile file = TlsFile::certificate;
  std::string why;
  std::string cure;
};

/// What one end shows of itself, in PEM.
struct TlsOwnTexts {
  std::string certificate;  // its own first, then those of the CAs between it and the root
  Secret key;
};

/// The texts of a listener's files, in PEM.
struct TlsServerTexts {
  TlsOwnTexts own;
  std::optional<std::string> client_ca;  // every client has to show a certificate of one of these CAs
  std::optional<std::string> crl;        // and none that it lists
};

/// Those of a client.
struct TlsClientTexts {
  std::optional<std::string> ca;   // the CAs that count; absent: those of the system
  std::optional<TlsOwnTexts> own;  // for a server that asks for a certificate
};

/// What a server shows of itself.
struct TlsSight {
  std::string version;            // "TLSv1.3"
  std::string subject;            // of its certificate: its first name, or, without any, its subject (RFC 2253)
  std::string issuer;             // likewise its issuer's subject
  std::string expiry;             // "2027-03-01"
  Reason verdict = Reason::none;  // why a client does not trust it
};

/// An end that may know who is at the other one.
class TlsTransform : public Transform {
 public:
  /// The name in the client's certificate, once established; empty where none was asked for.
  [[nodiscard]] virtual const std::string& peer_name() const noexcept = 0;
  /// Once established; of a client's end.
  [[nodiscard]] virtual TlsSight sight() const = 0;
};

class TlsServer {
 public:
  [[nodiscard]] static std::expected<std::shared_ptr<const TlsServer>, TlsFault> create(const TlsServerTexts& texts);
  virtual ~TlsServer() = default;
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  /// nullptr where there is no memory.
  [[nodiscard]] virtual std::unique_ptr<TlsTransform> accept() const = 0;

 protected:
  TlsServer() noexcept = default;
};

class TlsClient {
 public:
  [[nodiscard]] static std::expected<std::shared_ptr<const TlsClient>, TlsFault> create(const TlsClientTexts& texts);
  virtual ~TlsClient() = default;
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  /// For the server that bears this name or address, and proves it. nullptr where there is no memory.
  [[nodiscard]] virtual std::unique_ptr<Transform> connect(const Host& server) const = 0;
  /// One that goes on with whoever answers, to see who that is: nothing may be sent behind its handshake.
  [[nodiscard]] virtual std::unique_ptr<TlsTransform> look(const Host& server) const = 0;

 protected:
  TlsClient() noexcept = default;
};

}  // namespace stile::protect
