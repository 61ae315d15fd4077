/* Writes what a host's web server has to standard output: connect, send and receive are operations of io_uring, which
 * no function of the C library and no system call of their own announces. */

#include <liburing.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The one operation's result, or what the kernel thinks of it. */
static int done(struct io_uring* ring) {
  struct io_uring_cqe* completion;
  int failed = io_uring_submit_and_wait(ring, 1);
  if (failed >= 0) failed = io_uring_wait_cqe(ring, &completion);
  if (failed < 0) return failed;
  int result = completion->res;
  io_uring_cqe_seen(ring, completion);
  return result;
}

int main(int count, char** words) {
  if (count != 3) return 2;
  struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int failed = getaddrinfo(words[1], words[2], &wanted, &found);
  if (failed != 0) return fprintf(stderr, "%s: %s\n", words[1], gai_strerror(failed)), 1;
  struct io_uring ring;
  if (io_uring_queue_init(4, &ring, 0) != 0) return perror("io_uring"), 1;
  int fd = socket(found->ai_family, found->ai_socktype, 0);
  io_uring_prep_connect(io_uring_get_sqe(&ring), fd, found->ai_addr, found->ai_addrlen);
  failed = done(&ring);
  if (failed < 0) return fprintf(stderr, "connect: error %d\n", -failed), 1;
  const char request[] = "GET / HTTP/1.0\r\n\r\n";
  io_uring_prep_send(io_uring_get_sqe(&ring), fd, request, sizeof request - 1, 0);
  if (done(&ring) != sizeof request - 1) return 1;
  char room[4096];
  for (;;) {
    io_uring_prep_recv(io_uring_get_sqe(&ring), fd, room, sizeof room, 0);
    int size = done(&ring);
    if (size <= 0) return size != 0;
    if (write(1, room, (size_t)size) != size) return 1;
  }
}
