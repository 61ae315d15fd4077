// The same by the system's GSSAPI library (MIT Kerberos).
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/secret.h"
#include "protect/gss.h"
#include "protect/gss_ticket.h"

namespace stile::protect {
namespace {

gss_buffer_desc view_of(ConstBytes octets) noexcept {
  // The library reads only.
  return {.length = octets.size(), .value = const_cast<std::uint8_t*>(octets.data())};
}

/// A buffer of the library's; wiped, for it may hold what is secret.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    wipe({static_cast<std::uint8_t*>(buffer_.value), buffer_.length});
    OM_uint32 minor = 0;
    gss_release_buffer(&minor, &buffer_);
  }
  [[nodiscard]] gss_buffer_t get() noexcept { return &buffer_; }
  [[nodiscard]] ConstBytes octets() const noexcept {
    return {static_cast<const std::uint8_t*>(buffer_.value), buffer_.length};
  }

 private:
  gss_buffer_desc buffer_{.length = 0, .value = nullptr};
};

GssContext::Order order_of(OM_uint32 status) noexcept {
  using enum GssContext::Order;
  if ((status & GSS_S_DUPLICATE_TOKEN) != 0) return duplicate;
  if ((status & GSS_S_OLD_TOKEN) != 0) return old;
  if ((status & GSS_S_UNSEQ_TOKEN) != 0) return late;
  return (status & GSS_S_GAP_TOKEN) != 0 ? gap : next;
}

class Krb5Context final : public GssContext {
 public:
  /// Takes the context over.
  explicit Krb5Context(gss_ctx_id_t context) noexcept : context_(context) {
    OM_uint32 minor = 0;
    OM_uint32 flags = 0;
    const OM_uint32 status =
        gss_inquire_context(&minor, context_, nullptr, nullptr, nullptr, nullptr, &flags, nullptr, nullptr);
    can_encrypt_ = !GSS_ERROR(status) && (flags & GSS_C_CONF_FLAG) != 0;
  }
  ~Krb5Context() override {
    OM_uint32 minor = 0;
    gss_delete_sec_context(&minor, &context_, GSS_C_NO_BUFFER);
  }

  [[nodiscard]] bool can_encrypt() const noexcept override { return can_encrypt_; }

  std::optional<Unwrapped> unwrap(ConstBytes token, std::vector<std::uint8_t>& plain) override {
    OM_uint32 minor = 0;
    gss_buffer_desc input = view_of(token);
    Buffer output;
    int encrypted = 0;
    const OM_uint32 status = gss_unwrap(&minor, context_, &input, output.get(), &encrypted, nullptr);
    if (GSS_ERROR(status)) return std::nullopt;
    plain.insert(plain.end(), output.octets().begin(), output.octets().end());
    return Unwrapped{.order = order_of(status), .confidential = encrypted != 0};
  }

  bool wrap(ConstBytes plain, bool encrypt, std::vector<std::uint8_t>& token) override {
    OM_uint32 minor = 0;
    gss_buffer_desc input = view_of(plain);
    Buffer output;
    int encrypted = 0;
    const OM_uint32 status =
        gss_wrap(&minor, context_, encrypt ? 1 : 0, GSS_C_QOP_DEFAULT, &input, &encrypted, output.get());
    if (GSS_ERROR(status) || (encrypt && encrypted == 0)) return false;
    token.insert(token.end(), output.octets().begin(), output.octets().end());
    return true;
  }

  std::size_t plain_octets_max(bool encrypt, std::size_t token_octets) override {
    OM_uint32 minor = 0;
    OM_uint32 most = 0;
    const OM_uint32 status = gss_wrap_size_limit(&minor, context_, encrypt ? 1 : 0, GSS_C_QOP_DEFAULT,
                                                 static_cast<OM_uint32>(token_octets), &most);
    return GSS_ERROR(status) ? 0 : most;
  }

 private:
  gss_ctx_id_t context_;
  bool can_encrypt_ = false;
};

/// What the keeper of tickets exported: a cache in memory with one ticket for a service in it, and none with which the
/// KDC could be asked for others.
class Krb5Ticket final : public GssTicket, public std::enable_shared_from_this<Krb5Ticket> {
 public:
  /// Takes the credentials over.
  Krb5Ticket(gss_cred_id_t credentials, std::string service, WallTime expires) noexcept
      : GssTicket(expires), credentials_(credentials), service_(std::move(service)) {}
  ~Krb5Ticket() override {
    OM_uint32 minor = 0;
    gss_release_cred(&minor, &credentials_);
  }

  [[nodiscard]] std::unique_ptr<GssInitiator> initiator() const override;
  [[nodiscard]] gss_cred_id_t credentials() const noexcept { return credentials_; }

