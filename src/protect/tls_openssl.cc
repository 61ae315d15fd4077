// TLS by OpenSSL 3. The library reads from and writes to memory through a BIO of our own, which is the transform; it
// never sees a socket.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "protect/tls.h"

namespace stile::protect {
namespace {

template <auto Free>
struct Freer {
  template <class Object>
  void operator()(Object* object) const noexcept {
    Free(object);
  }
};
template <class Object, auto Free>
using Owned = std::unique_ptr<Object, Freer<Free>>;
using Certificate = Owned<X509, X509_free>;
using Context = Owned<SSL_CTX, SSL_CTX_free>;
using Memory = Owned<BIO, BIO_free>;

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A name that records and rules can hold: printable ASCII without blanks.
std::optional<std::string> plain_name(const ASN1_IA5STRING* name) {
  const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
                              static_cast<std::size_t>(ASN1_STRING_length(name)));
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (text.empty() || text.size() > limits::tls_name_octets_max || !plain) return std::nullopt;
  return std::string(text);
}

/// Of its subjectAltName the first URI, else DNS name, else e-mail address; empty where none of them can be used.
std::string name_of(const X509* certificate) {
  const Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return {};
  for (const int wanted : {GEN_URI, GEN_DNS, GEN_EMAIL}) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
      int kind = 0;
      const void* const value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind);
      if (kind != wanted) continue;
      if (auto name = plain_name(static_cast<const ASN1_IA5STRING*>(value))) return *std::move(name);
    }
  }
  return {};
}

/// As RFC 2253 has it, all but printable ASCII escaped.
std::string text_of(const X509_NAME* name) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (memory == nullptr || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

/// The library's own verification, and that the certificate names somebody.
int verify_client(int verified, X509_STORE_CTX* about) {
  if (verified != 1 || X509_STORE_CTX_get_error_depth(about) != 0) return verified;
  if (!name_of(X509_STORE_CTX_get_current_cert(about)).empty()) return 1;
  X509_STORE_CTX_set_error(about, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

// ── what failed ─────────────────────────────────────────────────────────────────────────────────────────────────────

Reason reason_of_verification(long result) noexcept {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Reason::tls_certificate_expired;
    case X509_V_ERR_CERT_REVOKED:
      return Reason::tls_certificate_revoked;
    case X509_V_ERR_APPLICATION_VERIFICATION:
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return Reason::tls_certificate_name;
    default:
      return Reason::tls_certificate_untrusted;
  }
}

/// As the library told it last. What is wrong with the peer's certificate was found here, what with the own one came as
/// an alert, whose kind is the peer's affair.
Reason reason_of_failure(const SSL* ssl, Reason otherwise) noexcept {
  const unsigned long error = ERR_peek_error();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return otherwise;
  switch (ERR_GET_REASON(error)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return reason_of_verification(SSL_get_verify_result(ssl));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return Reason::tls_certificate_missing;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return Reason::tls_certificate_refused;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return Reason::tls_version;
    default:
      return otherwise;
  }
}

// ── one connection ──────────────────────────────────────────────────────────────────────────────────────────────────

/// What all connections of a listener or a client share.
struct Core {
  Context context;
  Owned<BIO_METHOD, BIO_meth_free> method;
};

class OpenSslTransform final : public TlsTransform {
 public:
  explicit OpenSslTransform(std::shared_ptr<const Core> core) noexcept : core_(std::move(core)) {}

  /// False where there is no memory.
  [[nodiscard]] bool prepare(bool server, const Host* name, std::optional<int> verification);

  [[nodiscard]] Result<void> handshake() override;
  [[nodiscard]] bool established() const noexcept override { return established_; }
  void take(ConstBytes octets) override;
  [[nodiscard]] bool holds_input() const noexcept override {
    return used_ < input_.size() || SSL_pending(ssl_.get()) > 0;
  }
  [[nodiscard]] Result<std::size_t> open(MutableBytes plain) override;
  [[nodiscard]] bool connection_ended() noexcept override;
  [[nodiscard]] Result<std::size_t> seal(ConstBytes plain) override;
  void finish() override;
  [[nodiscard]] ConstBytes to_send() const noexcept override { return ConstBytes(output_).subspan(sent_); }
  void sent(std::size_t octets) noexcept override;
  [[nodiscard]] Reason failure() const noexcept override { return failure_; }
  [[nodiscard]] const std::string& peer_name() const noexcept override { return peer_name_; }
  [[nodiscard]] TlsSight sight() const override;

  // The BIO's.
  static int read(BIO* bio, char* into, int octets);
  static int write(BIO* bio, const char* from, int octets);
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

 private:
  [[nodiscard]] std::unexpected<Error> fail(Reason reason) noexcept;
  void let_go_of_input() noexcept;

  std::shared_ptr<const Core> core_;
  Owned<SSL, SSL_free> ssl_;
  std::vector<std::uint8_t> input_;  // taken; the library has read `used_` of it
  std::size_t used_ = 0;
  std::vector<std::uint8_t> output_;
  std::size_t sent_ = 0;
  std::string peer_name_;
  Reason failure_ = Reason::none;
  bool server_ = false;
  bool begun_ = false;  // an octet of the peer's has come
  bool speaks_tls_ = false;
  bool established_ = false;
  bool finished_ = false;
};

bool OpenSslTransform::prepare(bool server, const Host* name, std::optional<int> verification) {
  server_ = server;
  ssl_.reset(SSL_new(core_->context.get()));
  BIO* const bio = BIO_new(core_->method.get());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return false;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (server) {
    SSL_set_accept_state(ssl_.get());
    return true;
  }
  SSL_set_connect_state(ssl_.get());
  if (verification) SSL_set_verify(ssl_.get(), *verification, nullptr);
  const std::string text = to_string(*name);
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (std::holds_alternative<HostName>(*name)) {
    return SSL_set_tlsext_host_name(ssl_.get(), text.c_str()) == 1 && SSL_set1_host(ssl_.get(), text.c_str()) == 1;
  }
  return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), text.c_str()) == 1;
}

