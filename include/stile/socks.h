/* The classic interface to SOCKS: a program that was written to it goes through the proxies that the environment names
 * (ALL_PROXY, NO_PROXY, as docs/libstile.md says), unmodified. Each call is its namesake's of the system, but that it goes
 * through the proxy; all return -1 with errno where they fail. With -DSOCKS the usual names mean these:
 *
 *   cc -DSOCKS program.c $(pkg-config --cflags --libs stile-socks)     #include <socks.h> finds this file then
 *
 * Threads: any. Forks: the child goes on with descriptors that are connected; one that waits for its peer (Rbind), or is an
 * association (Rsendto), is its parent's.
 * State of the process: the proxies, read once; which descriptors are what; the names that Rgethostbyname gave addresses.
 *
 * Sockets of other families than the Internet's, and whatever NO_PROXY names, are left to the system. */
#ifndef STILE_SOCKS_H
#define STILE_SOCKS_H

#include <netdb.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the environment; the others do so by themselves. 0, or -1 with ENETUNREACH where it names no proxy, EINVAL where
 * one cannot be used. `program` is not looked at. */
int SOCKSinit(const char *program);

/* Waits until the connection stands, even on a descriptor that does not block. The descriptor is another socket's from then
 * on: what was set on it before is lost, but O_NONBLOCK and close-on-exec. Not for datagrams (EOPNOTSUPP). */
int Rconnect(int fd, const struct sockaddr *address, socklen_t length);

/* Has the proxy listen for one connection, from where the last Rconnect of the process went; `address` is not looked at, the
 * proxy chooses, and Rgetsockname tells what. From then on the descriptor is for select, poll, close and these calls. */
int Rbind(int fd, const struct sockaddr *address, socklen_t length);
int Rlisten(int fd, int backlog);
/* The one connection; EINVAL behind it. */
int Raccept(int fd, struct sockaddr *address, socklen_t *length);
int Rgetsockname(int fd, struct sockaddr *address, socklen_t *length);
/* Where Rconnect went, and not the proxy. */
int Rgetpeername(int fd, struct sockaddr *address, socklen_t *length);

/* The first one makes the descriptor an association with the proxy. `flags`: none, or MSG_DONTWAIT to receive. */
ssize_t Rsendto(int fd, const void *octets, size_t size, int flags, const struct sockaddr *to, socklen_t length);
ssize_t Rrecvfrom(int fd, void *octets, size_t size, int flags, struct sockaddr *from, socklen_t *length);

/* A descriptor of Rlisten is readable when its peer has come. */
int Rselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *longest);

/* A name's address is one of 0.0.0.0/16 that stands for it in Rconnect and Rsendto: the name goes to the proxy, and nothing
 * is looked up here. The last 65,535 names are known. Each thread has one result at a time. */
struct hostent *Rgethostbyname(const char *name);

#ifdef __cplusplus
}
#endif

#ifdef SOCKS
#define connect Rconnect
#define bind Rbind
#define listen Rlisten
#define accept Raccept
#define getsockname Rgetsockname
#define getpeername Rgetpeername
#define sendto Rsendto
#define recvfrom Rrecvfrom
#define select Rselect
#define gethostbyname Rgethostbyname
#endif

#endif
