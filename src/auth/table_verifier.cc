#include "auth/table_verifier.h"

#include "auth/authenticator.h"
#include "auth/login_state.h"

namespace stile::auth {

/// An answer on its way.
class TableVerifier::Reply {
 public:
  Reply(TableVerifier& table, Login& login, std::optional<Identity> identity, Reason reason)
      : table_(table), login_(&login), identity_(std::move(identity)), reason_(reason) {
    timer_.bind<&Reply::on_timer>(this);
  }

  [[nodiscard]] bool is_for(const Login& login) const noexcept { return login_ == &login; }
  void start(Instant due) noexcept { table_.engine_.start_timer(timer_, due); }
  void forget() noexcept {
    login_ = nullptr;
    table_.engine_.cancel(timer_);
  }

 private:
  void on_timer(engine::Status) {
    if (login_ != nullptr && identity_) LoginState::succeed(table_.engine_, *login_, std::move(*identity_), false);
    if (login_ != nullptr && !identity_) LoginState::fail(table_.engine_, *login_, reason_);
    table_.finished(*this);
  }

  TableVerifier& table_;
  Login* login_;  // nullptr: nobody waits for it any longer
  std::optional<Identity> identity_;
  Reason reason_;
  engine::Timer timer_;
};

TableVerifier::TableVerifier(engine::Engine& engine, Duration slowest, unsigned busy_one_in) noexcept
    : engine_(engine), slowest_(slowest), busy_one_in_(busy_one_in) {}

TableVerifier::~TableVerifier() {
  STILE_ASSERT(replies_.empty());
}

void TableVerifier::add(std::string user, std::string password) {
  passwords_.insert_or_assign(std::move(user), std::move(password));
}

void TableVerifier::verify(Login& login, const LoginRequest& request) {
  LoginState::begin(login, *this, next_ticket_++);
  std::optional<Identity> identity;
  Reason reason = Reason::auth_failed;
  const UserRecord* const record = request.users->find(request.user);
  const auto password = passwords_.find(request.user);
  if (busy_one_in_ != 0 && engine_.random() % busy_one_in_ == 0) {
    reason = Reason::auth_busy;
  } else if (record != nullptr && password != passwords_.end() && password->second == request.password->reveal()) {
    identity = Authenticator::password_user(*record);
  }
  const auto spread = static_cast<std::uint64_t>(slowest_.count()) + 1;
  const Duration delay{static_cast<Duration::rep>(engine_.random() % spread)};
  replies_.push_back(std::make_unique<Reply>(*this, login, std::move(identity), reason));
  replies_.back()->start(engine_.now() + delay);
}

void TableVerifier::cancel(Login& login) noexcept {
  if (!login.pending()) return;
  for (const auto& reply : replies_) {
    if (reply->is_for(login)) reply->forget();
  }
  LoginState::cancel(engine_, login);
}

void TableVerifier::finished(Reply& reply) {
  std::erase_if(replies_, [&reply](const auto& owned) { return owned.get() == &reply; });
}

}  // namespace stile::auth