TlsSight OpenSslTransform::sight() const {
  TlsSight sight{.version = SSL_get_version(ssl_.get()), .subject = {}, .issuer = {}, .expiry = {}};
  const X509* const peer = SSL_get0_peer_certificate(ssl_.get());
  if (peer == nullptr) return sight;
  sight.subject = name_of(peer);
  if (sight.subject.empty()) sight.subject = text_of(X509_get_subject_name(peer));
  sight.issuer = text_of(X509_get_issuer_name(peer));
  std::tm end{};
  std::array<char, 16> text{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(peer), &end) == 1) {
    sight.expiry.assign(text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", &end));
  }
  const long verdict = SSL_get_verify_result(ssl_.get());
  if (verdict != X509_V_OK) sight.verdict = reason_of_verification(verdict);
  return sight;
}

int OpenSslTransform::read(BIO* bio, char* into, int octets) {
  auto& self = *static_cast<OpenSslTransform*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t count = std::min(static_cast<std::size_t>(octets), self.input_.size() - self.used_);
  if (count == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(into, self.input_.data() + self.used_, count);
  self.used_ += count;
  return static_cast<int>(count);
}

int OpenSslTransform::write(BIO* bio, const char* from, int octets) {
  auto& self = *static_cast<OpenSslTransform*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const auto* const begin = reinterpret_cast<const std::uint8_t*>(from);
  self.output_.insert(self.output_.end(), begin, begin + octets);
  return octets;
}

void OpenSslTransform::take(ConstBytes octets) {
  if (!std::exchange(begun_, true)) {
    constexpr std::uint8_t alert = 0x15;  // RFC 8446 section 5.1: what an answer begins with
    constexpr std::uint8_t handshake = 0x16;
    speaks_tls_ = octets[0] == handshake || octets[0] == alert;
  }
  let_go_of_input();
  input_.insert(input_.end(), octets.begin(), octets.end());
}

/// An idle connection keeps no buffer.
void OpenSslTransform::let_go_of_input() noexcept {
  if (used_ < input_.size()) return;
  input_ = {};
  used_ = 0;
}

std::unexpected<Error> OpenSslTransform::fail(Reason reason) noexcept {
  if (failure_ == Reason::none) failure_ = reason;
  return std::unexpected(Error{ErrorKind::protocol, 0});
}

Result<void> OpenSslTransform::handshake() {
  if (failure_ != Reason::none) return fail(failure_);
  if (established_) return {};
  if (begun_ && !speaks_tls_) return fail(Reason::tls_missing);
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  let_go_of_input();
  if (done == 1) {
    established_ = true;
    if (const X509* const peer = SSL_get0_peer_certificate(ssl_.get()); server_ && peer != nullptr) {
      peer_name_ = name_of(peer);
    }
    return {};
  }
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return std::unexpected(Error{ErrorKind::would_block, 0});
  return fail(reason_of_failure(ssl_.get(), Reason::tls_handshake));
}

Result<std::size_t> OpenSslTransform::open(MutableBytes plain) {
  STILE_ASSERT(established_ && !plain.empty());
  if (failure_ != Reason::none) return fail(failure_);
  ERR_clear_error();
  std::size_t count = 0;
  const int done = SSL_read_ex(ssl_.get(), plain.data(), plain.size(), &count);
  let_go_of_input();
  if (done == 1) return count;
  switch (SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_ZERO_RETURN:
      return std::size_t{0};
    case SSL_ERROR_WANT_READ:
      return std::unexpected(Error{ErrorKind::would_block, 0});
    default:
      return fail(reason_of_failure(ssl_.get(), Reason::tls_record));
  }
}

bool OpenSslTransform::connection_ended() noexcept {
  if ((SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0) return true;
  if (failure_ == Reason::none) failure_ = Reason::tls_truncated;
  return false;
}

Result<std::size_t> OpenSslTransform::seal(ConstBytes plain) {
  STILE_ASSERT(established_ && !plain.empty());
  if (failure_ != Reason::none || finished_) return fail(Reason::tls_record);
  ERR_clear_error();
  std::size_t count = 0;
  // What is written goes to memory, which takes all of it.
  if (SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &count) == 1) return count;
  return fail(Reason::tls_record);
}

void OpenSslTransform::finish() {
  if (failure_ != Reason::none || std::exchange(finished_, true)) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
}

void OpenSslTransform::sent(std::size_t octets) noexcept {
  sent_ += octets;
  if (sent_ < output_.size()) return;
  output_ = {};
  sent_ = 0;
}

std::unique_ptr<TlsTransform> make(const std::shared_ptr<const Core>& core, const Host* name,
                                   std::optional<int> verification = std::nullopt) {
  auto transform = std::make_unique<OpenSslTransform>(core);
  if (!transform->prepare(name == nullptr, name, verification)) return nullptr;
  return transform;
}

// ── what is shared ──────────────────────────────────────────────────────────────────────────────────────────────────

std::shared_ptr<Core> make_core(const SSL_METHOD* method) {
  auto core = std::make_shared<Core>();
  core->context.reset(SSL_CTX_new(method));
  core->method.reset(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transform"));
  if (core->context == nullptr || core->method == nullptr) return nullptr;
  BIO_meth_set_read(core->method.get(), OpenSslTransform::read);
  BIO_meth_set_write(core->method.get(), OpenSslTransform::write);
  BIO_meth_set_ctrl(core->method.get(), OpenSslTransform::control);
  SSL_CTX* const context = core->context.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  return core;
}

std::unexpected<TlsFault> fault(TlsFile file, std::string why, std::string cure = {}) {
  return std::unexpected(TlsFault{file, std::move(why), std::move(cure)});
}

Memory memory_of(std::string_view text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// A key that a passphrase protects would have the server wait for somebody to type it.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

std::expected<std::vector<Certificate>, TlsFault> certificates_in(TlsFile file, std::string_view text) {
  const Memory memory = memory_of(text);
  std::vector<Certificate> certificates;
  while (X509* const next = PEM_read_bio_X509(memory.get(), nullptr, no_passphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty())
    return fault(file, "it holds no certificate", "it is to begin with BEGIN CERTIFICATE (PEM)");
  if (!ended) return fault(file, "one of its certificates cannot be read", "copy it again");
  return certificates;
}

std::expected<void, TlsFault> valid_today(TlsFile file, const X509* certificate) {
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return fault(file, "the certificate has expired", "renew it");
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return fault(file, "the certificate is not valid yet", "check this host's clock");
  }
  return {};
}

std::expected<void, TlsFault> use_own(SSL_CTX* context, const TlsOwnTexts& texts) {
  auto chain = certificates_in(TlsFile::certificate, texts.certificate);
  if (!chain) return std::unexpected(std::move(chain.error()));
  if (chain->size() > limits::tls_chain_max) return fault(TlsFile::certificate, "it holds too many certificates");
  if (auto valid = valid_today(TlsFile::certificate, chain->front().get()); !valid) return valid;
  const Memory memory = memory_of(texts.key.reveal());
  const Owned<EVP_PKEY, EVP_PKEY_free> key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return fault(TlsFile::key, "it holds no private key that can be read without a passphrase",
                 "it is to begin with BEGIN PRIVATE KEY (PEM)");
  }
  if (X509_check_private_key(chain->front().get(), key.get()) != 1) {
    ERR_clear_error();
    return fault(TlsFile::key, "it is not the key of the certificate",
                 "the certificate of this key stands first in its file");
  }
  bool used = SSL_CTX_use_certificate(context, chain->front().get()) == 1;
  for (std::size_t i = 1; used && i < chain->size(); ++i) {
    used = SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) == 1;
  }
  if (!used || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    ERR_clear_error();
    return fault(TlsFile::certificate, "the library takes neither it nor its key", "its key may be too short");
  }
  return {};
}

std::expected<void, TlsFault> trust(SSL_CTX* context, const std::string& text) {
  auto authorities = certificates_in(TlsFile::client_ca, text);
  if (!authorities) return std::unexpected(std::move(authorities.error()));
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const Certificate& authority : *authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1 || SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      ERR_clear_error();
      return fault(TlsFile::client_ca, "the library does not take it");
    }
  }
  return {};
}

