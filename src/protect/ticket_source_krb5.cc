// The same by MIT Kerberos. Everything is kept in memory: the tickets with which others are asked for stay here, and
// each ticket for a service is exported from a cache in which it is alone.
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5/krb5.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "protect/ticket_source.h"

namespace stile::protect {
namespace {

using Code = krb5_error_code;

/// A thing of the library's, given back by `Free`.
template <class Thing, auto Free>
class Owned {
 public:
  explicit Owned(krb5_context context) noexcept : context_(context) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (thing_ != nullptr) Free(context_, thing_);
  }
  [[nodiscard]] Thing get() const noexcept { return thing_; }
  [[nodiscard]] Thing* put() noexcept { return &thing_; }

 private:
  krb5_context context_;
  Thing thing_ = nullptr;
};
using Principal = Owned<krb5_principal, krb5_free_principal>;
using Keytab = Owned<krb5_keytab, krb5_kt_close>;
using Cache = Owned<krb5_ccache, krb5_cc_destroy>;  // in memory
using Options = Owned<krb5_get_init_creds_opt*, krb5_get_init_creds_opt_free>;
using Credentials = Owned<krb5_creds*, krb5_free_creds>;
using Ticket = Owned<krb5_ticket*, krb5_free_ticket>;

WallTime time_of(krb5_timestamp seconds) noexcept {
  // Until 2106: the library counts without a sign.
  return WallTime(std::chrono::seconds(static_cast<std::uint32_t>(seconds)));
}

class Krb5Source final : public TicketSource {
 public:
  explicit Krb5Source(krb5_context context) : context_(context) {
    note_default_keytab();
    load_plugins();
  }
  ~Krb5Source() override {
    clients_.clear();
    krb5_free_context(context_);
  }

  std::expected<GotTicket, std::string> get(const TicketWish& wish) override;
  void forget() noexcept override { clients_.clear(); }

 private:
  /// One that the keys made us.
  struct Client {
    explicit Client(krb5_context context) noexcept : cache(context) {}
    Cache cache;
    WallTime got{};
    WallTime expires{};
  };

  void note_default_keytab();
  void load_plugins();
  [[nodiscard]] Client* client_of(const TicketWish& wish);
  [[nodiscard]] Code log_in(const TicketWish& wish, Client& client);
  [[nodiscard]] Code whose(const TicketWish& wish, krb5_keytab keytab, krb5_principal* client);
  [[nodiscard]] Code ask(const TicketWish& wish, krb5_ccache cache, krb5_creds** ticket);
  [[nodiscard]] Code name_by_ticket(krb5_creds& credentials);
  [[nodiscard]] std::expected<GotTicket, std::string> exported(krb5_creds& ticket);
  [[nodiscard]] std::string name_of(krb5_const_principal principal) const;
  [[nodiscard]] std::string why(Code code) const;

