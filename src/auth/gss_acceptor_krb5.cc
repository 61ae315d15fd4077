// The same by the system's GSSAPI library (MIT Kerberos).
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "auth/gss_acceptor.h"
#include "base/limits.h"
#include "base/secret.h"
#include "sys/record_socket.h"
#include "sys/wait_any.h"
#include "wire/helper_record.h"

namespace stile::auth {
namespace {

using wire::HelperOutcome;

/// A buffer of the library's; wiped, for it may hold keys.
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
  [[nodiscard]] std::string text() const { return {static_cast<const char*>(buffer_.value), buffer_.length}; }

 private:
  gss_buffer_desc buffer_{.length = 0, .value = nullptr};
};

class Context {
 public:
  Context() noexcept = default;
  Context(Context&& other) noexcept : context_(std::exchange(other.context_, GSS_C_NO_CONTEXT)) {}
  Context& operator=(Context&&) = delete;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    OM_uint32 minor = 0;
    gss_delete_sec_context(&minor, &context_, GSS_C_NO_BUFFER);
  }
  [[nodiscard]] gss_ctx_id_t* get() noexcept { return &context_; }

 private:
  gss_ctx_id_t context_ = GSS_C_NO_CONTEXT;
};

class Name {
 public:
  Name() noexcept = default;
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  ~Name() {
    OM_uint32 minor = 0;
    gss_release_name(&minor, &name_);
  }
  [[nodiscard]] gss_name_t* get() noexcept { return &name_; }

 private:
  gss_name_t name_ = GSS_C_NO_NAME;
};

std::string why(OM_uint32 minor) {
  OM_uint32 ignored = 0;
  OM_uint32 more = 0;
  Buffer text;
  gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, text.get());
  return text.text();
}

struct Progress {
  HelperOutcome outcome = HelperOutcome::refused;
  std::string user;
  std::vector<std::uint8_t> token;
  Secret context;
};

class Acceptor {
 public:
  Acceptor(int socket, const GssPlan& plan) : socket_(socket), plan_(plan) {}
  ~Acceptor() {
    OM_uint32 minor = 0;
    gss_release_cred(&minor, &credentials_);
  }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  int run();

 private:
  struct Begun {
    Context context;
    Duration since{};
  };

  void take(const wire::HelperToken& token);
  Progress step(const wire::HelperToken& token);
  Progress finish(Context context, const Buffer& answer, gss_name_t initiator, OM_uint32 flags) const;
  Context& context_of(std::uint64_t conversation);
  bool acquire();
  void notice(const std::string& text);

  int socket_;
  const GssPlan& plan_;
  gss_cred_id_t credentials_ = GSS_C_NO_CREDENTIAL;
  std::map<std::uint64_t, Begun> begun_;
  std::string told_;  // the last trouble
};

int Acceptor::run() {
  std::vector<std::uint8_t> room(limits::helper_record_octets_max);
  for (;;) {
    std::array watched{sys::Waited{.descriptor = socket_}};
    if (!sys::wait_any(watched, std::nullopt)) return 1;
    const auto received = sys::receive_record(socket_, room);
    if (!received && received.error().kind == ErrorKind::would_block) continue;
    if (!received) return 0;
    const ConstBytes record = ConstBytes(room).first(*received);
    if (const auto token = wire::whole_record(wire::decode_helper_token(record), record)) take(*token);
  }
}

void Acceptor::take(const wire::HelperToken& token) {
  Progress progress;
  if (acquire()) {
    progress = step(token);
  } else {
    progress.outcome = HelperOutcome::unavailable;
  }
  // Only where it has to go on is a context kept.
  if (progress.outcome != HelperOutcome::more) begun_.erase(token.conversation);
  const std::string_view context = progress.context.reveal();
  std::vector<std::uint8_t> room(limits::helper_record_octets_max);
  ByteWriter writer(room);
  wire::encode_helper_progress(writer,
                               {.id = token.id,
                                .outcome = progress.outcome,
                                .user = progress.user,
                                .token = progress.token,
                                .context = {reinterpret_cast<const std::uint8_t*>(context.data()), context.size()}});
  (void)sys::send_record(socket_, writer.written());
  wipe(room);
}

