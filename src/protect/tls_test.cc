// Both ends of TLS in memory: any split of what crosses, how streams end, and each certificate that does not count.
#include "protect/tls.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <string>

namespace stile::protect {
namespace {

/// A certificate with its key, signed by another or by itself.
struct Issued {
  X509* certificate = X509_new();
  EVP_PKEY* key = EVP_EC_gen("P-256");

  Issued(const char* alternatives, const Issued* issuer, long days = 1) {
    static long serial = 0;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3'600 * 48);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400 * days);
    const std::string name = "number " + std::to_string(serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Issued& by = issuer == nullptr ? *this : *issuer;
    X509_set_issuer_name(certificate, X509_get_subject_name(by.certificate));
    X509_set_pubkey(certificate, key);
    if (issuer == nullptr) add(NID_basic_constraints, "critical,CA:TRUE");
    if (alternatives != nullptr) add(NID_subject_alt_name, alternatives);
    X509_sign(certificate, by.key, EVP_sha256());
  }
  ~Issued() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Issued(const Issued&) = delete;
  Issued& operator=(const Issued&) = delete;

  [[nodiscard]] std::string text() const {
    return pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
  }
  [[nodiscard]] std::string key_text() const {
    return pem([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  }

 private:
  void add(int what, const char* value) const {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <class Write>
  static std::string pem(const Write& write) {
    BIO* const bio = BIO_new(BIO_s_mem());
    write(bio);
    char* octets = nullptr;
    const long size = BIO_get_mem_data(bio, &octets);
    std::string text(octets, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  }
};

TlsServerTexts texts_of(const Issued& own) {
  return {.own = {.certificate = own.text(), .key = Secret(own.key_text())}, .client_ca = {}, .crl = {}};
}

/// Carries what `from` has to send, at most `step` octets at a time; false where that was nothing.
bool carry(Transform& from, Transform& to, std::size_t step) {
  const ConstBytes octets = from.to_send().first(std::min(step, from.to_send().size()));
  if (octets.empty()) return false;
  to.take(octets);
  from.sent(octets.size());
  return true;
}

struct Ends {
  std::unique_ptr<TlsTransform> server;
  std::unique_ptr<Transform> client;

  /// Until both are done, or one has failed.
  void shake_hands(std::size_t step) {
    do {
      (void)client->handshake();
      (void)server->handshake();
    } while (carry(*client, *server, step) || carry(*server, *client, step));
  }
};

class Tls : public testing::Test {
 protected:
  [[nodiscard]] Ends ends(const Issued& shown_by_server, const std::string& trusted,
                          std::string_view name = "localhost") {
    const auto server = TlsServer::create(texts_of(shown_by_server));
    const auto client = TlsClient::create({.ca = trusted, .own = {}});
    EXPECT_TRUE(server.has_value() && client.has_value());
    return {(*server)->accept(), (*client)->connect(canonical_host(name).value())};
  }
  Issued ca{nullptr, nullptr};
  Issued own{"DNS:localhost,IP:127.0.0.1", &ca};
};

TEST_F(Tls, CarriesWhateverTheSplitsAndEndsInOrder) {
  for (const std::size_t step : std::initializer_list<std::size_t>{1, 5, 6, 1000, 65'536}) {
    Ends both = ends(own, ca.text());
    both.shake_hands(step);
    ASSERT_TRUE(both.server->established() && both.client->established()) << step;
    EXPECT_FALSE(both.client->holds_input());
    const std::array<std::uint8_t, 5> hello{'h', 'e', 'l', 'l', 'o'};
    ASSERT_EQ(both.client->seal(hello).value(), hello.size());
    both.client->finish();
    std::string received;
    std::array<std::uint8_t, 2> room{};
    bool over = false;
    while (!over) {
      const auto count = both.server->open(room);
      if (!count) {
        ASSERT_EQ(count.error().kind, ErrorKind::would_block);
        ASSERT_TRUE(carry(*both.client, *both.server, step));
        continue;
      }
      over = *count == 0;
      received.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*count));
    }
    EXPECT_EQ(received, "hello");
    EXPECT_TRUE(both.server->connection_ended());
    EXPECT_EQ(both.server->seal(hello).value(), hello.size()) << "the other way is open";
  }
}

TEST_F(Tls, AConnectionThatEndsWithoutAWordIsCutShort) {
  Ends both = ends(own, ca.text());
  both.shake_hands(1000);
  EXPECT_FALSE(both.server->connection_ended());
  EXPECT_EQ(both.server->failure(), Reason::tls_truncated);
  std::array<std::uint8_t, 2> room{};
  EXPECT_FALSE(both.server->open(room).has_value());
}

TEST_F(Tls, AChangedRecordIsTheEnd) {
  Ends both = ends(own, ca.text());
  both.shake_hands(1000);
  const std::array<std::uint8_t, 8> record{0x17, 3, 3, 0, 3, 1, 2, 3};
  both.server->take(record);
  std::array<std::uint8_t, 2> room{};
  EXPECT_FALSE(both.server->open(room).has_value());
  EXPECT_EQ(both.server->failure(), Reason::tls_record);
}

TEST_F(Tls, TheServerProvesItsName) {
  const Issued other{nullptr, nullptr};
  const Issued named_otherwise{"DNS:elsewhere.example", &ca};
  const Issued named_by_cn_alone{nullptr, &ca};
  std::array<std::pair<Ends, Reason>, 4> cases{{
      {ends(own, other.text()), Reason::tls_certificate_untrusted},
      {ends(named_otherwise, ca.text()), Reason::tls_certificate_name},
      {ends(named_by_cn_alone, ca.text()), Reason::tls_certificate_name},
      {ends(own, ca.text(), "127.0.0.2"), Reason::tls_certificate_name},
  }};
  for (auto& [both, reason] : cases) {
    both.shake_hands(1000);
    EXPECT_EQ(both.client->failure(), reason) << token(reason);
  }
}

TEST_F(Tls, ALookGoesOnAndTellsWhatIsWrong) {
  const Issued other{nullptr, nullptr};
  const Issued elsewhere{"DNS:elsewhere.example", &ca};
  const Issued nameless{nullptr, &ca, 1};
  const struct {
    const Issued& shown;
    const Issued& trusted;
    Reason verdict;
  } cases[] = {{own, ca, Reason::none},
               {own, other, Reason::tls_certificate_untrusted},
               {elsewhere, ca, Reason::tls_certificate_name},
               {nameless, ca, Reason::tls_certificate_name}};
  for (const auto& one : cases) {
    const auto server = TlsServer::create(texts_of(one.shown)).value()->accept();
    const auto client = TlsClient::create({.ca = one.trusted.text(), .own = {}}).value();
    const auto look = client->look(canonical_host("localhost").value());
    do {
      (void)look->handshake();
      (void)server->handshake();
    } while (carry(*look, *server, 1000) || carry(*server, *look, 1000));
    ASSERT_TRUE(look->established());
    const TlsSight sight = look->sight();
    EXPECT_EQ(sight.verdict, one.verdict) << token(sight.verdict);
    EXPECT_EQ(sight.version, "TLSv1.3");
    EXPECT_TRUE(sight.issuer.starts_with("CN=number ")) << sight.issuer;
    EXPECT_EQ(sight.expiry.size(), 10U);
    if (&one.shown == &own) {
      EXPECT_EQ(sight.subject, "localhost");
    }
    if (&one.shown == &nameless) {
      EXPECT_TRUE(sight.subject.starts_with("CN=number ")) << sight.subject;
    }
  }
}

// Under TLS 1.3 the client has long finished its handshake when the server looks at its certificate.
TEST_F(Tls, TheClientProvesItsName) {
  const Issued alice{"DNS:alice.example", &ca};
  const Issued other{nullptr, nullptr};
  const Issued stranger{"DNS:stranger.example", &other};
  struct Case {
    const Issued* shown;
    std::string_view name;
    Reason server;
    Reason client;
  };
  const std::array<Case, 3> cases{{
      {&alice, "alice.example", Reason::none, Reason::none},
      {&stranger, "", Reason::tls_certificate_untrusted, Reason::tls_certificate_refused},
      {nullptr, "", Reason::tls_certificate_missing, Reason::tls_certificate_missing},
  }};
  TlsServerTexts texts = texts_of(own);
  texts.client_ca = ca.text();
  const auto server = TlsServer::create(texts);
  ASSERT_TRUE(server.has_value());
  for (const Case& one : cases) {
    TlsClientTexts shown{.ca = ca.text(), .own = {}};
    if (one.shown != nullptr) shown.own = texts_of(*one.shown).own;
    const auto client = TlsClient::create(shown);
    ASSERT_TRUE(client.has_value());
    Ends both{(*server)->accept(), (*client)->connect(canonical_host("localhost").value())};
    both.shake_hands(1000);
    std::array<std::uint8_t, 2> room{};
    if (both.client->established()) {
      EXPECT_FALSE(both.client->open(room).has_value());
    }
    EXPECT_EQ(both.server->failure(), one.server) << token(one.server);
    EXPECT_EQ(both.client->failure(), one.client) << token(one.client);
    EXPECT_EQ(both.server->peer_name(), one.name);
  }
}

TEST_F(Tls, ACertificateThatIsNotTakenIsToldToWhoShowsIt) {
  const Issued other{nullptr, nullptr};
  Ends both = ends(own, other.text());
  both.shake_hands(1000);
  EXPECT_EQ(both.server->failure(), Reason::tls_certificate_refused);
}

TEST_F(Tls, WhoSpeaksPlainSpeaksNoTls) {
  Ends both = ends(own, ca.text());
  const std::array<std::uint8_t, 2> socks{5, 0};
  both.client->take(socks);
  EXPECT_FALSE(both.client->handshake().has_value());
  EXPECT_EQ(both.client->failure(), Reason::tls_missing);
}

TEST_F(Tls, FilesThatDoNotFitAreNamed) {
  const Issued expired{"DNS:localhost", &ca, -1};
  const Issued other{"DNS:localhost", &ca};
  EXPECT_EQ(TlsServer::create(texts_of(expired)).error().why, "the certificate has expired");
  TlsServerTexts crossed = texts_of(own);
  crossed.own.key = Secret(other.key_text());
  EXPECT_EQ(TlsServer::create(crossed).error().file, TlsFile::key);
  TlsServerTexts empty = texts_of(own);
  empty.client_ca = "nothing";
  EXPECT_EQ(TlsServer::create(empty).error().file, TlsFile::client_ca);
  TlsServerTexts cut = texts_of(own);
  cut.own.certificate += own.text().substr(0, 200);
  EXPECT_EQ(TlsServer::create(cut).error().why, "one of its certificates cannot be read");
  EXPECT_EQ(TlsClient::create({.ca = "nothing", .own = {}}).error().file, TlsFile::client_ca);
  EXPECT_EQ(TlsClient::create({.ca = ca.text(), .own = std::move(crossed.own)}).error().file, TlsFile::key);
}

}  // namespace
}  // namespace stile::protect
