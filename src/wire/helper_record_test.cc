// The records between server and helper, against tests/vectors/helper.records (L, V, N, T, P).
#include "wire/helper_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>

#include "base/limits.h"
#include "base/utf8.h"
#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/helper.records";

/// Records point into their input; an example's text must live somewhere until it was compared.
std::string_view kept(std::string text) {
  static std::deque<std::string> texts;
  return texts.emplace_back(std::move(text));
}

std::string_view word(Random& random, std::size_t longest) {
  std::string text;
  const std::size_t size = 1 + random.below(random.one_in(4) ? longest : std::min<std::size_t>(longest, 8));
  while (text.size() < size) text += static_cast<char>('a' + random.below(26));
  return kept(std::move(text));
}

std::size_t naive_size(const Octets& input) {
  return std::size_t{input[2]} * 16777216 + std::size_t{input[3]} * 65536 + std::size_t{input[4]} * 256 + input[5];
}

/// Cuts a record into its fields, one after the other, and says whether all of it fitted.
class NaiveBody {
 public:
  explicit NaiveBody(const Octets& input) {
    const std::size_t size = naive_size(input);
    body_.assign(reinterpret_cast<const char*>(input.data()) + 6, size);
  }
  std::string_view cut(std::size_t size) {
    good_ = good_ && size <= body_.size() - at_;
    if (!good_) return {};
    at_ += size;
    return kept(body_.substr(at_ - size, size));
  }
  std::uint64_t number(std::size_t octets) {
    std::uint64_t value = 0;
    for (const char octet : cut(octets)) value = value * 256 + static_cast<unsigned char>(octet);
    return value;
  }
  std::string_view field() { return cut(number(1)); }
  [[nodiscard]] bool used_up() const { return good_ && at_ == body_.size(); }

 private:
  std::string body_;
  std::size_t at_ = 0;
  bool good_ = true;
};

bool naive_name(std::string_view name) {
  for (const char octet : name) {
    const auto value = static_cast<unsigned char>(octet);
    if (value < 0x20 || value == 0x7F) return false;
  }
  return !name.empty() && is_utf8(name);  // held equal to the whole of Unicode by its own test
}

template <class Record, class Judge>
ParseResult<Record> naive(const Octets& input, std::uint8_t kind, Judge judge) {
  constexpr Reason reason = Reason::auth_unavailable;
  if (input.empty()) return NeedMore{};
  if (input[0] != 1) return Malformed{reason, 1};
  if (input.size() < 2) return NeedMore{};
  if (input[1] != kind) return Malformed{reason, 2};
  if (input.size() < 6) return NeedMore{};
  const std::size_t whole = std::size_t{6} + naive_size(input);
  if (whole > std::size_t{136} * 1024) return Malformed{reason, 6};
  if (input.size() < whole) return NeedMore{};
  NaiveBody body(input);
  Record record;
  if (!judge(body, record) || !body.used_up()) return Malformed{reason, whole};
  return Parsed<Record>{record, whole};
}

template <class Record, class Encode>
Example<Record> encoded(const Record& record, Encode encode) {
  Octets room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  encode(writer, record);
  EXPECT_FALSE(writer.overflowed());
  return {.value = record, .encoded = to_octets(writer.written())};
}

struct LoginCodec {
  using Message = HelperLogin;
  static ParseResult<HelperLogin> decode(ConstBytes input) { return decode_helper_login(input); }
  static ParseResult<HelperLogin> oracle(const Octets& input) {
    return naive<HelperLogin>(input, 1, [](NaiveBody& body, HelperLogin& login) {
      login.id = body.number(8);
      login.due = body.number(8);
      const std::uint64_t method = body.number(1);
      login.method = method == 2 ? AuthMethod::pam : AuthMethod::command;
      login.service = body.field();
      login.user = body.field();
      login.password = body.field();
      login.client = body.field();
      login.listener = body.field();
      const bool service = method == 2 ? is_service_name(login.service) : method == 3 && login.service.empty();
      const auto plain = [](std::string_view text) {
        return !text.empty() && std::ranges::none_of(text, [](unsigned char o) { return o < 0x20 || o == 0x7F; });
      };
      return service && naive_name(login.user) && !login.password.empty() && !login.password.contains('\0') &&
             plain(login.client) && plain(login.listener);
    });
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'L'); }
  static Example<HelperLogin> example(Random& random) {
    const bool pam = random.one_in(2);
    std::string password(1 + random.below(255), 'x');
    for (char& octet : password) octet = static_cast<char>(1 + random.below(255));
    return encoded(HelperLogin{.id = random.below(1U << 30),
                               .due = random.below(std::size_t{1} << 62),
                               .method = pam ? AuthMethod::pam : AuthMethod::command,
                               .service = pam ? word(random, 64) : std::string_view(),
                               .user = word(random, 255),
                               .password = kept(std::move(password)),
                               .client = word(random, 40),
                               .listener = word(random, 255)},
                   encode_helper_login);
  }
};

