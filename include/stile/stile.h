/* libstile: connections, listening, datagrams, names and pings through SOCKS and HTTP proxies, alone or one behind
 * another. A connection comes as an ordinary descriptor.
 *
 *   struct stile_error error;
 *   stile_client *client = stile_open("socks5h://proxy.example:1080", &error);
 *   int fd = client ? stile_connect(client, "www.example.org", 80, &error) : -1;
 *   if (fd == -1) fprintf(stderr, "%s\n", error.text);
 *
 * Threads: a client, with everything that was opened through it, belongs to one thread at a time; different clients
 * know nothing of each other, so each thread opens its own (stile_copy makes that cheap). Descriptors that were handed
 * out, and stile_udp, are independent of the client from then on and may outlive it.
 * Forks: the child of a fork(2) may go on with the descriptors, and may not use, nor close, the clients, operations,
 * listeners and stile_udp of its parent: it opens its own. Every call tells (STILE_ERROR_STATE).
 * Signals: none is raised, handled or blocked; no call is interrupted by one. Output: none. Exceptions: none.
 * State of the process: a thread of the library's own carries the octets of each client that has protected streams
 * (TLS, Kerberos), as long as one of them is open. Octets that it has not carried yet are lost when the process ends:
 * a program that is to know that they arrived shuts its end down and reads the other's.
 *
 * Texts are UTF-8 or ASCII and end with NUL. Ports are in host byte order. Socket addresses are those of <sys/socket.h>.
 * Every function that fails says why in `error`, where that is not NULL, and sets errno to error->system_error.
 *
 * Described at length in docs/libstile.md. C11 and later, C++11 and later. */
#ifndef STILE_STILE_H
#define STILE_STILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many proxies one chain may have. */
#define STILE_CHAIN_MAX 8

/* --- errors --------------------------------------------------------------------------------------------------------- */

enum stile_code {
  STILE_OK = 0,
  STILE_ERROR_ARGUMENT = 1,     /* a host, port or size that cannot be */
  STILE_ERROR_SETTINGS = 2,     /* a proxy's address or a file of the settings cannot be used */
  STILE_ERROR_NO_PROXY = 3,     /* the environment names none */
  STILE_ERROR_SYSTEM = 4,       /* this process has no descriptors, memory or permission left: system_error */
  STILE_ERROR_STATE = 5,        /* called out of turn, or behind a fork */
  STILE_ERROR_PROXY_NAME = 6,   /* the proxy's name leads nowhere */
  STILE_ERROR_TARGET_NAME = 7,  /* the target's does, where it is resolved here */
  STILE_ERROR_PROXY_DOWN = 8,   /* the proxy cannot be reached */
  STILE_ERROR_PROTECTION = 9,   /* TLS or Kerberos with it came to nothing */
  STILE_ERROR_CLEAR_PASSWORD = 10, /* a password would cross the network in clear (STILE_CLEAR_PASSWORD) */
  STILE_ERROR_LOGIN = 11,       /* it wants another login: `reply` where it said a number */
  STILE_ERROR_REFUSED = 12,     /* it was asked and said no: `reply` */
  STILE_ERROR_UNSUPPORTED = 13, /* its protocol has no word for that */
  STILE_ERROR_PROTOCOL = 14,    /* what it says is not its protocol */
  STILE_ERROR_CLOSED = 15,      /* it closed the connection, or that broke */
  STILE_ERROR_TIMEOUT = 16,
  STILE_ERROR_CANCELED = 17,
  STILE_ERROR_TOO_LONG = 18,    /* a datagram that does not fit */
  STILE_ERROR_TARGET = 19       /* without a proxy (no_proxy): the target cannot be reached */
};

/* The protocol that `reply` is a number of. */
enum stile_protocol { STILE_PROTOCOL_NONE = 0, STILE_PROTOCOL_SOCKS4 = 4, STILE_PROTOCOL_SOCKS5 = 5, STILE_PROTOCOL_HTTP = 80 };

struct stile_error {
  int code;         /* enum stile_code */
  int system_error; /* an errno that says about the same, never 0 but with STILE_OK. What the proxy told of the target
                       is told as connect(2) would (ECONNREFUSED, EHOSTUNREACH, EACCES, ...); a fault of the way to it is
                       ENETUNREACH, ETIMEDOUT or the system's own */
  int reply;        /* the proxy's number: REP of SOCKS5 (RFC 1928, section 6), CD of SOCKS4, the status of HTTP or of a
                       login; -1: none was received */
  int protocol;     /* enum stile_protocol */
  int hop;          /* the proxy that is at fault, the nearest being 0; -1: none is */
  int reserved[3];
  char text[256]; /* in English, one line without its end: "socks5h://proxy.example:1080: the target refuses ...". Never a
                     password, never an octet that a proxy chose */
};

/* "STILE_ERROR_REFUSED" and so on; never NULL. */
const char *stile_code_name(int code);
/* "0.1.0" */
const char *stile_version(void);

/* --- clients -------------------------------------------------------------------------------------------------------- */

typedef struct stile_client stile_client;

