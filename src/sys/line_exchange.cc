#include "sys/line_exchange.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t answer_octets_max = 16 * 1024 * 1024;

struct Client {
  UniqueFd fd;
  Clock::time_point deadline;
  std::string request;
  std::string answer;  // from the whole request on: what it has not taken yet
  bool answering = false;
  bool over = false;
};

std::unexpected<Error> last_error() {
  return std::unexpected(make_error(errno));
}

void read_request(Client& client, const LineLimits& limits,
                  const std::function<std::string(std::string_view)>& answer) {
  std::array<char, 4096> buffer;
  const ssize_t count = retry([&] { return ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT); });
  if (count == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (count <= 0) {
    client.over = true;
    return;
  }
  client.request.append(buffer.data(), static_cast<std::size_t>(count));
  const std::size_t end = client.request.find('\n');
  if (end == std::string::npos) {
    client.over = client.request.size() > limits.octets_max;
    return;
  }
  client.answer = answer(std::string_view(client.request).substr(0, end)) + "\n";
  client.answering = true;
  client.deadline = Clock::now() + limits.wait;
}

void send_answer(Client& client) {
  const ssize_t count = retry(
      [&] { return ::send(client.fd.get(), client.answer.data(), client.answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  if (count == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (count > 0) client.answer.erase(0, static_cast<std::size_t>(count));
  client.over = count <= 0 || client.answer.empty();
}

// In milliseconds, as poll(2) counts; rounded up, so that a wait never spins.
int time_left(const std::vector<Client>& clients) {
  if (clients.empty()) return -1;
  const auto first = std::ranges::min_element(clients, {}, &Client::deadline);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(first->deadline - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

void admit(const UniqueFd& listening, const LineLimits& limits, std::vector<Client>& clients) {
  UniqueFd fd{retry([&] { return ::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); })};
  if (!fd.is_open()) return;
  clients.push_back({.fd = std::move(fd), .deadline = Clock::now() + limits.wait, .request = {}, .answer = {}});
}

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::unexpected(make_error(ENAMETOOLONG));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd.is_open()) return last_error();
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (retry([&] { return ::connect(fd.get(), generic, sizeof address); }) == -1) return last_error();
  return fd;
}

}  // namespace

void serve_lines(const UniqueFd& listening, int stop, const LineLimits& limits,
                 const std::function<std::string(std::string_view)>& answer) {
  std::vector<Client> clients;
  for (;;) {
    const bool room = clients.size() < limits.clients_max;
    std::vector<pollfd> watched{{.fd = stop, .events = POLLIN, .revents = 0},
                                {.fd = room ? listening.get() : -1, .events = POLLIN, .revents = 0}};
    for (const Client& client : clients) {
      watched.push_back(
          {.fd = client.fd.get(), .events = static_cast<short>(client.answering ? POLLOUT : POLLIN), .revents = 0});
    }
    if (retry([&] { return ::poll(watched.data(), watched.size(), time_left(clients)); }) == -1) return;
    if (watched[0].revents != 0) return;
    const auto now = Clock::now();
    for (std::size_t i = 0; i < clients.size(); ++i) {
      Client& client = clients[i];
      if (watched[i + 2].revents != 0 && !client.answering) read_request(client, limits, answer);
      if (client.answering) send_answer(client);
      client.over = client.over || client.deadline <= now;
    }
    std::erase_if(clients, [](const Client& client) { return client.over; });
    if (watched[1].revents != 0) admit(listening, limits, clients);
  }
}

Result<std::string> ask_line(const std::string& path, std::string_view line) {
  auto fd = connect_to(path);
  if (!fd) return std::unexpected(fd.error());
  std::string request = std::string(line) + "\n";
  while (!request.empty()) {
    const ssize_t sent = retry([&] { return ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL); });
    if (sent == -1) return last_error();
    request.erase(0, static_cast<std::size_t>(sent));
  }
  std::string answer;
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t count = retry([&] { return ::recv(fd->get(), buffer.data(), buffer.size(), 0); });
    if (count == -1) return last_error();
    if (count == 0 || answer.size() > answer_octets_max) return std::unexpected(make_error(ECONNRESET));
    const std::string_view part(buffer.data(), static_cast<std::size_t>(count));
    answer.append(part.substr(0, part.find('\n')));
    if (part.contains('\n')) return answer;
  }
}

}  // namespace stile::sys