struct VerdictCodec {
  using Message = HelperVerdict;
  static ParseResult<HelperVerdict> decode(ConstBytes input) { return decode_helper_verdict(input); }
  static ParseResult<HelperVerdict> oracle(const Octets& input) {
    return naive<HelperVerdict>(input, 2, [](NaiveBody& body, HelperVerdict& verdict) {
      verdict.id = body.number(8);
      const std::uint64_t outcome = body.number(1);
      verdict.outcome = static_cast<HelperOutcome>(outcome);
      verdict.user = body.field();
      const std::uint64_t groups = body.number(1);
      bool good = groups <= 64;
      for (std::uint64_t i = 0; good && i < groups; ++i) {
        verdict.groups.push_back(body.field());
        good = naive_name(verdict.groups.back());
      }
      if (outcome == 1) return good && naive_name(verdict.user);
      return outcome >= 2 && outcome <= 4 && verdict.user.empty() && groups == 0;
    });
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'V'); }
  static Example<HelperVerdict> example(Random& random) {
    HelperVerdict verdict{.id = random.below(1U << 30), .outcome = HelperOutcome::accepted, .user = {}, .groups = {}};
    if (random.one_in(3)) {
      verdict.outcome = static_cast<HelperOutcome>(2 + random.below(3));
    } else {
      verdict.user = word(random, 255);
      for (std::size_t i = random.below(65); i > 0; --i) verdict.groups.push_back(word(random, 255));
    }
    return encoded(verdict, encode_helper_verdict);
  }
};

struct NoticeCodec {
  using Message = HelperNotice;
  static ParseResult<HelperNotice> decode(ConstBytes input) { return decode_helper_notice(input); }
  static ParseResult<HelperNotice> oracle(const Octets& input) {
    return naive<HelperNotice>(input, 3, [](NaiveBody& body, HelperNotice& notice) {
      notice.text = body.cut(body.number(2));
      return !notice.text.empty() && notice.text.size() <= 1024;
    });
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'N'); }
  static Example<HelperNotice> example(Random& random) {
    return encoded(HelperNotice{.text = word(random, 1024)}, encode_helper_notice);
  }
};

Octets naive_bulk(NaiveBody& body) {
  const std::string_view text = body.cut(body.number(2));
  return {text.begin(), text.end()};
}

const Octets& kept_octets(Octets octets) {
  static std::deque<Octets> all;
  return all.emplace_back(std::move(octets));
}

Octets bulk(Random& random) {
  Octets octets(1 + random.below(random.one_in(8) ? 1000 : 40));
  for (auto& octet : octets) octet = static_cast<std::uint8_t>(random.below(256));
  return octets;
}

struct TokenCodec {
  using Message = HelperToken;
  static ParseResult<HelperToken> decode(ConstBytes input) { return decode_helper_token(input); }
  static ParseResult<HelperToken> oracle(const Octets& input) {
    return naive<HelperToken>(input, 4, [](NaiveBody& body, HelperToken& token) {
      token.id = body.number(8);
      token.due = body.number(8);
      token.conversation = body.number(8);
      token.token = kept_octets(naive_bulk(body));
      return !token.token.empty();
    });
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'T'); }
  static Example<HelperToken> example(Random& random) {
    return encoded(HelperToken{.id = random.below(1U << 30),
                               .due = random.below(std::size_t{1} << 62),
                               .conversation = random.below(1U << 30),
                               .token = kept_octets(bulk(random))},
                   encode_helper_token);
  }
};

