// The C++ face, used as a program would; what is moved from and what is not there included.
//
//   face PROXY-URL TCP-ECHO-PORT UDP-ECHO-PORT CLOSED-PORT
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stile/stile.hpp>
#include <type_traits>

static_assert(!std::is_copy_constructible_v<stile::Client> && std::is_nothrow_move_constructible_v<stile::Stream>);

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition);    \
      std::exit(1);                                                   \
    }                                                                 \
  } while (0)

int main(int count, char** words) {
  CHECK(count == 5);
  const auto port = [&](int which) { return static_cast<std::uint16_t>(std::atoi(words[which])); };
  CHECK(stile::Client::open("socks6://x").error().code() == STILE_ERROR_SETTINGS);
  auto opened = stile::Client::open(std::string(words[1]));
  CHECK(opened);
  stile::Client client = std::move(*opened);
  auto copy = client.copy();
  CHECK(copy && !copy->goes_directly("localhost", 1));
  auto stream = copy->connect("127.0.0.1", port(2));
  CHECK(stream);
  stile::Stream held = std::move(*stream);
  CHECK(held.get() >= 0 && stream->get() == -1);
  char octet = 'x';
  CHECK(write(held.get(), &octet, 1) == 1 && read(held.get(), &octet, 1) == 1 && octet == 'x');
  const auto refused = client.connect("127.0.0.1", port(4));
  CHECK(!refused && refused.error().reply() == 5 && refused.error().hop() == 0);
  CHECK(std::string(refused.error().name()) == "STILE_ERROR_REFUSED" && refused.error().system_error() == ECONNREFUSED);
  auto udp = client.open_udp();
  CHECK(udp && udp->send("datagram", 8, "127.0.0.1", port(3)));
  char room[16];
  stile::SocketAddress from;
  CHECK(udp->receive(room, sizeof room, std::chrono::seconds(20), &from).value() == 8 && from.storage.ss_family == AF_INET);
  auto listener = client.listen("127.0.0.1");
  CHECK(listener && listener->address().storage.ss_family == AF_INET);
  CHECK(listener->accept(std::chrono::milliseconds(1)).error().code() == STILE_ERROR_TIMEOUT);
  auto address = client.resolve("localhost");
  CHECK(address && client.resolve(*address));
  CHECK(client.ping("127.0.0.1", 1)->size() == 1);
  std::puts("all of it");
}
