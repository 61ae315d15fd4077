/* Calls that scripting languages do not make, for preload_test.py and preload_udp_test.py: preload_calls WHAT WORDS... */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

static struct sockaddr_in target(const char* host, const char* port) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  struct sockaddr_in address = {0};
  if (getaddrinfo(host, port, &hints, &found) != 0) exit(3);
  memcpy(&address, found->ai_addr, sizeof address);
  freeaddrinfo(found);
  return address;
}

static int fetch(int fd) {
  const char request[] = "GET / HTTP/1.0\r\n\r\n";
  char room[4096];
  ssize_t size, all = 0;
  if (send(fd, request, sizeof request - 1, 0) < 0) return 1;
  while ((size = read(fd, room, sizeof room)) > 0) { all += size; fwrite(room, 1, (size_t)size, stdout); }
  close(fd);
  return all == 0;
}

static int say(const char* what, long result) {
  printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
  return 0;
}

/* syscall HOST PORT: by number */
static int by_number(char** words) {
  struct sockaddr_in to = target(words[0], words[1]);
  int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
  if (syscall(SYS_connect, fd, &to, sizeof to) != 0) return say("connect", -1);
  return fetch(fd);
}

/* What goes past every function: number and registers by hand. */
static long uncaught(long number, long a, long b) {
#ifdef __x86_64__
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
#else
  (void)a, (void)b, (void)number;
  errno = ENOSYS;
  return -1;
#endif
}

static int io_uring(char** words) {
  char parameters[120] = {0};
  (void)words;
  say("syscall", syscall(425, 4, parameters));
  return say("instruction", uncaught(425, 4, (long)parameters));
}

static int refused_sockets(char** words) {
  (void)words;
  say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  say("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  say("packet", socket(AF_PACKET, SOCK_DGRAM, 0));
  say("sctp", socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
  say("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  say("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
  struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xCB007102)};
  int stream = socket(AF_INET, SOCK_STREAM, 0);
  say("fast open", sendto(stream, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&far, sizeof far));
  int datagram = socket(AF_INET, SOCK_DGRAM, 0);
  struct ip_mreq group = {.imr_multiaddr.s_addr = htonl(0xE00000FB)};
  say("joining", setsockopt(datagram, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
  far.sin_family = AF_UNSPEC;  /* which an IPv4 socket takes for its own */
  say("unsaid family", sendto(datagram, "x", 1, 0, (struct sockaddr*)&far, sizeof far));
  far.sin_family = AF_INET;
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
  inet_pton(AF_INET6, "2001:db8:60::2", &six.sin6_addr);
  say("short address", sendto(socket(AF_INET6, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr*)&six, 24));
  say("shorter address", sendto(socket(AF_INET6, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr*)&six, 23));
  far.sin_addr.s_addr = htonl(0xEF010101);
  return say("multicast", sendto(datagram, "x", 1, 0, (struct sockaddr*)&far, sizeof far));
}

/* threads HOST PORT: eight at once */
static void* one_thread(void* address) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr_in* to = address;
  if (connect(fd, (const struct sockaddr*)to, sizeof *to) != 0) return (void*)1;
  return (void*)(long)fetch(fd);
}
static int threads(char** words) {
  struct sockaddr_in to = target(words[0], words[1]);
  pthread_t all[8];
  long failed = 0;
  for (int i = 0; i < 8; ++i) pthread_create(&all[i], NULL, one_thread, &to);
  for (int i = 0; i < 8; ++i) { void* result; pthread_join(all[i], &result); failed += result != NULL; }
  return (int)failed;
}

/* closing HOST PORT: a daemon's habits: all is closed, the socket has another number, a grandchild uses it */
static int closing(char** words) {
  struct sockaddr_in to = target(words[0], words[1]);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) return say("connect", -1);
  dup2(fd, 100);
  close_range(3, 99, 0);
  int moved = fcntl(100, F_DUPFD_CLOEXEC, 50);
  close_range(100, 200, 0);
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) exit(fetch(moved));
    int status;
    wait(&status);
    struct sockaddr_in again = target(words[0], words[1]);
    int own = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(own, (struct sockaddr*)&again, sizeof again) != 0) exit(2);
    exit(fetch(own) + status);
  }
  int status;
  waitpid(child, &status, 0);
  return status != 0;
}

/* rewriting HOST PORT ROUNDS: another thread keeps changing the address (threat TW3) */
static struct sockaddr_in shared;
static volatile int over;
static void* rewrite(void* unused) {
  (void)unused;
  while (!over) {
    shared.sin_addr.s_addr = htonl(0x7F000001);
    __asm__ volatile("" ::: "memory");
    shared.sin_addr.s_addr = htonl(0xCB007163);  /* 203.0.113.99, where only a leak would go */
  }
  return NULL;
}
static int rewriting(char** words) {
  pthread_t thread;
  shared = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9)};
  pthread_create(&thread, NULL, rewrite, NULL);
  for (int i = 0; i < atoi(words[0]); ++i) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "x", 1, 0, (struct sockaddr*)&shared, sizeof shared);
    connect(fd, (struct sockaddr*)&shared, sizeof shared);
    struct msghdr message = {.msg_name = &shared, .msg_namelen = sizeof shared};
    sendmsg(fd, &message, 0);
    close(fd);
  }
  over = 1;
  pthread_join(thread, NULL);
  return say("rounds", 0);
}