/// The keys, until they are there; what is changed in the file later is seen by the library itself.
bool Acceptor::acquire() {
  if (credentials_ != GSS_C_NO_CREDENTIAL) return true;
  OM_uint32 minor = 0;
  Name name;
  if (!plan_.service.empty()) {
    // Without a host: its keys on any.
    std::string service = plan_.service;
    gss_buffer_desc text{.length = service.size(), .value = service.data()};
    if (GSS_ERROR(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, name.get()))) return false;
  }
  const std::string keytab = "FILE:" + plan_.keytab;
  gss_key_value_element_desc element{.key = "keytab", .value = keytab.c_str()};
  const gss_key_value_set_desc store{.count = 1, .elements = &element};
  const OM_uint32 status = gss_acquire_cred_from(&minor, *name.get(), GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_ACCEPT,
                                                 &store, &credentials_, nullptr, nullptr);
  if (!GSS_ERROR(status)) return true;
  credentials_ = GSS_C_NO_CREDENTIAL;
  notice("no GSSAPI login is possible with the keys in " + plan_.keytab + ": " + why(minor));
  return false;
}

// The same trouble is told once, and once more when there was another in between.
void Acceptor::notice(const std::string& text) {
  if (std::exchange(told_, text) == text) return;
  std::array<std::uint8_t, limits::helper_notice_octets_max + 16> room;
  ByteWriter writer(room);
  wire::encode_helper_notice(writer, {.text = std::string_view(text).substr(0, limits::helper_notice_octets_max)});
  (void)sys::send_record(socket_, writer.written());
}

/// Of this conversation; a new one where it is its first token. One that nobody goes on with goes when there are many.
Context& Acceptor::context_of(std::uint64_t conversation) {
  if (!begun_.contains(conversation) && begun_.size() >= limits::gss_contexts_max) {
    begun_.erase(std::ranges::min_element(begun_, {}, [](const auto& one) { return one.second.since; }));
  }
  return begun_.try_emplace(conversation, Begun{.context = {}, .since = sys::monotonic_now()}).first->second.context;
}

Progress Acceptor::step(const wire::HelperToken& token) {
  Context& context = context_of(token.conversation);
  OM_uint32 minor = 0;
  OM_uint32 flags = 0;
  // The library reads only.
  gss_buffer_desc input{.length = token.token.size(), .value = const_cast<std::uint8_t*>(token.token.data())};
  Buffer answer;
  Name initiator;
  gss_cred_id_t delegated = GSS_C_NO_CREDENTIAL;
  const OM_uint32 status =
      gss_accept_sec_context(&minor, context.get(), credentials_, &input, GSS_C_NO_CHANNEL_BINDINGS, initiator.get(),
                             nullptr, answer.get(), &flags, nullptr, &delegated);
  OM_uint32 ignored = 0;
  gss_release_cred(&ignored, &delegated);
  if (GSS_ERROR(status) || answer.octets().size() > limits::gss_token_octets_max) return {};
  if ((status & GSS_S_CONTINUE_NEEDED) == 0) {
    Context complete = std::move(context);
    return finish(std::move(complete), answer, *initiator.get(), flags);
  }
  if (answer.octets().empty()) return {};
  Progress progress;
  progress.outcome = HelperOutcome::more;
  progress.token.assign(answer.octets().begin(), answer.octets().end());
  return progress;
}

// RFC 1961 section 3.4 lets a client go without mutual authentication or integrity: it would not know whom it talks to.
Progress Acceptor::finish(Context context, const Buffer& answer, gss_name_t initiator, OM_uint32 flags) const {
  constexpr OM_uint32 needed = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG;
  OM_uint32 minor = 0;
  Buffer principal;
  Buffer exported;
  if ((flags & needed) != needed || (flags & GSS_C_ANON_FLAG) != 0) return {};
  if (GSS_ERROR(gss_display_name(&minor, initiator, principal.get(), nullptr))) return {};
  if (GSS_ERROR(gss_export_sec_context(&minor, context.get(), exported.get()))) return {};
  const ConstBytes octets = exported.octets();
  Progress progress;
  progress.user = user_of_principal(principal.text(), plan_.realms);
  if (!wire::is_name_for_back_ends(progress.user)) return {};
  if (octets.empty() || octets.size() > limits::gss_token_octets_max) return {};
  progress.outcome = HelperOutcome::accepted;
  progress.token.assign(answer.octets().begin(), answer.octets().end());
  progress.context = Secret({reinterpret_cast<const char*>(octets.data()), octets.size()});
  return progress;
}

}  // namespace

int run_gss_acceptor(int socket, const GssPlan& plan) {
  return Acceptor(socket, plan).run();
}

}  // namespace stile::auth