/* One proxy, and how it is met. */
struct stile_proxy {
  size_t size;              /* sizeof(struct stile_proxy) */
  const char *url;          /* SCHEME://[USER[:PASSWORD]@]HOST[:PORT], the scheme socks5h, socks5, socks4a, socks4 or
                               http, each with +tls behind it, socks5+gssapi, socks5h+gssapi, or https. With socks5 and
                               socks4 names are resolved here, else by the proxy and never here */
  const char *password;     /* of the URL's user, 1 to 255 octets; NULL: as the URL says */
  const char *ca;           /* file of PEM: the authorities that count for its certificate; NULL: the system's */
  const char *certificate;  /* file of PEM: what to show it; NULL: nothing */
  const char *key;          /* file of PEM, for its owner's eyes only; NULL: in the certificate's file */
  const char *gss_service;  /* what it is to Kerberos; NULL: "rcmd" */
  unsigned flags;           /* STILE_CLEAR_PASSWORD */
  unsigned reserved[5];
};

#define STILE_CLEAR_PASSWORD 1u /* its password may cross the network in clear */

/* What a client goes by. All zero but `size`: the environment's proxies. */
struct stile_settings {
  size_t size;                     /* sizeof(struct stile_settings) */
  const char *urls;                /* of one proxy or several, blanks between, the nearest first; NULL: `chain` */
  const struct stile_proxy *chain; /* the same with more to say; NULL too: the first of STILE_VIA, all_proxy, ALL_PROXY,
                                      SOCKS_PROXY that is set and not empty, and no_proxy, NO_PROXY */
  size_t chain_length;             /* 0 to STILE_CHAIN_MAX */
  const char *no_proxy;            /* what is reached without a proxy, by the rules of docs/libstile.md; NULL: nothing,
                                      or the environment's where that names the proxies */
  int timeout;                     /* milliseconds that one operation may take; 0: 60,000; negative: for ever */
  unsigned flags;                  /* STILE_CLEAR_PASSWORD, of all proxies; STILE_ANY_RELAY */
  unsigned reserved[6];
};

#define STILE_ANY_RELAY 2u /* datagrams may go to another address than the proxy's own, if it says so */

/* Reads what the settings name; connects to nobody. NULL: it cannot be. The texts are copied. `urls` as in the settings;
 * NULL: the environment, which a program that runs with another user's rights (secure_getenv(3)) does not look at. */
stile_client *stile_open(const char *urls, struct stile_error *error);
stile_client *stile_open_with(const struct stile_settings *settings, struct stile_error *error);
/* Another client by the same settings, nothing read again. From any thread while `client` is not closed. */
stile_client *stile_copy(const stile_client *client, struct stile_error *error);
/* Ends and frees its operations and listeners as well. NULL is nothing. */
void stile_close(stile_client *client);
/* 1 where no_proxy says that this host and port are reached without a proxy, else 0. */
int stile_goes_directly(const stile_client *client, const char *host, uint16_t port);

/* --- connections ---------------------------------------------------------------------------------------------------- */

/* Connects to a host by its name, which the proxy resolves where the scheme says so, or its address. A connected, blocking
 * descriptor with close-on-exec and TCP_NODELAY, the caller's to close; -1: why not. Not one octet of the target's was
 * read. Where the way is in the clear it is the socket of the connection to the first proxy, and getpeername(2) names
 * that. Where it is protected it is one end of a connection to the library's thread: a FIN is still a FIN, a reset, and a
 * stream that somebody cut short, is ECONNRESET. */
int stile_connect(stile_client *client, const char *host, uint16_t port, struct stile_error *error);

/* --- listening (BIND, RFC 1928 section 4) ---------------------------------------------------------------------------- */

typedef struct stile_listener stile_listener;

/* Has the proxy listen for one connection from a host, which most proxies want to be that of a connection which stands;
 * "0.0.0.0" for who does not know. The client waits until the proxy listens. */
stile_listener *stile_listen(stile_client *client, const char *from, uint16_t port, struct stile_error *error);
/* Where peers can connect. `length` as of getsockname(2). An address family of AF_UNSPEC: the proxy did not say it as an
 * address. 0, or -1. */
int stile_listener_address(const stile_listener *listener, struct sockaddr *address, socklen_t *length);
/* Waits, `timeout` milliseconds or for ever where it is negative, for the one connection; a descriptor as of
 * stile_connect, and in `peer`, where it is not NULL, who it is. After a timeout it can be called again, else not. */
int stile_accept(stile_listener *listener, int timeout, struct sockaddr *peer, socklen_t *length,
                 struct stile_error *error);
/* Gives it up. NULL is nothing. */
void stile_listener_close(stile_listener *listener);

/* --- datagrams (UDP ASSOCIATE) ---------------------------------------------------------------------------------------- */

typedef struct stile_udp stile_udp;

/* An association with the last proxy; through several, each carries the datagrams to the next, so that none goes around
 * one. All of them speak SOCKS5. With Kerberos the datagrams are encrypted as well, with TLS they are not. */