/* As where another thread holds the dynamic linker's lock when a process forks: the child never gets it. */
static int execute_in_child(struct dl_phdr_info* object, size_t size, void* data) {
  (void)object, (void)size;
  char** rest = data;
  char* none[] = {NULL};
  pid_t child = fork();
  if (child == 0) { alarm(20); execve(rest[0], rest, none); _exit(126); }
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) + 1 : 1000;
}

/* What became of a program that posix_spawn has started, or has not. */
static int ended(int error, const pid_t* child) {
  int status;
  if (error == 0) { waitpid(*child, &status, 0); return WEXITSTATUS(status); }
  errno = error;
  say("spawn", -1);
  return 126;
}

/* spawning HOW: "program" and "./program" of the folder "inside" of the working folder; and at last that of this one */
static int spawning(char** words) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (strcmp(words[0], "path") == 0) posix_spawn_file_actions_addchdir_np(&actions, "inside");
  if (strcmp(words[0], "descriptor") == 0) posix_spawn_file_actions_addfchdir_np(&actions, open("inside", O_RDONLY));
  char* name[] = {"program", "web.far.test", NULL};
  char* both[] = {"./program", "web.far.test", NULL};
  pid_t child;
  printf("%d\n", ended(posix_spawn(&child, both[0], &actions, NULL, both, environ), &child));
  printf("%d\n", ended(posix_spawnp(&child, both[0], &actions, NULL, both, environ), &child));
  setenv("PATH", "/usr/bin:.", 1);
  printf("%d\n", ended(posix_spawnp(&child, name[0], &actions, NULL, name, environ), &child));
  char* absolute[] = {"true", NULL};
  setenv("PATH", "/usr/bin", 1);
  printf("%d\n", ended(posix_spawnp(&child, absolute[0], &actions, NULL, absolute, environ), &child));
  posix_spawn_file_actions_destroy(&actions);
  posix_spawn_file_actions_init(&actions);
  printf("%d\n", ended(posix_spawn(&child, both[0], &actions, NULL, both, environ), &child));
  return 0;
}