std::expected<void, TlsFault> revoke(SSL_CTX* context, const std::string& text) {
  const Memory memory = memory_of(text);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  std::size_t lists = 0;
  for (;; ++lists) {
    const Owned<X509_CRL, X509_CRL_free> list(PEM_read_bio_X509_CRL(memory.get(), nullptr, no_passphrase, nullptr));
    if (list == nullptr) break;
    const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list.get());
    if (next != nullptr && X509_cmp_current_time(next) < 0) {
      return fault(TlsFile::crl, "the list has expired", "fetch the CA's present one");
    }
    if (X509_STORE_add_crl(store, list.get()) != 1) return fault(TlsFile::crl, "the library does not take it");
  }
  ERR_clear_error();
  if (lists == 0) return fault(TlsFile::crl, "it holds no revocation list", "it is to begin with BEGIN X509 CRL (PEM)");
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return {};
}

/// Who offers protocols is to offer HTTP/1.1 among them; SOCKS clients offer none.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr std::array<unsigned char, 9> http{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, http.data(), http.size(), offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

class OpenSslServer final : public TlsServer {
 public:
  explicit OpenSslServer(std::shared_ptr<const Core> core) noexcept : core_(std::move(core)) {}
  [[nodiscard]] std::unique_ptr<TlsTransform> accept() const override { return make(core_, nullptr); }

