#include "wire/helper_record.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "base/utf8.h"

namespace stile::wire {
namespace {

constexpr std::uint8_t record_version = 0x01;
constexpr std::size_t head_octets = 6;
constexpr std::size_t bulk_octets_max = 0xFFFF;
constexpr std::size_t field_octets_max = 255;
static_assert(limits::helper_notice_octets_max <= limits::helper_record_octets_max - head_octets - 2);
static_assert(limits::gss_token_octets_max == bulk_octets_max);
static_assert(2 * (2 + bulk_octets_max) + 256 + 9 <= limits::helper_record_octets_max - head_octets);
static_assert(limits::user_groups_max <= 255, "one octet says how many");

bool is_control(char octet) noexcept {
  return static_cast<unsigned char>(octet) < 0x20 || octet == 0x7F;
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

std::string_view as_text(ConstBytes octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

std::string_view read_field(ByteReader& body) noexcept {
  return as_text(body.take(body.u8()));
}

std::uint32_t read_u32(ByteReader& body) noexcept {
  const std::uint32_t high = body.u16();
  return (high << 16) | body.u16();
}

std::uint64_t read_u64(ByteReader& body) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < 4; ++i) value = (value << 16) | body.u16();
  return value;
}

ConstBytes read_bulk(ByteReader& body) noexcept {
  return body.take(body.u16());
}

bool is_plain(std::string_view text) noexcept {
  return !text.empty() && std::ranges::none_of(text, is_control);
}

bool is_password(std::string_view password) noexcept {
  return !password.empty() && password.find('\0') == std::string_view::npos;
}

std::optional<AuthMethod> method_of(std::uint8_t octet) noexcept {
  for (const AuthMethod method : {AuthMethod::pam, AuthMethod::command}) {
    if (octet == static_cast<std::uint8_t>(method)) return method;
  }
  return std::nullopt;
}

bool holds(const HelperLogin& login) noexcept {
  const bool service = login.method == AuthMethod::pam ? is_service_name(login.service) : login.service.empty();
  return service && is_name_for_back_ends(login.user) && is_password(login.password) && is_plain(login.client) &&
         is_plain(login.listener);
}

std::optional<HelperLogin> read_login(ByteReader& body) {
  HelperLogin login;
  login.id = read_u64(body);
  login.due = read_u64(body);
  const auto method = method_of(body.u8());
  login.service = read_field(body);
  login.user = read_field(body);
  login.password = read_field(body);
  login.client = read_field(body);
  login.listener = read_field(body);
  if (!method) return std::nullopt;
  login.method = *method;
  return holds(login) ? std::optional(login) : std::nullopt;
}

bool holds(const HelperVerdict& verdict) noexcept {
  if (verdict.outcome != HelperOutcome::accepted) return verdict.user.empty() && verdict.groups.empty();
  return is_name_for_back_ends(verdict.user) && std::ranges::all_of(verdict.groups, is_name_for_back_ends);
}

std::optional<HelperVerdict> read_verdict(ByteReader& body) {
  HelperVerdict verdict;
  verdict.id = read_u64(body);
  const std::uint8_t outcome = body.u8();
  verdict.user = read_field(body);
  const std::size_t groups = body.u8();
  if (groups > limits::user_groups_max) return std::nullopt;
  for (std::size_t i = 0; i < groups && !body.short_of_input(); ++i) verdict.groups.push_back(read_field(body));
  if (outcome < static_cast<std::uint8_t>(HelperOutcome::accepted) ||
      outcome > static_cast<std::uint8_t>(HelperOutcome::crashed)) {
    return std::nullopt;
  }
  verdict.outcome = static_cast<HelperOutcome>(outcome);
  return holds(verdict) ? std::optional(std::move(verdict)) : std::nullopt;
}

std::optional<HelperNotice> read_notice(ByteReader& body) {
  const HelperNotice notice{.text = as_text(body.take(body.u16()))};
  const bool good = !notice.text.empty() && notice.text.size() <= limits::helper_notice_octets_max;
  return good ? std::optional(notice) : std::nullopt;
}

std::optional<HelperToken> read_token(ByteReader& body) {
  HelperToken token;
  token.id = read_u64(body);
  token.due = read_u64(body);
  token.conversation = read_u64(body);
  token.token = read_bulk(body);
  return token.token.empty() ? std::nullopt : std::optional(token);
}

bool holds(const HelperProgress& progress) noexcept {
  switch (progress.outcome) {
    case HelperOutcome::accepted:
      return is_name_for_back_ends(progress.user) && !progress.context.empty();
    case HelperOutcome::more:
      return progress.user.empty() && !progress.token.empty() && progress.context.empty();
    default:
      return progress.user.empty() && progress.token.empty() && progress.context.empty();
  }
}

std::optional<HelperProgress> read_progress(ByteReader& body) {
  HelperProgress progress;
  progress.id = read_u64(body);
  const std::uint8_t outcome = body.u8();
  progress.user = read_field(body);
  progress.token = read_bulk(body);
  progress.context = read_bulk(body);
  if (outcome < static_cast<std::uint8_t>(HelperOutcome::accepted) ||
      outcome > static_cast<std::uint8_t>(HelperOutcome::more)) {
    return std::nullopt;
  }
  progress.outcome = static_cast<HelperOutcome>(outcome);
  return holds(progress) ? std::optional(progress) : std::nullopt;
}

template <class Record, class ReadBody>
ParseResult<Record> decode(ConstBytes input, HelperKind kind, ReadBody read_body) {
  constexpr Reason reason = Reason::auth_unavailable;
  ByteReader reader(input);
  const std::uint8_t version = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (version != record_version) return Malformed{.reason = reason, .consumed = 1};
  const std::uint8_t said = reader.u8();
  if (reader.short_of_input()) return NeedMore{};
  if (said != static_cast<std::uint8_t>(kind)) return Malformed{.reason = reason, .consumed = 2};
  const std::size_t size = read_u32(reader);
  if (reader.short_of_input()) return NeedMore{};
  if (size > limits::helper_record_octets_max - head_octets)
    return Malformed{.reason = reason, .consumed = head_octets};
  ByteReader body(reader.take(size));
  if (reader.short_of_input()) return NeedMore{};
  auto record = read_body(body);
  if (!record || body.short_of_input() || body.consumed() != size) {
    return Malformed{.reason = reason, .consumed = head_octets + size};
  }
  return Parsed<Record>{.value = std::move(*record), .consumed = head_octets + size};
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void write_head(ByteWriter& writer, HelperKind kind, std::size_t body_octets) noexcept {
  STILE_ASSERT(body_octets <= limits::helper_record_octets_max - head_octets);
  writer.u8(record_version);
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.u16(static_cast<std::uint16_t>(body_octets >> 16));
  writer.u16(static_cast<std::uint16_t>(body_octets & 0xFFFF));
}

void write_u64(ByteWriter& writer, std::uint64_t value) noexcept {
  for (int shift = 48; shift >= 0; shift -= 16) writer.u16(static_cast<std::uint16_t>((value >> shift) & 0xFFFF));
}

void write_text(ByteWriter& writer, std::string_view text) noexcept {
  writer.append({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void write_field(ByteWriter& writer, std::string_view field) noexcept {
  STILE_ASSERT(field.size() <= field_octets_max);
  writer.u8(static_cast<std::uint8_t>(field.size()));
  write_text(writer, field);
}

void write_bulk(ByteWriter& writer, ConstBytes bulk) noexcept {
  STILE_ASSERT(bulk.size() <= bulk_octets_max);
  writer.u16(static_cast<std::uint16_t>(bulk.size()));
  writer.append(bulk);
}

}  // namespace

bool operator==(const HelperToken& left, const HelperToken& right) noexcept {
  return left.id == right.id && left.due == right.due && left.conversation == right.conversation &&
         std::ranges::equal(left.token, right.token);
}

bool operator==(const HelperProgress& left, const HelperProgress& right) noexcept {
  return left.id == right.id && left.outcome == right.outcome && left.user == right.user &&
         std::ranges::equal(left.token, right.token) && std::ranges::equal(left.context, right.context);
}

ParseResult<HelperLogin> decode_helper_login(ConstBytes input) {
  return decode<HelperLogin>(input, HelperKind::login, read_login);
}

ParseResult<HelperVerdict> decode_helper_verdict(ConstBytes input) {
  return decode<HelperVerdict>(input, HelperKind::verdict, read_verdict);
}

ParseResult<HelperNotice> decode_helper_notice(ConstBytes input) {
  return decode<HelperNotice>(input, HelperKind::notice, read_notice);
}

ParseResult<HelperToken> decode_helper_token(ConstBytes input) {
  return decode<HelperToken>(input, HelperKind::token, read_token);
}

ParseResult<HelperProgress> decode_helper_progress(ConstBytes input) {
  return decode<HelperProgress>(input, HelperKind::progress, read_progress);
}

void encode_helper_login(ByteWriter& writer, const HelperLogin& login) noexcept {
  STILE_ASSERT(holds(login));
  std::size_t size = 8 + 8 + 1;
  for (const std::string_view field : {login.service, login.user, login.password, login.client, login.listener}) {
    size += 1 + field.size();
  }
  write_head(writer, HelperKind::login, size);
  write_u64(writer, login.id);
  write_u64(writer, login.due);
  writer.u8(static_cast<std::uint8_t>(login.method));
  for (const std::string_view field : {login.service, login.user, login.password, login.client, login.listener}) {
    write_field(writer, field);
  }
}

void encode_helper_verdict(ByteWriter& writer, const HelperVerdict& verdict) noexcept {
  STILE_ASSERT(holds(verdict) && verdict.groups.size() <= limits::user_groups_max);
  std::size_t size = 8 + 1 + 1 + verdict.user.size() + 1;
  for (const std::string_view group : verdict.groups) size += 1 + group.size();
  write_head(writer, HelperKind::verdict, size);
  write_u64(writer, verdict.id);
  writer.u8(static_cast<std::uint8_t>(verdict.outcome));
  write_field(writer, verdict.user);
  writer.u8(static_cast<std::uint8_t>(verdict.groups.size()));
  for (const std::string_view group : verdict.groups) write_field(writer, group);
}

void encode_helper_notice(ByteWriter& writer, const HelperNotice& notice) noexcept {
  STILE_ASSERT(!notice.text.empty() && notice.text.size() <= limits::helper_notice_octets_max);
  write_head(writer, HelperKind::notice, 2 + notice.text.size());
  writer.u16(static_cast<std::uint16_t>(notice.text.size()));
  write_text(writer, notice.text);
}

void encode_helper_token(ByteWriter& writer, const HelperToken& token) noexcept {
  STILE_ASSERT(!token.token.empty());
  write_head(writer, HelperKind::token, 8 + 8 + 8 + 2 + token.token.size());
  write_u64(writer, token.id);
  write_u64(writer, token.due);
  write_u64(writer, token.conversation);
  write_bulk(writer, token.token);
}

void encode_helper_progress(ByteWriter& writer, const HelperProgress& progress) noexcept {
  STILE_ASSERT(holds(progress));
  const std::size_t bulks = 2 + progress.token.size() + 2 + progress.context.size();
  write_head(writer, HelperKind::progress, 8 + 1 + 1 + progress.user.size() + bulks);
  write_u64(writer, progress.id);
  writer.u8(static_cast<std::uint8_t>(progress.outcome));
  write_field(writer, progress.user);
  write_bulk(writer, progress.token);
  write_bulk(writer, progress.context);
}

bool is_name_for_back_ends(std::string_view name) noexcept {
  return is_plain(name) && name.size() <= field_octets_max && is_utf8(name);
}

bool is_service_name(std::string_view name) noexcept {
  const auto is_wordlike = [](char octet) {
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || (octet >= '0' && octet <= '9') ||
           octet == '-' || octet == '_' || octet == '.';
  };
  return !name.empty() && name.size() <= limits::service_name_octets_max && name.front() != '.' &&
         std::ranges::all_of(name, is_wordlike);
}

}  // namespace stile::wire