 private:
  gss_cred_id_t credentials_;  // the library locks it
  std::string service_;
};

class Krb5Initiator final : public GssInitiator {
 public:
  /// `type`: what kind of name the server's is. Without a ticket: by the cache of whoever runs this process.
  Krb5Initiator(std::string server, gss_OID type, std::shared_ptr<const Krb5Ticket> ticket = nullptr)
      : ticket_(std::move(ticket)) {
    gss_buffer_desc name{.length = server.size(), .value = server.data()};
    OM_uint32 minor = 0;
    if (GSS_ERROR(gss_import_name(&minor, &name, type, &server_))) server_ = GSS_C_NO_NAME;
  }
  ~Krb5Initiator() override {
    OM_uint32 minor = 0;
    gss_delete_sec_context(&minor, &context_, GSS_C_NO_BUFFER);
    gss_release_name(&minor, &server_);
  }

  // Section 3 wants delegation too: the proxy would have the user's own ticket, which is none of its business.
  std::optional<std::vector<std::uint8_t>> step(ConstBytes token) override {
    constexpr OM_uint32 wanted =
        GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG;
    if (server_ == GSS_C_NO_NAME) return std::nullopt;
    OM_uint32 minor = 0;
    OM_uint32 flags = 0;
    gss_buffer_desc input = view_of(token);
    Buffer answer;
    const gss_cred_id_t by = ticket_ == nullptr ? GSS_C_NO_CREDENTIAL : ticket_->credentials();
    const OM_uint32 status =
        gss_init_sec_context(&minor, by, &context_, server_, GSS_C_NO_OID, wanted, 0, GSS_C_NO_CHANNEL_BINDINGS,
                             token.empty() ? nullptr : &input, nullptr, answer.get(), &flags, nullptr);
    if (GSS_ERROR(status)) return std::nullopt;
    complete_ = (status & GSS_S_CONTINUE_NEEDED) == 0;
    if (complete_ && (flags & wanted) != wanted) return std::nullopt;
    return std::vector<std::uint8_t>(answer.octets().begin(), answer.octets().end());
  }
  [[nodiscard]] bool complete() const noexcept override { return complete_; }
  std::unique_ptr<GssContext> take() override {
    return std::make_unique<Krb5Context>(std::exchange(context_, GSS_C_NO_CONTEXT));
  }

 private:
  std::shared_ptr<const Krb5Ticket> ticket_;
  gss_name_t server_ = GSS_C_NO_NAME;
  gss_ctx_id_t context_ = GSS_C_NO_CONTEXT;
  bool complete_ = false;
};

// By the principal itself: what it is called was settled by whoever got the ticket, and is not asked of DNS again.
std::unique_ptr<GssInitiator> Krb5Ticket::initiator() const {
  return std::make_unique<Krb5Initiator>(service_, GSS_KRB5_NT_PRINCIPAL_NAME, shared_from_this());
}

}  // namespace

bool has_gssapi() noexcept {
  return true;
}

void prepare_gssapi() noexcept {
  OM_uint32 minor = 0;
  gss_OID_set mechanisms = GSS_C_NO_OID_SET;
  (void)gss_indicate_mechs(&minor, &mechanisms);
  gss_release_oid_set(&minor, &mechanisms);
}

std::vector<std::string> files_of_gssapi() {
  const char* const named = std::getenv("KRB5_CONFIG");
  std::string_view rest = named == nullptr ? "/etc/krb5.conf:/etc/krb5.conf.d" : named;
  std::vector<std::string> files;
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    if (colon > 0) files.emplace_back(rest.substr(0, colon));
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return files;
}

std::unique_ptr<GssInitiator> GssInitiator::create(const std::string& service, const Host& host) {
  return std::make_unique<Krb5Initiator>(service + "@" + to_string(host), GSS_C_NT_HOSTBASED_SERVICE);
}

std::shared_ptr<const GssTicket> GssTicket::import(ConstBytes exported, std::string service, WallTime expires) {
  OM_uint32 minor = 0;
  gss_buffer_desc input = view_of(exported);
  gss_cred_id_t credentials = GSS_C_NO_CREDENTIAL;
  if (GSS_ERROR(gss_import_cred(&minor, &input, &credentials))) return nullptr;
  return std::make_shared<Krb5Ticket>(credentials, std::move(service), expires);
}

std::unique_ptr<GssContext> GssContext::import(ConstBytes exported) {
  OM_uint32 minor = 0;
  gss_buffer_desc input = view_of(exported);
  gss_ctx_id_t context = GSS_C_NO_CONTEXT;
  if (GSS_ERROR(gss_import_sec_context(&minor, &input, &context))) return nullptr;
  return std::make_unique<Krb5Context>(context);
}

}  // namespace stile::protect
