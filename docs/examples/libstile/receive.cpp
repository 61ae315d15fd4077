// Has a proxy listen, says where on its first line, and writes what the one peer that comes there sends.
//
//   ./receive PROXY-URL PEER-HOST
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stile/stile.hpp>

#include <cstdio>

int main(int count, char** words) {
  if (count != 3) return 2;
  const auto complain = [](const stile::Error& error) {
    std::fprintf(stderr, "receive: %s (%s)\n", error.text(), error.name());
    return 1;
  };
  auto client = stile::Client::open(std::string(words[1]));
  if (!client) return complain(client.error());
  auto listener = client->listen(words[2]);
  if (!listener) return complain(listener.error());
  const stile::SocketAddress place = listener->address();
  const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&place.storage);
  char text[INET_ADDRSTRLEN] = "?";
  if (place.storage.ss_family == AF_INET) inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  std::printf("%s %u\n", text, ntohs(v4->sin_port));
  std::fflush(stdout);
  auto stream = listener->accept(std::chrono::seconds(30));
  if (!stream) return complain(stream.error());
  char octets[4096];
  ssize_t received = 0;
  while ((received = read(stream->get(), octets, sizeof octets)) > 0) {
    std::fwrite(octets, 1, static_cast<std::size_t>(received), stdout);
  }
  return received == 0 ? 0 : 1;
}
