#include "preload/run_command.h"

#include <array>
#include <climits>
#include <csignal>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/epoll/epoll_engine.h"
#include "observe/record_sink.h"
#include "preload/carrier.h"
#include "resolve/cares_resolver.h"
#include "server/through_upstreams.h"
#include "server/worker.h"
#include "sys/background.h"
#include "sys/errno_table.h"
#include "sys/foreground_command.h"
#include "sys/main_loop.h"
#include "sys/preloadable.h"
#include "sys/process_limits.h"
#include "sys/terminal.h"

namespace stile::preload {
namespace {

constexpr std::string_view preload_prefix = "LD_PRELOAD=";

RunRefusal cannot_carry(const Error& error) {
  return {.what = "carry programs", .why = std::string(sys::describe(error)), .cure = {}};
}

RunRefusal cannot_start(const Error& error) {
  return {.what = "start", .why = std::string(sys::describe(error)), .cure = "raise the process's limits"};
}

std::string_view value_of(const std::vector<std::string>& environment, std::string_view prefix) {
  for (const std::string_view entry : environment) {
    if (entry.starts_with(prefix)) return entry.substr(prefix.size());
  }
  return {};
}

std::vector<std::string> environment_with(const RunPlan& plan, const Keys& keys) {
  std::string text(keys_text_octets, '\0');
  write_keys(keys, text.data());
  std::string library = std::string(preload_prefix) + plan.library;
  if (const auto besides = value_of(plan.environment, preload_prefix); !besides.empty()) {
    library += ':' + std::string(besides);
  }
  std::vector<std::string> all{std::move(library), std::string(keys_variable) + '=' + text};
  if (plan.lenient) all.push_back(std::string(lenient_variable) + "=1");
  for (const std::string& entry : plan.environment) {
    const bool ours = entry.starts_with(preload_prefix) || entry.starts_with(std::string(keys_variable) + '=') ||
                      entry.starts_with(std::string(lenient_variable) + '=');
    if (!ours) all.push_back(entry);
  }
  return all;
}

/// What the command is, where the library would not be loaded into it.
std::string_view unfit(const RunPlan& plan) {
  std::array<char, PATH_MAX> room{};
  const std::string path(value_of(plan.environment, "PATH="));
  const char* const found = sys::find_program(plan.words.front().c_str(), path.empty() ? "/bin:/usr/bin" : path.c_str(),
                                              room.data(), room.size());
  return found == nullptr ? std::string_view() : sys::words(sys::preloadable(found));
}

/// The carrier, its signals and the command beside it.
class Run {
 public:
  Run(engine::EpollEngine& engine, Carrier& carrier, sys::SignalQueue& signals, sys::ForegroundCommand* command)
      : engine_(engine), carrier_(carrier), signals_(signals), command_(command) {
    signal_watch_.bind<&Run::on_signal>(this);
    command_watch_.bind<&Run::on_command>(this);
  }

  /// Until the command has ended, or without one the last program, and what they sent has been delivered.
  int work() {
    engine_.adopt(signal_watch_, signals_.descriptor());
    engine_.wait(signal_watch_, engine::Interest::readable);
    if (command_ != nullptr) {
      engine_.adopt(command_watch_, command_->descriptor());
      engine_.wait(command_watch_, engine::Interest::readable);
    }
    while (!ended_ && !carrier_.is_over()) engine_.run();
    ended_ = true;
    if (command_ != nullptr) engine_.release(command_watch_);
    carrier_.finish();
    engine_.release(signal_watch_);
    engine_.stop();
    engine_.run();
    return exit_code_;
  }

 private:
  // A terminal's signals reach the command by themselves.
  void on_signal(engine::Status status) {
    if (status == engine::Status::canceled) return;
    while (const auto signal = signals_.next_with_sender()) {
      if (ended_ || command_ == nullptr) {
        ended_ = true;
        carrier_.stop();
        engine_.stop();
      } else if (!signal->by_kernel) {
        command_->signal(signal->number);
      }
    }
    engine_.wait(signal_watch_, engine::Interest::readable);
  }