/* executing HOW PROGRAM WORDS...: with an environment that says nothing */
static int executing(char** words) {
  char* none[] = {NULL};
  const char* how = words[0];
  char** rest = words + 1;
  if (strcmp(how, "execve") == 0) execve(rest[0], rest, none);
  if (strcmp(how, "execv") == 0) { clearenv(); execv(rest[0], rest); }
  if (strcmp(how, "execl") == 0) { clearenv(); execl(rest[0], rest[0], rest[1], NULL); }
  if (strcmp(how, "execvp") == 0) execvp(strrchr(rest[0], '/') + 1, rest);
  if (strcmp(how, "execlp") == 0) execlp(strrchr(rest[0], '/') + 1, rest[0], rest[1], NULL);
  if (strcmp(how, "execle") == 0) execle(rest[0], rest[0], rest[1], NULL, none);
  if (strcmp(how, "execvpe") == 0) execvpe(strrchr(rest[0], '/') + 1, rest, none);
  if (strcmp(how, "fexecve") == 0) fexecve(open(rest[0], O_RDONLY), rest, none);
  if (strcmp(how, "execveat") == 0) execveat(AT_FDCWD, rest[0], rest, none, 0);
  if (strcmp(how, "syscall") == 0) syscall(SYS_execve, rest[0], rest, none);
  if (strcmp(how, "syscall execveat") == 0) syscall(SYS_execveat, AT_FDCWD, rest[0], rest, none, 0);
  if (strcmp(how, "locked") == 0) return dl_iterate_phdr(execute_in_child, rest) - 1;
  if (strcmp(how, "vfork") == 0) {
    pid_t child = vfork();
    if (child == 0) { execve(rest[0], rest, none); _exit(126); }
    int status;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
  if (strcmp(how, "spawn") == 0) {
    pid_t child;
    return ended(posix_spawn(&child, rest[0], NULL, NULL, rest, none), &child);
  }
  if (strcmp(how, "spawnp") == 0) {
    pid_t child;
    return ended(posix_spawnp(&child, strrchr(rest[0], '/') + 1, NULL, NULL, rest, none), &child);
  }
  char command[4096];
  snprintf(command, sizeof command, "%s %s", rest[0], rest[1] == NULL ? "" : rest[1]);
  if (strcmp(how, "system") == 0) {
    clearenv();
    return WEXITSTATUS(system(command));
  }
  if (strcmp(how, "popen") == 0) {
    clearenv();
    FILE* pipe = popen(command, "r");
    for (int c; pipe != NULL && (c = fgetc(pipe)) != EOF;) putchar(c);
    return pipe == NULL ? 1 : WEXITSTATUS(pclose(pipe));
  }
  if (strcmp(how, "wordexp") == 0) {
    clearenv();
    wordexp_t words_of_it;
    char expanded[4200];
    snprintf(expanded, sizeof expanded, "\"$(%s || echo $?)\"", command);
    if (wordexp(expanded, &words_of_it, WRDE_SHOWERR) != 0) return 1;
    fputs(words_of_it.we_wordv[0], stdout);
    return strcmp(words_of_it.we_wordv[0], "126") == 0 ? 126 : 0;
  }
  say("exec", -1);
  return 126;
}

/* names NAME: by every older function */
static int names(char** words) {
  struct hostent own, *found = gethostbyname(words[0]);
  char room[1024], text[64];
  int error;
  if (found == NULL) return say("gethostbyname", -1);
  printf("%s\n", inet_ntop(AF_INET, found->h_addr_list[0], text, sizeof text));
  struct in_addr address;
  memcpy(&address, found->h_addr_list[0], sizeof address);
  found = gethostbyaddr(&address, sizeof address, AF_INET);
  printf("%s\n", found == NULL ? "-" : found->h_name);
  gethostbyname2_r(words[0], AF_INET6, &own, room, sizeof room, &found, &error);
  printf("%s\n", found == NULL ? "-" : inet_ntop(AF_INET6, found->h_addr_list[0], text, sizeof text));
  printf("%d\n", gethostbyname_r(words[0], &own, room, 8, &found, &error) == ERANGE && found == NULL);
  unsigned char answer[512];
  int size = res_query(words[0], 1, 1, answer, sizeof answer);
  printf("%s\n", size < 4 ? "-" : inet_ntop(AF_INET, answer + size - 4, text, sizeof text));
  printf("%d\n", res_query(words[0], 1, 15, answer, sizeof answer));
  printf("%08lx\n", (unsigned long)gethostid());
  printf("%d\n", ruserok(words[0], 0, "a", "a") == -1 && iruserok(address.s_addr, 0, "a", "a") == -1);
  int port = 1023;
  printf("%d\n", rresvport(&port) == -1 && errno == EACCES && bindresvport(socket(AF_INET, SOCK_STREAM, 0), NULL) == -1);
  return 0;
}

/* signals HOST PORT: connects in a handler while the program is within the same calls */
static struct sockaddr_in far_away;
static volatile sig_atomic_t handled;
static void handler(int number) {
  (void)number;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  connect(fd, (struct sockaddr*)&far_away, sizeof far_away);
  sendto(fd, "x", 1, 0, (struct sockaddr*)&far_away, sizeof far_away);
  close(fd);
  ++handled;
}
static void* interrupt(void* main_thread) {
  while (!over) pthread_kill(*(pthread_t*)main_thread, SIGUSR1);
  return NULL;
}
static int signals(char** words) {
  pthread_t self = pthread_self(), other;
  far_away = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0xC0000235)};
  struct sockaddr_in to = target(words[0], words[1]);
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  pthread_create(&other, NULL, interrupt, &self);
  while (handled < 300) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "x", 1, 0, (struct sockaddr*)&far_away, sizeof far_away);
    close(fd);
  }
  over = 1;
  pthread_join(other, NULL);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return connect(fd, (struct sockaddr*)&to, sizeof to) != 0 ? say("connect", -1) : fetch(fd);
}

/* many ADDRESS PORT: ten datagrams by one call, to two ports in turn; their echoes by one call, with whom they are of */
static int many(char** words) {
  struct sockaddr_in to[2];
  struct mmsghdr messages[10];
  struct iovec parts[10];
  char rooms[10][16];
  struct sockaddr_in from[10];
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  for (int i = 0; i < 2; ++i) {
    to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1 + i]))};
    inet_pton(AF_INET, words[0], &to[i].sin_addr);
  }
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < 10; ++i) {
    parts[i] = (struct iovec){rooms[i], (size_t)snprintf(rooms[i], sizeof rooms[i], "message %d", i)};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i % 2], .msg_namelen = sizeof to[0], .msg_iov = &parts[i], .msg_iovlen = 1};
  }
  printf("sent %d\n", sendmmsg(fd, messages, 10, 0));
  for (int got = 0; got < 10;) {
    for (int i = 0; i < 10; ++i) {
      parts[i] = (struct iovec){rooms[i], sizeof rooms[i]};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[0], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, 10, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; ++i) {
      char text[64];
      printf("%s:%d %.*s\n", inet_ntop(AF_INET, &from[i].sin_addr, text, sizeof text), ntohs(from[i].sin_port),
             (int)messages[i].msg_len, rooms[i]);
    }
    if (count <= 0) return 1;
    got += count;
  }
  return 0;
}

int main(int count, char** words) {
  const struct { const char* name; int (*run)(char** words); } all[] = {
      {"syscall", by_number}, {"io_uring", io_uring}, {"sockets", refused_sockets}, {"threads", threads},
      {"closing", closing}, {"rewriting", rewriting}, {"executing", executing}, {"names", names},
      {"signals", signals}, {"many", many}, {"spawning", spawning}};
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; count > 1 && i < sizeof all / sizeof *all; ++i) {
    if (strcmp(words[1], all[i].name) == 0) return all[i].run(words + 2);
  }
  return 2;
}