  krb5_context context_;
  std::string default_keytab_;
  std::map<std::pair<std::string, std::string>, Client> clients_;  // by keytab and principal
  Code trouble_ = 0;
};

// An exported credential names the keytab that the library has for clients, which whoever imports it would use to ask
// the KDC: so that one is noted, and nobody finds it any longer.
void Krb5Source::note_default_keytab() {
  Keytab keytab(context_);
  std::array<char, 4096> name{};
  if (krb5_kt_client_default(context_, keytab.put()) == 0 &&
      krb5_kt_get_name(context_, keytab.get(), name.data(), name.size()) == 0) {
    default_keytab_ = name.data();
  }
  ::setenv("KRB5_CLIENT_KTNAME", "MEMORY:none", 1);
}

/// Of logging in, which the library loads for the first request that it makes: later nothing may be loaded any longer.
/// This one is sent to nobody.
void Krb5Source::load_plugins() {
  Principal nobody(context_);
  Owned<krb5_init_creds_context, krb5_init_creds_free> login(context_);
  if (krb5_parse_name(context_, "nobody@NOWHERE", nobody.put()) != 0) return;
  if (krb5_init_creds_init(context_, nobody.get(), nullptr, nullptr, 0, nullptr, login.put()) != 0) return;
  krb5_data answer{};
  krb5_data request{};
  krb5_data realm{};
  unsigned flags = 0;
  (void)krb5_init_creds_step(context_, login.get(), &answer, &request, &realm, &flags);
  krb5_free_data_contents(context_, &request);
  krb5_free_data_contents(context_, &realm);
}

std::string Krb5Source::why(Code code) const {
  const char* const text = krb5_get_error_message(context_, code);
  std::string copy(text);
  krb5_free_error_message(context_, text);
  return copy;
}

std::string Krb5Source::name_of(krb5_const_principal principal) const {
  char* text = nullptr;
  if (krb5_unparse_name(context_, principal, &text) != 0) return {};
  std::string copy(text);
  krb5_free_unparsed_name(context_, text);
  return copy;
}

std::expected<GotTicket, std::string> Krb5Source::get(const TicketWish& wish) {
  Client* const client = client_of(wish);
  if (client == nullptr) return std::unexpected(why(trouble_));
  Credentials ticket(context_);
  Code code = ask(wish, client->cache.get(), ticket.put());
  if (code == 0) code = name_by_ticket(*ticket.get());
  if (code != 0) return std::unexpected(why(code));
  return exported(*ticket.get());
}

/// With a ticket to ask for others that has at least three quarters of its life before it, so that what is got by it
/// lasts about as long as can be; nullptr: `trouble_`.
Krb5Source::Client* Krb5Source::client_of(const TicketWish& wish) {
  const auto [found, added] = clients_.try_emplace({wish.keytab, wish.principal}, context_);
  Client& client = found->second;
  const WallTime now = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
  if (!added && client.expires - now > (client.expires - client.got) / 4 * 3) return &client;
  clients_.erase(found);
  Client& anew = clients_.try_emplace({wish.keytab, wish.principal}, context_).first->second;
  anew.got = now;
  trouble_ = log_in(wish, anew);
  if (trouble_ == 0) return &anew;
  clients_.erase({wish.keytab, wish.principal});
  return nullptr;
}

Code Krb5Source::log_in(const TicketWish& wish, Client& client) {
  const std::string name = wish.keytab.empty() ? default_keytab_ : "FILE:" + wish.keytab;
  Keytab keytab(context_);
  Principal who(context_);
  Options options(context_);
  krb5_creds got{};
  if (const Code code = krb5_kt_resolve(context_, name.c_str(), keytab.put()); code != 0) return code;
  if (const Code code = whose(wish, keytab.get(), who.put()); code != 0) return code;
  if (const Code code = krb5_get_init_creds_opt_alloc(context_, options.put()); code != 0) return code;
  krb5_get_init_creds_opt_set_forwardable(options.get(), 0);
  krb5_get_init_creds_opt_set_proxiable(options.get(), 0);
  Code code = krb5_get_init_creds_keytab(context_, &got, who.get(), keytab.get(), 0, nullptr, options.get());
  if (code != 0) return code;
  client.expires = time_of(got.times.endtime);
  code = krb5_cc_new_unique(context_, "MEMORY", nullptr, client.cache.put());
  if (code == 0) code = krb5_cc_initialize(context_, client.cache.get(), got.client);
  if (code == 0) code = krb5_cc_store_cred(context_, client.cache.get(), &got);
  krb5_free_cred_contents(context_, &got);
  return code;
}

Code Krb5Source::whose(const TicketWish& wish, krb5_keytab keytab, krb5_principal* client) {
  if (!wish.principal.empty()) return krb5_parse_name(context_, wish.principal.c_str(), client);
  krb5_kt_cursor cursor = nullptr;
  if (const Code code = krb5_kt_start_seq_get(context_, keytab, &cursor); code != 0) return code;
  krb5_keytab_entry entry{};
  Code code = krb5_kt_next_entry(context_, keytab, &entry, &cursor);
  if (code == 0) {
    code = krb5_copy_principal(context_, entry.principal, client);
    krb5_free_keytab_entry_contents(context_, &entry);
  }
  krb5_kt_end_seq_get(context_, keytab, &cursor);
  return code == KRB5_KT_END ? KRB5_KT_NOTFOUND : code;
}

// The host's name is made canonical here, as krb5.conf has it; what comes of that is told with the ticket.
Code Krb5Source::ask(const TicketWish& wish, krb5_ccache cache, krb5_creds** ticket) {
  Principal service(context_);
  Principal who(context_);
  Code code =
      krb5_sname_to_principal(context_, wish.host.c_str(), wish.service.c_str(), KRB5_NT_SRV_HST, service.put());
  if (code == 0) code = krb5_cc_get_principal(context_, cache, who.put());
  if (code != 0) return code;
  krb5_creds wanted{};
  wanted.client = who.get();
  wanted.server = service.get();
  return krb5_get_credentials(context_, 0, cache, &wanted, ticket);
}

/// By the name that the KDC wrote into the ticket: what was asked for may lack the realm, which the KDC knew.
Code Krb5Source::name_by_ticket(krb5_creds& credentials) {
  Ticket ticket(context_);
  krb5_principal service = nullptr;
  Code code = krb5_decode_ticket(&credentials.ticket, ticket.put());
  if (code == 0) code = krb5_copy_principal(context_, ticket.get()->server, &service);
  if (code != 0) return code;
  krb5_free_principal(context_, std::exchange(credentials.server, service));
  return 0;
}

std::expected<GotTicket, std::string> Krb5Source::exported(krb5_creds& ticket) {
  Cache alone(context_);
  Code code = krb5_cc_new_unique(context_, "MEMORY", nullptr, alone.put());
  if (code == 0) code = krb5_cc_initialize(context_, alone.get(), ticket.client);
  if (code == 0) code = krb5_cc_store_cred(context_, alone.get(), &ticket);
  if (code != 0) return std::unexpected(why(code));
  OM_uint32 minor = 0;
  OM_uint32 ignored = 0;
  gss_cred_id_t credentials = GSS_C_NO_CREDENTIAL;
  gss_buffer_desc token{.length = 0, .value = nullptr};
  OM_uint32 status = gss_krb5_import_cred(&minor, alone.get(), nullptr, nullptr, &credentials);
  if (!GSS_ERROR(status)) status = gss_export_cred(&minor, credentials, &token);
  gss_release_cred(&ignored, &credentials);
  if (GSS_ERROR(status)) return std::unexpected(why(static_cast<Code>(minor)));
  GotTicket got{.client = name_of(ticket.client),
                .service = name_of(ticket.server),
                .expires = time_of(ticket.times.endtime),
                .exported = Secret({static_cast<const char*>(token.value), token.length})};
  wipe({static_cast<std::uint8_t*>(token.value), token.length});
  gss_release_buffer(&ignored, &token);
  return got;
}

}  // namespace

std::unique_ptr<TicketSource> TicketSource::create() {
  krb5_context context = nullptr;
  if (krb5_init_context(&context) != 0) return nullptr;
  return std::make_unique<Krb5Source>(context);
}

}  // namespace stile::protect
