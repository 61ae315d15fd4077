#include <grp.h>
#include <pwd.h>
#include <security/pam_appl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "auth/pam_login.h"
#include "base/limits.h"

namespace stile::auth {
namespace {

// What a client may be asked: its name where its answer is shown, its password where it is not. Modules that ask for
// more cannot be answered.
struct Conversation {
  std::string_view user;
  std::string_view password;
  std::size_t prompts = 0;
};

char* copy_for_module(std::string_view text) noexcept {
  return ::strndup(text.data(), text.size());  // PAM frees it
}

void free_answers(std::span<pam_response> answers) noexcept {
  for (pam_response& answer : answers) {
    if (answer.resp == nullptr) continue;
    ::explicit_bzero(answer.resp, std::strlen(answer.resp));
    std::free(answer.resp);
  }
  std::free(answers.data());
}

bool answer_prompt(const pam_message& message, Conversation& conversation, pam_response& answer) noexcept {
  switch (message.msg_style) {
    case PAM_PROMPT_ECHO_OFF:
      answer.resp = copy_for_module(conversation.password);
      return ++conversation.prompts <= limits::pam_prompts_max && answer.resp != nullptr;
    case PAM_PROMPT_ECHO_ON:
      answer.resp = copy_for_module(conversation.user);
      return ++conversation.prompts <= limits::pam_prompts_max && answer.resp != nullptr;
    case PAM_TEXT_INFO:
    case PAM_ERROR_MSG:
      return true;  // there is nobody to read it
    default:
      return false;
  }
}

int converse(int count, const pam_message** messages, pam_response** answers, void* context) noexcept {
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  const auto size = static_cast<std::size_t>(count);
  auto* const made = static_cast<pam_response*>(std::calloc(size, sizeof(pam_response)));
  if (made == nullptr) return PAM_BUF_ERR;
  auto& conversation = *static_cast<Conversation*>(context);
  for (std::size_t i = 0; i < size; ++i) {
    if (answer_prompt(*messages[i], conversation, made[i])) continue;
    free_answers({made, size});
    return PAM_CONV_ERR;
  }
  *answers = made;
  return PAM_SUCCESS;
}

// Modules ask for a pause after a failure; penalties and the queue's turns are this server's answer to guessing.
void no_delay(int, unsigned, void*) noexcept {}

wire::HelperOutcome outcome_of(int code) noexcept {
  switch (code) {
    case PAM_SUCCESS:
      return wire::HelperOutcome::accepted;
    case PAM_OPEN_ERR:
    case PAM_SYMBOL_ERR:
    case PAM_SERVICE_ERR:
    case PAM_SYSTEM_ERR:
    case PAM_BUF_ERR:
    case PAM_AUTHINFO_UNAVAIL:
    case PAM_ABORT:
    case PAM_MODULE_UNKNOWN:
      return wire::HelperOutcome::unavailable;
    default:
      return wire::HelperOutcome::refused;  // PAM_NEW_AUTHTOK_REQD among them: nobody can be asked for one
  }
}

struct EndPam {
  void operator()(pam_handle_t* handle) const noexcept { ::pam_end(handle, PAM_SUCCESS); }
};
using Handle = std::unique_ptr<pam_handle_t, EndPam>;

int set_items(pam_handle_t* handle, const std::string& client) noexcept {
  if (const int code = ::pam_set_item(handle, PAM_RHOST, client.c_str()); code != PAM_SUCCESS) return code;
  return ::pam_set_item(handle, PAM_FAIL_DELAY, reinterpret_cast<const void*>(&no_delay));
}

std::optional<std::string> group_name(gid_t group) {
  std::array<char, 64 * limits::KiB> room;  // its members' names are read as well
  struct group entry{};
  struct group* found = nullptr;
  if (::getgrgid_r(group, &entry, room.data(), room.size(), &found) != 0 || found == nullptr) return std::nullopt;
  std::string name = entry.gr_name;
  return wire::is_name_for_back_ends(name) ? std::optional(std::move(name)) : std::nullopt;
}

// Somebody whom only a directory knows may have none.
std::vector<std::string> groups_of(const std::string& user) {
  std::array<char, 16 * limits::KiB> room;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr) return {};
  std::array<gid_t, 1024> ids{};
  int count = static_cast<int>(ids.size());
  if (::getgrouplist(user.c_str(), entry.pw_gid, ids.data(), &count) < 0) count = static_cast<int>(ids.size());
  std::vector<std::string> groups;
  for (const gid_t id : std::span(ids).first(static_cast<std::size_t>(count))) {
    if (groups.size() == limits::user_groups_max) break;
    if (auto name = group_name(id)) groups.push_back(std::move(*name));
  }
  return groups;
}

}  // namespace

bool pam_built_in() noexcept {
  return true;
}

PamVerdict judge_by_pam(const wire::HelperLogin& login) {
  const std::string service(login.service);
  const std::string user(login.user);
  Conversation conversation{.user = login.user, .password = login.password};
  const pam_conv face{.conv = converse, .appdata_ptr = &conversation};
  pam_handle_t* opened = nullptr;
  int code = ::pam_start(service.c_str(), user.c_str(), &face, &opened);
  if (code != PAM_SUCCESS) return {.outcome = wire::HelperOutcome::unavailable, .user = {}, .groups = {}};
  const Handle handle(opened);
  code = set_items(handle.get(), std::string(login.client));
  if (code == PAM_SUCCESS) code = ::pam_authenticate(handle.get(), PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  if (code == PAM_SUCCESS) code = ::pam_acct_mgmt(handle.get(), PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  const void* name = nullptr;
  if (code == PAM_SUCCESS) code = ::pam_get_item(handle.get(), PAM_USER, &name);
  PamVerdict verdict{.outcome = outcome_of(code), .user = {}, .groups = {}};
  if (verdict.outcome != wire::HelperOutcome::accepted) return verdict;
  if (name != nullptr) verdict.user = static_cast<const char*>(name);
  if (!wire::is_name_for_back_ends(verdict.user)) return {wire::HelperOutcome::refused, {}, {}};
  verdict.groups = groups_of(verdict.user);
  return verdict;
}

}  // namespace stile::auth