 private:
  std::shared_ptr<const Core> core_;
};

class OpenSslClient final : public TlsClient {
 public:
  explicit OpenSslClient(std::shared_ptr<const Core> core) noexcept : core_(std::move(core)) {}
  [[nodiscard]] std::unique_ptr<Transform> connect(const Host& server) const override { return make(core_, &server); }
  [[nodiscard]] std::unique_ptr<TlsTransform> look(const Host& server) const override {
    return make(core_, &server, SSL_VERIFY_NONE);
  }

 private:
  std::shared_ptr<const Core> core_;
};

}  // namespace

bool has_tls() noexcept {
  return true;
}

std::expected<std::shared_ptr<const TlsServer>, TlsFault> TlsServer::create(const TlsServerTexts& texts) {
  auto core = make_core(TLS_server_method());
  if (core == nullptr) return fault(TlsFile::certificate, "there is no memory for it");
  SSL_CTX* const context = core->context.get();
  if (auto used = use_own(context, texts.own); !used) return std::unexpected(std::move(used.error()));
  if (texts.client_ca) {
    if (auto trusted = trust(context, *texts.client_ca); !trusted) return std::unexpected(std::move(trusted.error()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_client);
  }
  if (texts.crl) {
    if (auto revoked = revoke(context, *texts.crl); !revoked) return std::unexpected(std::move(revoked.error()));
  }
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  return std::make_shared<OpenSslServer>(std::move(core));
}

std::expected<std::shared_ptr<const TlsClient>, TlsFault> TlsClient::create(const TlsClientTexts& texts) {
  auto core = make_core(TLS_client_method());
  if (core == nullptr) return fault(TlsFile::client_ca, "there is no memory for it");
  SSL_CTX* const context = core->context.get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (!texts.ca) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) {
      return fault(TlsFile::client_ca, "this system's CAs cannot be read");
    }
  } else if (auto trusted = trust(context, *texts.ca); !trusted) {
    return std::unexpected(std::move(trusted.error()));
  }
  if (texts.own) {
    if (auto used = use_own(context, *texts.own); !used) return std::unexpected(std::move(used.error()));
  }
  return std::make_shared<OpenSslClient>(std::move(core));
}

}  // namespace stile::protect
