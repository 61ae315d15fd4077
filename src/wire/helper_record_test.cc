// The records between server and helper, against tests/vectors/helper.records (L, V, N).
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

/// Cuts a record into its fields, one after the other, and says whether all of it fitted.
class NaiveBody {
 public:
  explicit NaiveBody(const Octets& input) {
    const std::size_t size = std::size_t{input[2]} * 256 + input[3];
    body_.assign(reinterpret_cast<const char*>(input.data()) + 4, size);
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
  if (input.size() < 4) return NeedMore{};
  const std::size_t whole = std::size_t{4} + std::size_t{input[2]} * 256 + input[3];
  if (whole > 65536) return Malformed{reason, 4};
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

INSTANTIATE_TYPED_TEST_SUITE_P(HelperLogin, CodecTest, LoginCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperVerdict, CodecTest, VerdictCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HelperNotice, CodecTest, NoticeCodec);

TEST(HelperRecord, OneMessageHoldsExactlyOne) {
  Octets octets = vector_octets(vectors_path, "V2");
  EXPECT_TRUE(whole_record(decode_helper_verdict(octets), octets));
  octets.push_back(0);
  EXPECT_FALSE(whole_record(decode_helper_verdict(octets), octets));
  octets.resize(octets.size() - 2);
  EXPECT_FALSE(whole_record(decode_helper_verdict(octets), octets));
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