struct ProgressCodec {
  using Message = HelperProgress;
  static ParseResult<HelperProgress> decode(ConstBytes input) { return decode_helper_progress(input); }
  static ParseResult<HelperProgress> oracle(const Octets& input) {
    return naive<HelperProgress>(input, 5, [](NaiveBody& body, HelperProgress& progress) {
      progress.id = body.number(8);
      const std::uint64_t outcome = body.number(1);
      progress.outcome = static_cast<HelperOutcome>(outcome);
      progress.user = body.field();
      progress.token = kept_octets(naive_bulk(body));
      progress.context = kept_octets(naive_bulk(body));
      if (outcome == 1) return naive_name(progress.user) && !progress.context.empty();
      const bool nobody = progress.user.empty() && progress.context.empty();
      return outcome >= 2 && outcome <= 5 && nobody && progress.token.empty() == (outcome != 5);
    });
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'P'); }
  static Example<HelperProgress> example(Random& random) {
    HelperProgress progress{.id = random.below(1U << 30),
                            .outcome = static_cast<HelperOutcome>(1 + random.below(5)),
                            .user = {},
                            .token = {},
                            .context = {}};
    const bool accepted = progress.outcome == HelperOutcome::accepted;
    if (accepted) progress.user = word(random, 255);
    if (accepted) progress.context = kept_octets(bulk(random));
    if (progress.outcome == HelperOutcome::more || (accepted && random.one_in(2))) {
      progress.token = kept_octets(bulk(random));
    }
    return encoded(progress, encode_helper_progress);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(HelperLogin, CodecTest, LoginCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperVerdict, CodecTest, VerdictCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperNotice, CodecTest, NoticeCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperToken, CodecTest, TokenCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperProgress, CodecTest, ProgressCodec);

TEST(HelperRecord, OneMessageHoldsExactlyOne) {
  Octets octets = vector_octets(vectors_path, "V2");
  EXPECT_TRUE(whole_record(decode_helper_verdict(octets), octets));
  octets.push_back(0);
  EXPECT_FALSE(whole_record(decode_helper_verdict(octets), octets));
  octets.resize(octets.size() - 2);
  EXPECT_FALSE(whole_record(decode_helper_verdict(octets), octets));
}

TEST(HelperRecord, TheLongestTokenAndContextFit) {
  const Octets longest(limits::gss_token_octets_max, 0x60);
  const HelperProgress progress{.id = 1,
                                .outcome = HelperOutcome::accepted,
                                .user = kept(std::string(255, 'a')),
                                .token = longest,
                                .context = longest};
  const auto example = encoded(progress, encode_helper_progress);
  EXPECT_EQ(whole_record(decode_helper_progress(example.encoded), example.encoded), std::optional(progress));
}

TEST(HelperRecord, ThePasswordPointsIntoTheInput) {
  const Octets octets = vector_octets(vectors_path, "L1");
  const auto login = whole_record(decode_helper_login(octets), octets);
  ASSERT_TRUE(login);
  EXPECT_EQ(login->password, "secret");
  const char* const begin = reinterpret_cast<const char*>(octets.data());
  EXPECT_TRUE(login->password.data() > begin && login->password.data() < begin + octets.size());
}

TEST(HelperRecord, NamesForBackEnds) {  // threats TA5 and TA6
  for (const std::string_view good : {"alice", "*)(uid=*", "j\xC3\xB6rg", "DOMAIN\\alice", "a b"}) {
    EXPECT_TRUE(is_name_for_back_ends(good)) << good;
  }
  for (const std::string_view bad : {std::string_view(), std::string_view("admin\0x", 7), std::string_view("a\nb"),
                                     std::string_view("a\x7F"), std::string_view("\xFF")}) {
    EXPECT_FALSE(is_name_for_back_ends(bad)) << bad;
  }
  EXPECT_TRUE(is_name_for_back_ends(std::string(255, 'a')));
  EXPECT_FALSE(is_name_for_back_ends(std::string(256, 'a')));
}

TEST(HelperRecord, ServicesAreFilesOfOneFolder) {
  for (const std::string_view good : {"stile", "common-auth", "a.b_c", "S1"})
    EXPECT_TRUE(is_service_name(good)) << good;
  for (const std::string_view bad : {"", ".", "..", ".stile", "a/b", "/etc/shadow", "a b", "st\xC3\xAFle"}) {
    EXPECT_FALSE(is_service_name(bad)) << bad;
  }
  EXPECT_FALSE(is_service_name(std::string(limits::service_name_octets_max + 1, 'a')));
}

}  // namespace
}  // namespace stile::wire::testing