  void on_command(engine::Status status) {
    if (status == engine::Status::canceled) return;
    const auto ending = command_->ended();
    if (!ending) return engine_.wait(command_watch_, engine::Interest::readable);
    exit_code_ = ending->signal != 0 ? 128 + ending->signal : ending->code;
    ended_ = true;
    engine_.stop();
  }

  engine::EpollEngine& engine_;
  Carrier& carrier_;
  sys::SignalQueue& signals_;
  sys::ForegroundCommand* command_;
  engine::Socket signal_watch_;
  engine::Socket command_watch_;
  int exit_code_ = 0;
  bool ended_ = false;
};

RunRefusal refusal_of(const sys::CommandRefusal& refused, const std::string& command) {
  return {.what = "run " + command,
          .why = std::string(sys::describe(refused.error)),
          .cure = {},
          .is_command = true,
          .is_not_found = refused.error.kind == ErrorKind::not_found};
}

}  // namespace

std::expected<int, RunRefusal> run_command(const RunPlan& plan) {
  if (const auto what = unfit(plan); !what.empty() && !plan.lenient) {
    return std::unexpected(RunRefusal{.what = "run " + plan.words.front(),
                                      .why = std::string(what) + " would go past the proxy",
                                      .cure = "a private network carries it; --lenient lets it go",
                                      .is_command = true});
  }
  auto ground = Ground::open(std::nullopt);
  if (!ground) return std::unexpected(cannot_carry(ground.error()));
  auto command = sys::ForegroundCommand::fork(plan.words, environment_with(plan, ground->keys),
                                              []() -> std::optional<sys::ForegroundCommand::Fault> { return {}; });
  if (!command) return std::unexpected(cannot_start(command.error()));
  // Only now: the command has its signals as they came.
  auto signals = sys::SignalQueue::create({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2});
  if (!signals) return std::unexpected(cannot_start(signals.error()));
  (void)sys::raise_descriptor_limit();
  auto sink = observe::RecordSink::create(sys::standard_error,
                                          plan.tells ? observe::RecordFormat::text : observe::RecordFormat::none);
  if (!sink) return std::unexpected(cannot_start(sink.error()));
  server::Teller teller(**sink);
  auto engine = engine::EpollEngine::create();
  if (!engine) return std::unexpected(cannot_start(engine.error()));
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return std::unexpected(cannot_start(dns.error()));
  Carrier carrier(**engine, **dns, plan.upstreams, plan.tells ? &teller : nullptr, *std::move(ground));
  if (const auto refused = command->start()) {
    carrier.finish();
    return std::unexpected(refusal_of(*refused, plan.words.front()));
  }
  return Run(**engine, carrier, *signals, &*command).work();
}

std::expected<int, RunRefusal> carry_programs(const Keys& keys, const route::UpstreamPlans& upstreams) {
  auto ground = Ground::open(keys);
  if (!ground && ground.error().kind == ErrorKind::address_in_use) return 0;
  if (!ground) return std::unexpected(cannot_carry(ground.error()));
  if (auto gone = sys::go_to_background(); !gone) return std::unexpected(cannot_start(gone.error()));
  auto signals = sys::SignalQueue::create({SIGTERM, SIGINT});
  if (!signals) return std::unexpected(cannot_start(signals.error()));
  (void)sys::raise_descriptor_limit();
  auto engine = engine::EpollEngine::create();
  if (!engine) return std::unexpected(cannot_start(engine.error()));
  auto dns = resolve::CaresResolver::create(**engine, {});
  if (!dns) return std::unexpected(cannot_start(dns.error()));
  Carrier carrier(**engine, **dns, upstreams, nullptr, *std::move(ground));
  carrier.end_with_programs();
  return Run(**engine, carrier, *signals, nullptr).work();
}

}  // namespace stile::preload
