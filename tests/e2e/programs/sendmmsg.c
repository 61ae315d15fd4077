/* Sends three datagrams to an echo by one system call, and counts what comes back by another. */

#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { COUNT = 3, SIZE = 100 };

int main(int count, char** words) {
  if (count != 3) return 2;
  struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM}, *found;
  int failed = getaddrinfo(words[1], words[2], &wanted, &found);
  if (failed != 0) return fprintf(stderr, "%s: %s\n", words[1], gai_strerror(failed)), 1;
  int fd = socket(found->ai_family, found->ai_socktype, 0);
  struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char sent[COUNT][SIZE], came[COUNT][SIZE];
  struct iovec out[COUNT], in[COUNT];
  struct mmsghdr outgoing[COUNT] = {0}, incoming[COUNT] = {0};
  for (int i = 0; i < COUNT; ++i) {
    memset(sent[i], 'a' + i, SIZE);
    out[i] = (struct iovec){sent[i], SIZE};
    in[i] = (struct iovec){came[i], SIZE};
    outgoing[i].msg_hdr = (struct msghdr){
        .msg_name = found->ai_addr, .msg_namelen = found->ai_addrlen, .msg_iov = &out[i], .msg_iovlen = 1};
    incoming[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
  }
  if (sendmmsg(fd, outgoing, COUNT, 0) != COUNT) return perror("sendmmsg"), 1;
  int received = 0;
  while (received < COUNT) {
    int more = recvmmsg(fd, incoming + received, COUNT - received, MSG_WAITFORONE, NULL);
    if (more <= 0) return perror("recvmmsg"), 1;
    for (int i = received; i < received + more; ++i) {
      if (incoming[i].msg_len != SIZE) return 1;
    }
    received += more;
  }
  printf("%d came back\n", received);
  return 0;
}