stile_udp *stile_udp_open(stile_client *client, struct stile_error *error);
/* For poll(2), POLLIN: a datagram, or the association's end, is there to be told by stile_udp_receive. Not to be read. */
int stile_udp_descriptor(const stile_udp *udp);
/* Sends one datagram to a host by name or address; never waits. `octets` on success, or -1. A datagram that is on its way
 * may be lost, as any. */
ssize_t stile_udp_send(stile_udp *udp, const void *datagram, size_t octets, const char *host, uint16_t port,
                       struct stile_error *error);
/* Receives one, waiting for it `timeout` milliseconds, or for ever where that is negative: its octets, those that do not
 * fit in `room` being dropped, or -1. In `from`, where it is not NULL, who sent it; AF_UNSPEC where the proxy named no
 * address. STILE_ERROR_CLOSED: the association has ended. */
ssize_t stile_udp_receive(stile_udp *udp, void *datagram, size_t room, int timeout, struct sockaddr *from,
                          socklen_t *length, struct stile_error *error);
/* Ends the association. NULL is nothing. */
void stile_udp_close(stile_udp *udp);

/* --- names ------------------------------------------------------------------------------------------------------------ */

/* Asks the last proxy for one address of a name, or the name of an address (RESOLVE and RESOLVE_PTR, which Tor and Stile
 * know). 0, or -1. */
int stile_resolve(stile_client *client, const char *name, struct sockaddr *address, socklen_t *length,
                  struct stile_error *error);
/* `name` takes 256 octets, the NUL included. */
int stile_resolve_address(stile_client *client, const struct sockaddr *address, socklen_t length, char *name,
                          struct stile_error *error);

/* --- ping ------------------------------------------------------------------------------------------------------------- */

/* One echo request's fate. */
struct stile_echo {
  unsigned sequence;           /* from 1 on */
  int microseconds;  /* to the answer; -1: none came in time, or an error did */
  int ttl;                     /* left of the answer's; -1 */
  char from[48];               /* who answered, or told of the error; empty: nobody did */
};

/* Has the last proxy ping a host `count` times (1 to 1,000), once a second (PING, which Stile knows; RFC 792). How many
 * fates it wrote to `echoes`, which takes `count`; -1: why none. */
int stile_ping(stile_client *client, const char *host, unsigned count, struct stile_echo *echoes,
               struct stile_error *error);

/* --- without waiting ---------------------------------------------------------------------------------------------------
 * The same by two calls: …_start, which never waits, and …_finish, which tells what came of it and frees the operation.
 * Between them stile_drive, whenever the client's one descriptor is readable, takes all operations of the client as far
 * as they go. A name of the proxy's own is looked up without waiting as well; only a ticket of Kerberos may make
 * stile_drive wait, for the KDC. */

typedef struct stile_operation stile_operation;

/* For poll(2), POLLIN; also when a timeout is due. Valid as long as the client. */
int stile_descriptor(const stile_client *client);
/* Never waits. How many operations are under way; -1: behind a fork. */
int stile_drive(stile_client *client);
/* One that is done and was not told of yet; NULL: there is none. */
stile_operation *stile_next(stile_client *client);
/* 1: done, …_finish will not wait. */
int stile_done(const stile_operation *operation);
/* Waits until it is done, driving the client's others as well. */
void stile_wait(stile_operation *operation);
/* Instead of …_finish, at any time: gives it up and frees it. NULL is nothing. */
void stile_cancel(stile_operation *operation);
/* A word of the caller's. */
void stile_set_data(stile_operation *operation, void *data);
void *stile_data(const stile_operation *operation);

/* Each _finish waits where the operation is not done. One that does not fit the operation is STILE_ERROR_STATE, and
 * frees nothing. */
stile_operation *stile_connect_start(stile_client *client, const char *host, uint16_t port, struct stile_error *error);
int stile_connect_finish(stile_operation *operation, struct stile_error *error);

stile_operation *stile_listen_start(stile_client *client, const char *from, uint16_t port, struct stile_error *error);
stile_listener *stile_listen_finish(stile_operation *operation, struct stile_error *error);
/* The listener lives until stile_accept_finish or stile_cancel, which free the operation alone. */
stile_operation *stile_accept_start(stile_listener *listener, int timeout, struct stile_error *error);
int stile_accept_finish(stile_operation *operation, struct sockaddr *peer, socklen_t *length, struct stile_error *error);

stile_operation *stile_udp_open_start(stile_client *client, struct stile_error *error);
stile_udp *stile_udp_open_finish(stile_operation *operation, struct stile_error *error);

stile_operation *stile_resolve_start(stile_client *client, const char *name, struct stile_error *error);
int stile_resolve_finish(stile_operation *operation, struct sockaddr *address, socklen_t *length,
                         struct stile_error *error);
stile_operation *stile_resolve_address_start(stile_client *client, const struct sockaddr *address, socklen_t length,
                                             struct stile_error *error);
int stile_resolve_address_finish(stile_operation *operation, char *name, struct stile_error *error);

stile_operation *stile_ping_start(stile_client *client, const char *host, unsigned count, struct stile_error *error);
int stile_ping_finish(stile_operation *operation, struct stile_echo *echoes, struct stile_error *error);

#ifdef __cplusplus
}
#endif

#endif
