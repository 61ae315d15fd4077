#include "config/keys.h"

#include <fmt/core.h>

#include <array>

namespace stile::config {
namespace {

using namespace std::chrono_literals;

constexpr Key key_rows[] = {
    {.table = "",
     .name = "workers",
     .type = KeyType::number,
     .default_text = "0",
     .help = "Threads that serve connections. 0 means one for each processor core.",
     .example = "4",
     .number = &Config::workers,
     .least = 0,
     .most = 1024},
    {.table = "",
     .name = "log",
     .type = KeyType::log_format,
     .default_text = "auto",
     .help = "How access records are written to standard output: `json` (one object a line), `text` (for people), "
             "`none`, or `auto`: text when standard output is a terminal, JSON otherwise.",
     .example = "\"json\""},
    {.table = "",
     .name = "log_query",
     .type = KeyType::choice,
     .default_text = "omit",
     .help =
         "The query of a URL (from its `?` on) in access records, for rules that say `log url`: `omit` it, because it "
         "often holds what nobody else should read, or `keep` it.",
     .example = "\"keep\"",
     .choice = &Config::log_query,
     .words = {"omit", "keep"}},
    {.table = "",
     .name = "user",
     .type = KeyType::user,
     .default_text = "stile",
     .help =
         "Whom a server that root has started becomes before it serves anybody, with the groups that /etc/group gives "
         "them. Where this key is absent and there is no `stile`, it stays root and has no capabilities. What a reload "
         "reads must be readable for that user.",
     .example = "\"proxy\"",
     .text = &Config::user},
    {.table = "",
     .name = "sandbox",
     .type = KeyType::sandbox,
     .default_text = "best-effort",
     .help =
         "What a server gives up before it serves anybody: capabilities, files that its configuration does not name, "
         "programs, and every system call that it does not need; see [the sandbox](sandbox.md). With `best-effort` it "
         "says what this system does not offer and goes on without; with `required` it does not start then; `off` "
         "gives up nothing but the rights of root.",
     .example = "\"required\""},
    {.table = "listen",
     .name = "address",
     .type = KeyType::address,
     .default_text = "",
     .help = "The IP address and TCP port to listen on; an IPv6 address stands in brackets. Host names are refused, "
             "because what they resolve to may change. Port 0 lets the kernel choose. An address that is not loopback "
             "needs a `[policy]` whose allow rules for unauthenticated clients all name their sources with `from`. Or "
             "`unix:` and the absolute path of a Unix-domain socket; its clients count as 127.0.0.1 in every rule. A "
             "socket file that no server listens on is replaced, and it is removed at the end.",
     .example = "\"192.0.2.10:1080\""},
    {.table = "listen",
     .name = "protocols",
     .type = KeyType::protocols,
     .default_text = "socks5, socks4, http",
     .help =
         "What clients may speak, told apart by the first octet; `socks4` includes SOCKS4a. A connection that begins "
         "with another protocol is closed without a word.",
     .example = "[\"socks5\"]"},
    {.table = "listen",
     .name = "auth",
     .type = KeyType::auth,
     .default_text = "none",
     .help =
         "How clients show who they are, in order of preference: by a name and a password, which `password` looks up "
         "in "
         "`[users]`, `pam` has judged by the system's PAM modules and `command` by a program of yours, one of the "
         "three; by a Kerberos ticket, `gssapi`; `certificate`, which needs `client_ca` in `tls` and nothing more of "
         "the client; or `none`, for those "
         "that show nothing and count as anonymous, or over a Unix-domain socket as whom the kernel names. Left out, "
         "it is `certificate` where `tls` has a `client_ca`, `password` where there are `[users]`, else `none`. "
         "Without "
         "`none` and `certificate` SOCKS4 is off, since its user id proves "
         "nothing, and HTTP clients without credentials are asked for them (407).",
     .example = "\"none\""},
    {.table = "listen",
     .name = "proxy_protocol_from",
     .type = KeyType::networks,
     .default_text = "",
     .help =
         "Load balancers: connections from these addresses begin with a PROXY header of version 1 or 2, within 5 s, "
         "and the client that it names is the one that rules, records and UDP are about. A connection without it is "
         "closed, and from all other sources the header is refused. Needs a `[policy]` that names these clients.",
     .example = "[\"10.0.0.5\", \"10.0.1.0/24\"]"},
    {.table = "listen",
     .name = "tls",
     .type = KeyType::tls,
     .default_text = "",
     .help =
         "The listener speaks TLS 1.2 and 1.3, and whoever speaks plain is closed without a word. `certificate` and "
         "`key` are files in PEM, the certificates of the CAs in between behind the server's own. With `client_ca` "
         "every "
         "client shows a certificate of one of these CAs, and none that `crl` lists; `auth` is then `certificate` "
         "unless "
         "it says otherwise, and rules name the client `cert:NAME`, by the first URI, else DNS name, else e-mail "
         "address "
         "of the certificate's subjectAltName. With `optional = true` plaintext is admitted as well. Datagrams of UDP "
         "ASSOCIATE stay plain. `stile reload` reads the files again.",
     .example = "{ certificate = \"tls.pem\", key = \"tls.key\", client_ca = \"ca.pem\" }"},
    {.table = "listen",
     .name = "pac",
     .type = KeyType::pac_ways,
     .default_text = "",
     .help =
         "Whoever reaches the listener may fetch the file /proxy.pac there, without a login, and browsers learn from "
         "it to use this listener: by `http`, by `socks5`, or by both, in order of preference. Left out, there is no "
         "such file. What goes past the proxy, and by which name browsers know it, says `[pac]`.",
     .example = "[\"http\", \"socks5\"]"},
    {.table = "listen",
     .name = "fast_open",
     .type = KeyType::choice,
     .default_text = "off",
     .help =
         "TCP Fast Open (RFC 7413): what a client sends with its SYN is taken, which saves it a round trip. It needs "
         "the bit of servers (2) in net.ipv4.tcp_fastopen (`sysctl -w net.ipv4.tcp_fastopen=3`); without it clients "
         "connect as ever. "
         "A SYN that comes twice may be served twice, which is why it is not on by itself.",
     .example = "\"on\"",
     .choice = &Listener::fast_open,
     .words = {"off", "on"}},
    {.table = "listen",
     .name = "mode",
     .type = KeyType::mode,
     .default_text = "0660",
     .help = "Permissions of a Unix-domain socket, in octal: who may write to it may connect.",
     .example = "\"0600\""},
    {.table = "listen",
     .name = "owner",
     .type = KeyType::account,
     .default_text = "",
     .help = "To whom a Unix-domain socket belongs: a name in /etc/passwd, or a number. Needs root.",
     .example = "\"root\""},
    {.table = "listen",
     .name = "group",
     .type = KeyType::account,
     .default_text = "",
     .help = "The group of a Unix-domain socket: a name in /etc/group, or a number. Needs root, or membership.",
     .example = "\"0\""},
    {.table = "udp",
     .name = "ports",
     .type = KeyType::ports,
     .default_text = "any",
     .help = "From which ports the relays that clients send to are drawn. Behind NAT, map this range one to one.",
     .example = "\"40000-40999\""},
    {.table = "udp",
     .name = "advertise",
     .type = KeyType::addresses,
     .default_text = "",
     .help =
         "Where clients are told to send their datagrams, instead of to the address that they have reached: what this "
         "host is called outside, where it stands behind NAT; one address, or one of each family. Clients over "
         "loopback are told loopback.",
     .example = "\"203.0.113.7\""},
    {.table = "udp",
     .name = "filter",
     .type = KeyType::choice,
     .default_text = "address",
     .help = "From whom answers are passed on: `address`, from addresses that the client has sent to, or `any`, from "
             "anybody once the client has sent to someone (a full cone, RFC 4787).",
     .example = "\"any\"",
     .choice = &Udp::full_cone,
     .words = {"address", "any"}},
    {.table = "udp",
     .name = "frag",
     .type = KeyType::choice,
     .default_text = "reassemble",
     .help = "Fragments from clients (RFC 1928, section 7): `reassemble` them, or `drop` them.",
     .example = "\"drop\"",
     .choice = &Udp::reassemble,
     .words = {"drop", "reassemble"}},
    {.table = "udp",
     .name = "claimed_source",
     .type = KeyType::choice,
     .default_text = "ignore",
     .help =
         "The address and port in the request, from which the client says that it will send: `ignore` them, because "
         "most clients put something else there, or `require` that the address is the client's own and serve that "
         "port alone. Over a Unix-domain socket it is always required.",
     .example = "\"require\"",
     .choice = &Udp::require_claim,
     .words = {"ignore", "require"}},
    {.table = "udp",
     .name = "repin",
     .type = KeyType::duration,
     .default_text = "30s",
     .help =
         "How long the client's port must be silent before another port of its address may take its place, as after "
         "a NAT's rebinding; `0s` means never.",
     .example = "\"1m\"",
     .duration = &Udp::repin,
     .shortest = 0s,
     .longest = std::chrono::days{1}},
    {.table = "udp",
     .name = "mapping_idle",
     .type = KeyType::duration,
     .default_text = "5m",
     .help = "A target with which no datagram was exchanged for this long is forgotten, and what it sends is dropped.",
     .example = "\"2m\"",
     .duration = &Udp::mapping_idle,
     .shortest = 1s,
     .longest = std::chrono::days{1}},
    {.table = "bind",
     .name = "ports",
     .type = KeyType::ports,
     .default_text = "any",
     .help = "On which ports BIND may listen. A client may ask for one of them. Behind NAT, map this range one to one.",
     .example = "\"41000-41999\""},
    {.table = "bind",
     .name = "advertise",
     .type = KeyType::addresses,
     .default_text = "",
     .help =
         "Where peers are told to connect, instead of to this host's own address; one address, or one of each family. "
         "It also takes the place of every address that is not public in the reply to CONNECT.",
     .example = "[\"203.0.113.7\", \"2001:db8::7\"]"},
    {.table = "bind",
     .name = "wait",
     .type = KeyType::duration,
     .default_text = "2m",
     .help = "How long the peer may take to come.",
     .example = "\"30s\"",
     .duration = &Bind::wait,
     .shortest = 1s,
     .longest = std::chrono::days{1}},
    {.table = "bind",
     .name = "mismatch",
     .type = KeyType::choice,
     .default_text = "wait",
     .help = "What another peer than the expected one does to a SOCKS5 client: it is turned away and the client may "
             "`wait`, or both `fail`. In SOCKS4 both fail, as its note demands.",
     .example = "\"fail\"",
     .choice = &Bind::mismatch_ends,
     .words = {"wait", "fail"}},
    {.table = "proxy_protocol_to",
     .name = "targets",
     .type = KeyType::targets,
     .default_text = "",
     .help = "Addresses or networks, each with a port, a range of ports, or `*` for every port.",
     .example = "[\"10.0.0.80:443\", \"10.1.0.0/16:8000-8099\", \"[2001:db8::/64]:*\"]"},
    {.table = "proxy_protocol_to",
     .name = "version",
     .type = KeyType::number,
     .default_text = "2",
     .help = "Of the header: 1 is one line of text, 2 is binary.",
     .example = "1",
     .least = 1,
     .most = 2},
    {.table = "resolver",
     .name = "suffixes",
     .type = KeyType::suffixes,
     .default_text = "",
     .help =
         "Whose names are asked here: `corp.example` covers itself and all below it, `10.in-addr.arpa` the names of "
         "the addresses 10.0.0.0/8. Of the reserved names only `local` and what is below it may stand here, and is "
         "asked then.",
     .example = "[\"corp.example\", \"10.in-addr.arpa\"]"},
    {.table = "resolver",
     .name = "servers",
     .type = KeyType::dns_servers,
     .default_text = "",
     .help = "Up to 8 addresses, with a port where it is not 53. They are asked in this order: whichever is silent, "
             "refuses or fails is followed by the next, and one that was silent is asked last for 30 s.",
     .example = "[\"10.0.0.53\", \"10.0.0.54:5353\", \"[fd00::53]:53\"]"},
    {.table = "resolver",
     .name = "transport",
     .type = KeyType::choice,
     .default_text = "udp",
     .help = "How they are asked: `udp`, and by TCP for an answer that does not fit into a datagram, or `tcp` alone.",
     .example = "\"tcp\"",
     .choice = &Resolver::tcp,
     .words = {"udp", "tcp"}},
    {.table = "resolver",
     .name = "timeout",
     .type = KeyType::duration,
     .default_text = "5s",
     .help = "How long one server may be silent before the next is asked. No name takes longer than 10 s altogether.",
     .example = "\"2s\"",
     .duration = &Resolver::timeout,
     .shortest = limits::dns_try_min,
     .longest = limits::dns_total},
    {.table = "dns",
     .name = "address",
     .type = KeyType::dns_address,
     .default_text = "",
     .help =
         "The IP address where questions are taken, with a port where it is not 53. One that is not loopback needs a "
         "`[policy]` whose allow rules for unauthenticated clients all name their sources with `from`.",
     .example = "\"10.0.0.1\""},
    {.table = "names",
     .name = "hosts",
     .type = KeyType::hosts,
     .default_text = "",
     .help =
         "Names and the addresses that they have, whatever DNS and /etc/hosts say; one address or a list. Rules "
         "decide on these addresses as on any other. Many of them are best written as a table, `[names.hosts]`, one "
         "line a name.",
     .example = "{ \"intra.corp.example\" = [\"10.1.2.3\", \"fd00::1:3\"] }"},
    {.table = "upstream",
     .name = "name",
     .type = KeyType::name,
     .default_text = "",
     .help = "What rules call it: `via NAME`, or `via NAME > OTHER` to reach the second through the first.",
     .example = "\"exit-eu\""},
    {.table = "upstream",
     .name = "servers",
     .type = KeyType::servers,
     .default_text = "",
     .help =
         "Proxies that can stand in for each other, as `SCHEME://USER@HOST:PORT`. `socks5h`, `socks4a` and `http` "
         "are asked by name, `socks5` and `socks4` by address; each also with `+tls` (`https` for `http`), those of "
         "SOCKS5 also with `+gssapi`, by a Kerberos ticket. "
         "`proxy-protocol` is no proxy but a service in the path: it gets the connection with a PROXY header "
         "(version 2) that names the target. All of them take names, or none does.",
     .example = "[\"socks5h+tls://gate@exit1.example:1443\", \"socks5h+tls://gate@exit2.example:1443\"]"},
    {.table = "upstream",
     .name = "pick",
     .type = KeyType::pick,
     .default_text = "first-alive",
     .help = "Which of the servers that are alive gets a new session: `first-alive`, `round-robin`, `least-latency`, "
             "`least-sessions`, or always the same one for the same client address, user or target: `hash-source`, "
             "`hash-user`, `hash-target`.",
     .example = "\"least-latency\""},
    {.table = "upstream",
     .name = "password_file",
     .type = KeyType::file,
     .default_text = "",
     .help = "A file whose first line is the password for the users that `servers` name. It must not be readable by "
             "others.",
     .example = "\"exit-eu.password\"",
     .text = &Upstream::password_file},
    {.table = "upstream",
     .name = "clear_password",
     .type = KeyType::choice,
     .default_text = "refuse",
     .help = "Whether the password may cross a network in clear: `allow` it only where nobody else can read along.",
     .example = "\"allow\"",
     .choice = &Upstream::clear_password,
     .words = {"refuse", "allow"}},
    {.table = "upstream",
     .name = "ca",
     .type = KeyType::file,
     .default_text = "",
     .help = "The CAs (PEM) to which certificates of servers with TLS have to lead, in the place of the system's.",
     .example = "\"ca.pem\"",
     .text = &Upstream::ca},
    {.table = "upstream",
     .name = "certificate",
     .type = KeyType::file,
     .default_text = "",
     .help = "The certificate (PEM) by which a server with TLS knows us; it needs `key`.",
     .example = "\"gate.pem\"",
     .text = &Upstream::certificate},
    {.table = "upstream",
     .name = "key",
     .type = KeyType::file,
     .default_text = "",
     .help = "The key (PEM) of `certificate`.",
     .example = "\"gate.key\"",
     .text = &Upstream::key},
    {.table = "upstream",
     .name = "keytab",
     .type = KeyType::file,
     .default_text = "",
     .help = "The file with the keys by which we get Kerberos tickets for servers with `+gssapi`. It must not be "
             "readable by others; a process beside the server reads it, with the rights that the server has. Left out, "
             "the one that Kerberos has for clients: `KRB5_CLIENT_KTNAME`, or `default_client_keytab_name` of "
             "krb5.conf.",
     .example = "\"gate.keytab\"",
     .text = &Upstream::keytab},
    {.table = "upstream",
     .name = "principal",
     .type = KeyType::principal,
     .default_text = "",
     .help = "As whom, of those in `keytab`. Left out, the first one there.",
     .example = "\"stile/gate.example@EXAMPLE.ORG\"",
     .text = &Upstream::principal},
    {.table = "upstream",
     .name = "gss_service",
     .type = KeyType::service,
     .default_text = gss_service_default,
     .help = "What servers with `+gssapi` are called by Kerberos: `rcmd`, as most are, or `socks` (RFC 1961); the host "
             "behind it is the one in `servers`.",
     .example = "\"socks\"",
     .text = &Upstream::gss_service},
    {.table = "upstream",
     .name = "gss_level",
     .type = KeyType::choice,
     .default_text = "confidentiality",
     .help =
         "What servers with `+gssapi` are asked for: `confidentiality` (level 2), where everything is encrypted, or "
         "`integrity` (level 1), where nobody can change what passes. One that grants less is not used.",
     .example = "\"integrity\"",
     .choice = &Upstream::gss_integrity_only,
     .words = {"confidentiality", "integrity"}},
    {.table = "upstream",
     .name = "handshake",
     .type = KeyType::choice,
     .default_text = "step-by-step",
     .help = "How a SOCKS5 server is met. `pipelined` sends greeting, login and request at once and saves up to two "
             "round trips; Stile, Dante and most others take that, a few lose what follows the greeting.",
     .example = "\"pipelined\"",
     .choice = &Upstream::pipelined,
     .words = {"step-by-step", "pipelined"}},
    {.table = "upstream",
     .name = "identity",
     .type = KeyType::choice,
     .default_text = "hide",
     .help = "Whether the server is told for whom we ask: `announce` begins each connection with a PROXY header "
             "(version 2) that names the client, the user and the session. It needs to expect one, as a Stile does by "
             "`proxy_protocol_from`; its records then have the same session number as ours.",
     .example = "\"announce\"",
     .choice = &Upstream::announces,
     .words = {"hide", "announce"}},
    {.table = "upstream",
     .name = "relays",
     .type = KeyType::networks,
     .default_text = "",
     .help =
         "Where a SOCKS5 server's UDP relays may be, besides at the address by which it is reached itself: behind a "
         "load balancer, at the servers' own addresses. Datagrams are sent nowhere else, whatever it answers.",
     .example = "[\"10.0.0.0/24\"]"},
    {.table = "upstream",
     .name = "egress",
     .type = KeyType::egress,
     .default_text = "",
     .help = "Where connections to the servers leave this host: an address of it, an interface, or both as "
             "`ADDRESS%INTERFACE`. A rule's own `egress` comes before this.",
     .example = "\"eth1\""},
    {.table = "upstream",
     .name = "mark",
     .type = KeyType::number,
     .default_text = "0",
     .help = "The mark of these connections, for the system's routing (`ip rule add fwmark`); 0 is none. It needs a "
             "privilege; see [limits](limits.md). A rule's own `mark` comes before this.",
     .example = "7",
     .count = &Upstream::mark,
     .least = 0,
     .most = 4'294'967'295},
    {.table = "upstream",
     .name = "fast_open",
     .type = KeyType::choice,
     .default_text = "off",
     .help =
         "TCP Fast Open (RFC 7413): what a server is told first goes with the SYN, from the second connection to it "
         "on, which saves a round trip; see [upstreams](upstreams.md#one-round-trip-less). It needs a "
         "server that takes it, and the bit of clients (1) in net.ipv4.tcp_fastopen here, which Linux has set. "
         "Services in the path "
         "(`proxy-protocol`) are connected to as without it.",
     .example = "\"on\"",
     .choice = &Upstream::fast_open,
     .words = {"off", "on"}},
    {.table = "upstream",
     .name = "timeout",
     .type = KeyType::duration,
     .default_text = "5s",
     .help = "How long a server may take to let us in before another one is tried.",
     .example = "\"2s\"",
     .duration = &Upstream::timeout,
     .shortest = 100ms,
     .longest = 1min},
    {.table = "upstream",
     .name = "failures",
     .type = KeyType::number,
     .default_text = "3",
     .help = "So many failures one behind another take a server out of use.",
     .example = "1",
     .count = &Upstream::failures,
     .least = 1,
     .most = 100},
    {.table = "upstream",
     .name = "retry",
     .type = KeyType::duration,
     .default_text = "5s",
     .help =
         "How long it stays out of use before one session tries it again; doubled with each trial that fails, up to "
         "five minutes.",
     .example = "\"30s\"",
     .duration = &Upstream::retry,
     .shortest = 1s,
     .longest = 5min},
    {.table = "upstream",
     .name = "slow_start",
     .type = KeyType::optional_duration,
     .default_text = "30s",
     .help = "How long a server that came back takes to get its full share of sessions again.",
     .example = "\"2m\"",
     .duration = &Upstream::slow_start,
     .shortest = 1s,
     .longest = 1h},
    {.table = "upstream",
     .name = "probe",
     .type = KeyType::optional_duration,
     .default_text = "off",
     .help =
         "How often each server is tried without a session: it is dialled and, in SOCKS5, greeted and logged in at. "
         "Without it a server is known by its sessions.",
     .example = "\"10s\"",
     .duration = &Upstream::probe,
     .shortest = 1s,
     .longest = 1h},
    {.table = "users",
     .name = "file",
     .type = KeyType::file,
     .default_text = "",
     .help =
         "The users, one a line: `NAME:HASH:GROUP,GROUP`, the hash as crypt(5) writes it (yescrypt, `$6$`, `$2b$`, …); "
         "lines of /etc/shadow are read as well. A hash that begins with `!` or `*` locks its user out. The file "
         "must not be writable by the group or by others.",
     .example = "\"users\"",
     .text = &Users::file},
    {.table = "users",
     .name = "cache",
     .type = KeyType::duration,
     .default_text = "1m",
     .help = "How long a password that was right need not be verified again, which takes a hundredth of a second. A "
             "changed or removed user counts at once, whatever is remembered. `0s` remembers nothing.",
     .example = "\"5m\"",
     .duration = &Users::cache,
     .shortest = 0s,
     .longest = 1h},
    {.table = "pam",
     .name = "service",
     .type = KeyType::service,
     .default_text = "stile",
     .help = "The service: a file of this name in /etc/pam.d. Where there is none, PAM takes `other`, which on most "
             "systems lets the system's accounts in.",
     .example = "\"stile\"",
     .text = &Pam::service},
    {.table = "pam",
     .name = "cache",
     .type = KeyType::duration,
     .default_text = "1m",
     .help =
         "How long a password that was right need not be judged again; nobody learns meanwhile that it was changed. "
         "`0s` remembers nothing, which one-time passwords need.",
     .example = "\"0s\"",
     .duration = &Pam::cache,
     .shortest = 0s,
     .longest = 1h},
    {.table = "command",
     .name = "program",
     .type = KeyType::program,
     .default_text = "",
     .help =
         "The absolute path of the program, and its arguments. No shell is involved. A change takes effect when the "
         "server starts.",
     .example = "[\"/usr/local/lib/stile/ask\", \"--strict\"]"},
    {.table = "command",
     .name = "cache",
     .type = KeyType::duration,
     .default_text = "1m",
     .help = "As of `[pam]`.",
     .example = "\"5m\"",
     .duration = &Command::cache,
     .shortest = 0s,
     .longest = 1h},
    {.table = "gssapi",
     .name = "keytab",
     .type = KeyType::file,
     .default_text = "/etc/krb5.keytab",
     .help = "The file with the keys of the service. The server's own process never reads it: a helper does, which is "
             "started before the server gives up what it may read as root.",
     .example = "\"stile.keytab\"",
     .text = &Gssapi::keytab},
    {.table = "gssapi",
     .name = "service",
     .type = KeyType::service,
     .default_text = "",
     .help = "Whose keys count, of any host: clients ask for a ticket to `rcmd/HOST` (curl, Dante) or `socks/HOST` "
             "(RFC 1961). Left out, every key in the file does.",
     .example = "\"rcmd\"",
     .text = &Gssapi::service},
    {.table = "gssapi",
     .name = "realms",
     .type = KeyType::realms,
     .default_text = "",
     .help = "Realms whose users go by their names alone: with `EXAMPLE.ORG`, alice@EXAMPLE.ORG is the user `alice`. "
             "Principals with a slash (alice/admin@EXAMPLE.ORG) stay whole.",
     .example = "[\"EXAMPLE.ORG\"]"},
    {.table = "gssapi",
     .name = "min_level",
     .type = KeyType::choice,
     .default_text = "integrity",
     .help =
         "The least protection that is granted: `integrity` (level 1), where a client may ask for no more than that "
         "nobody changes what it sends, or `confidentiality` (level 2), where everything is encrypted.",
     .example = "\"confidentiality\"",
     .choice = &Gssapi::confidentiality,
     .words = {"integrity", "confidentiality"}},
    {.table = "gssapi",
     .name = "clear",
     .type = KeyType::choice,
     .default_text = "refuse",
     .help =
         "What is said to clients that log in and want no protection at all (level 0, which RFC 1961 does not know): "
         "curl is one. `allow` them only where the network is trusted: whoever can change what passes can take "
         "the session over.",
     .example = "\"allow\"",
     .choice = &Gssapi::clear,
     .words = {"refuse", "allow"}},
    {.table = "gssapi",
     .name = "nec",
     .type = KeyType::choice,
     .default_text = "refuse",
     .help = "What is said to clients that ask for a level without protecting that message (NEC's dialect, curl's "
             "`--socks5-gssapi-nec`): whoever can change what passes can lower the level.",
     .example = "\"allow\"",
     .choice = &Gssapi::nec,
     .words = {"refuse", "allow"}},
    {.table = "pac",
     .name = "host",
     .type = KeyType::host,
     .default_text = "",
     .help =
         "What browsers are to call the proxy: the name in its certificate, or what this host is called outside, where "
         "it stands behind NAT. Left out, it is the address that the browser has fetched the file from.",
     .example = "\"proxy.example.org\"",
     .text = &Pac::host},
    {.table = "pac",
     .name = "direct",
     .type = KeyType::direct,
     .default_text = "",
     .help =
         "Where browsers go past the proxy: names, each with everything below it, and the addresses and networks of "
         "URLs "
         "that have an address; at most 256. Everybody who can fetch the file can read them. Host names without a dot, "
         "loopback and link-local addresses, and private networks that no rule opens are always among them.",
     .example = "[\"intranet.example.org\", \"192.0.2.0/24\"]"},
    {.table = "helper",
     .name = "socket",
     .type = KeyType::socket,
     .default_text = "",
     .help =
         "The socket of `stile helper`, a service of its own, which the server then asks instead of starting a helper. "
         "`[command] program` and the `keytab` of `[gssapi]` are those of the helper's file. A change takes effect "
         "when the server starts.",
     .example = "\"unix:/run/stile-helper.sock\"",
     .text = &Helper::socket},
    {.table = "limits",
     .name = "handshake",
     .type = KeyType::duration,
     .default_text = "10s",
     .help = "From the accepted connection to the complete request; an absolute deadline that no octet extends.",
     .example = "\"10s\"",
     .duration = &Limits::handshake,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "idle",
     .type = KeyType::optional_duration,
     .default_text = "off",
     .help = "A tunnel through which no octet passes for this long is closed. `off` leaves that to TCP keepalive.",
     .example = "\"1h\"",
     .duration = &Limits::idle,
     .shortest = 1s,
     .longest = std::chrono::days{30}},
    {.table = "limits",
     .name = "half_closed",
     .type = KeyType::duration,
     .default_text = "5m",
     .help = "A tunnel that one side has finished is closed when no octet passes the other way for this long.",
     .example = "\"5m\"",
     .duration = &Limits::half_closed,
     .shortest = 1s,
     .longest = std::chrono::days{30}},
    {.table = "limits",
     .name = "connect",
     .type = KeyType::duration,
     .default_text = "10s",
     .help = "How long one address of a target may take to answer.",
     .example = "\"5s\"",
     .duration = &Limits::connect_per_address,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "connect_total",
     .type = KeyType::duration,
     .default_text = "30s",
     .help = "How long all addresses of a target together may take; not less than `connect`.",
     .example = "\"15s\"",
     .duration = &Limits::connect_total,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "timeout_reply",
     .type = KeyType::choice,
     .default_text = "04",
     .help =
         "What a SOCKS5 client is told when nothing answered in time: `04`, host unreachable, or `06`, TTL expired, "
         "as Dante and Tor say.",
     .example = "\"06\"",
     .choice = &Limits::timeout_is_ttl_expired,
     .words = {"04", "06"}},
    {.table = "limits",
     .name = "drain",
     .type = KeyType::duration,
     .default_text = "1m",
     .help = "After SIGTERM or SIGINT, how long open tunnels may go on before they are closed.",
     .example = "\"30s\"",
     .duration = &Limits::drain,
     .shortest = 0s,
     .longest = std::chrono::days{7}},
    {.table = "limits",
     .name = "sessions",
     .type = KeyType::number,
     .default_text = "50000",
     .help = "Sessions in the whole process; further clients are refused until one ends.",
     .example = "20000",
     .limit = &Limits::sessions,
     .least = 1,
     .most = 1'000'000},
    {.table = "limits",
     .name = "sessions_per_listener",
     .type = KeyType::number,
     .default_text = "10000",
     .help = "Sessions of the clients of one listening socket.",
     .example = "5000",
     .limit = &Limits::sessions_per_listener,
     .least = 1,
     .most = 1'000'000},
    {.table = "limits",
     .name = "sessions_per_source",
     .type = KeyType::number,
     .default_text = "1024",
     .help = "Sessions of the clients at one address; of IPv6, in one network of 64 bits. Clients over loopback and "
             "Unix-domain sockets are not counted: many users may share that address.",
     .example = "200",
     .limit = &Limits::sessions_per_source,
     .least = 1,
     .most = 1'000'000},
    {.table = "limits",
     .name = "sessions_per_user",
     .type = KeyType::number,
     .default_text = "4096",
     .help = "Sessions of one authenticated user, wherever they come from. Clients without authentication are not "
             "counted: they are not one user.",
     .example = "500",
     .limit = &Limits::sessions_per_user,
     .least = 1,
     .most = 1'000'000},
    {.table = "limits",
     .name = "udp_associations_per_user",
     .type = KeyType::number,
     .default_text = "64",
     .help = "UDP associations of one authenticated user; they count as sessions as well.",
     .example = "16",
     .limit = &Limits::udp_associations_per_user,
     .least = 1,
     .most = 1'000'000},
    {.table = "limits",
     .name = "penalty_exempt",
     .type = KeyType::networks,
     .default_text = "",
     .help =
         "Networks whose mistakes are forgiven. A wrong password counts 5 s, a conversation that breaks the protocol "
         "or "
         "its deadline 10 s, no acceptable method 1 s; from 15 s on, a source (an IPv4 address or an IPv6 /64) is "
         "turned "
         "away until that time has passed, for at most 10 minutes. Loopback is exempt; so should be a network whose "
         "users share one address.",
     .example = "[\"10.0.0.0/8\", \"2001:db8::/32\"]"},
    {.table = "accounting",
     .name = "file",
     .type = KeyType::file,
     .default_text = "",
     .help =
         "The SQLite file; it is made where there is none, and a relative path begins at the configuration file's "
         "folder. SQLite keeps two more files beside it, and one server at a time may write it. A change takes effect "
         "when the server starts.",
     .example = "\"/var/lib/stile/accounting.db\"",
     .text = &Accounting::file},
    {.table = "accounting",
     .name = "interim",
     .type = KeyType::duration,
     .default_text = "1m",
     .help = "How often the octets of sessions that are open are written: what a crash may cost at most.",
     .example = "\"5m\"",
     .duration = &Accounting::interim,
     .shortest = 1s,
     .longest = std::chrono::days{1}},
    {.table = "accounting",
     .name = "on_failure",
     .type = KeyType::choice,
     .default_text = "drop",
     .help = "When the disk takes nothing and 256 MiB of entries wait for it: `drop` further entries, counted, or "
             "`refuse-new` sessions until there is room.",
     .example = "\"refuse-new\"",
     .choice = &Accounting::refuse_new,
     .words = {"drop", "refuse-new"}},
    {.table = "engine",
     .name = "spin",
     .type = KeyType::optional_duration,
     .default_text = "20us",
     .help =
         "How long a worker may look for events before it goes to sleep. It does so only where requests and responses "
         "follow each other fast and looking finds something, which spares each of them the time a thread takes to "
         "wake; never while it is idle, or where other programs want its core. `off` forbids it.",
     .example = "\"50us\"",
     .duration = &Engine::spin,
     .shortest = 1us,
     .longest = 1ms},
    {.table = "policy",
     .name = "rules",
     .type = KeyType::rules,
     .default_text = "",
     .help = "The rules, one a line, in the policy language; the first that matches decides, and what none matches is "
             "refused. Write them between `'''`, so that errors carry the exact line and column.",
     .example = "'''\noffice: allow anyone from 192.168.1.0/24 to public\n'''"},
    {.table = "policy",
     .name = "expect",
     .type = KeyType::expect,
     .default_text = "",
     .help = "What the rules must allow and must not, one expectation a line. `stile check` holds them against the "
             "rules, and so does each start and reload: where one fails, the server does not start, or goes on with "
             "the policy that it has.",
     .example = "'''\nanyone may not connect 169.254.169.254:80\n'''"},
    {.table = "policy",
     .name = "lists",
     .type = KeyType::lists,
     .default_text = "",
     .help =
         "Files that rules name as `list:NAME`: one entry a line, a host name, `*.name`, an address or a network; `#` "
         "begins a comment. A relative path begins at the folder of the configuration file. They are read at the start "
         "and with each reload, and must not be writable by the group or by others.",
     .example = "{ blocked = \"blocked.txt\" }"},
    {.table = "policy",
     .name = "on_reload",
     .type = KeyType::choice,
     .default_text = "enforce",
     .help =
         "What a reload means for sessions that the new policy no longer allows: `enforce` ends them at once, `keep` "
         "lets them go on.",
     .example = "\"keep\"",
     .choice = &Config::keep_sessions_on_reload,
     .words = {"enforce", "keep"}},
    {.table = "gateway",
     .name = "lan",
     .type = KeyType::interfaces,
     .default_text = "",
     .help = "Interfaces behind which the machines are: what arrives there and is not for this host itself is taken.",
     .example = "[\"eth1\"]"},
    {.table = "gateway",
     .name = "from",
     .type = KeyType::networks,
     .default_text = "",
     .help = "Networks of the machines: what comes from there, by whichever interface, is taken. `lan`, `from` or both "
             "have to be there.",
     .example = "[\"10.1.0.0/16\", \"fd00:1::/64\"]"},
    {.table = "gateway",
     .name = "except",
     .type = KeyType::networks,
     .default_text = "",
     .help =
         "Networks that are left alone: what comes from there, and what is sent there, goes as this host routes and "
         "filters it. A proxy that stands among the machines has to be here, else it would be sent to itself. "
         "Questions to port 53 of such a network are taken, but from one another.",
     .example = "[\"10.2.0.0/16\"]"},
    {.table = "gateway",
     .name = "users",
     .type = KeyType::mappings,
     .default_text = "",
     .help =
         "As which users the machines count, in rules and records; the first network that holds an address decides, "
         "and whoever is in none is anonymous. A user that `[users]` has as well is in its groups. Nothing is proved "
         "by it but where a packet came from.",
     .example = "[\"10.1.2.7=alice\", \"10.1.2.0/24=guests\"]"},
    {.table = "gateway",
     .name = "divert",
     .type = KeyType::choice,
     .default_text = "tproxy",
     .help = "How packets are taken: by `tproxy`, which takes TCP, UDP and pings, or by `redirect` (address "
             "translation), for kernels without it: TCP and DNS alone, all else is refused.",
     .example = "\"redirect\"",
     .choice = &Gateway::redirect,
     .words = {"tproxy", "redirect"}},
    {.table = "gateway",
     .name = "rules",
     .type = KeyType::choice,
     .default_text = "manual",
     .help = "Who puts the packet rules in force: you, with what `stile gateway --print` prints (`manual`), or the "
             "server (`apply`): it takes them back when it ends in order, and clears what an earlier one left behind.",
     .example = "\"apply\"",
     .choice = &Gateway::applies_rules,
     .words = {"manual", "apply"}},
    {.table = "admin",
     .name = "socket",
     .type = KeyType::socket,
     .default_text = "",
     .help =
         "A socket at which `stile reload` and its like ask things of the running server. Only root, the user and the "
         "group that the server runs as may connect to it.",
     .example = "\"unix:/run/stile/control.sock\"",
     .text = &Admin::socket},
};

// In the order of LogFormat.
constexpr std::array<std::string_view, 4> log_words{"auto", "json", "text", "none"};

// In the order of Sandbox.
constexpr std::array<std::string_view, 3> words_of_sandbox{"best-effort", "required", "off"};

}  // namespace

std::span<const Key> keys() noexcept {
  return key_rows;
}

std::string path(const Key& key) {
  return key.table.empty() ? std::string(key.name) : fmt::format("{}.{}", key.table, key.name);
}

const Key* find_key(std::string_view table, std::string_view name) noexcept {
  for (const Key& key : keys()) {
    if (key.table == table && key.name == name) return &key;
  }
  return nullptr;
}

std::span<const std::string_view> log_format_words() noexcept {
  return log_words;
}

std::string_view word(LogFormat format) noexcept {
  return log_words[static_cast<std::size_t>(format)];
}

std::string auth_words(std::string_view open, std::string_view close) {
  std::string words;
  for (std::size_t i = 0; i < auth_method_count; ++i) {
    if (i != 0) words += ", ";
    words += fmt::format("{}{}{}", open, name(static_cast<AuthMethod>(i)), close);
  }
  return words;
}

std::span<const std::string_view> sandbox_words() noexcept {
  return words_of_sandbox;
}

std::string_view word(Sandbox sandbox) noexcept {
  return words_of_sandbox[static_cast<std::size_t>(sandbox)];
}

}  // namespace stile::config
