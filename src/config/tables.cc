#include "config/keys.h"

namespace stile::config {
namespace {

constexpr Table table_rows[] = {
    {"", "", "Keys outside any table stand at the top of the file, before the first table."},
    {"listen", "[[listen]]",
     "One table a listening socket. Without any, Stile listens on 127.0.0.1:1080 and [::1]:1080.", true, "address"},
    {"udp", "[udp]",
     "UDP ASSOCIATE. A relay serves one client alone: datagrams from any other address than its TCP connection's, or "
     "from a second port of it, are dropped."},
    {"bind", "[bind]", "BIND, by which a client waits for one connection from outside."},
    {"proxy_protocol_to", "[[proxy_protocol_to]]",
     "Targets that are told who the client is: a connection to one of them begins with a PROXY header (HAProxy's), "
     "before "
     "anything that the client sends. The header names the client and the address that was connected to; for a client "
     "over a Unix-domain socket, which has no address, version 2 says LOCAL and version 1 names Stile's own end. The "
     "first table that holds the target decides.",
     true, "targets"},
    {"resolver", "[[resolver]]",
     "Who is asked for names: for those at or below its suffixes, the longest that covers a name decides; a table "
     "without "
     "suffixes is for all others, in place of the servers of /etc/resolv.conf. Names of addresses (RESOLVE_PTR, "
     "TRACEROUTE) are asked by the same rule. See [names](names.md).",
     true, "servers"},
    {"dns", "[[dns]]",
     "DNS for clients: A, AAAA and PTR by datagrams and TCP, from what this server itself knows and asks, under the "
     "policy's "
     "command `resolve`. Other types are \"not implemented\". Takes effect when the server starts. See "
     "[names](names.md).",
     true, "address"},
    {"names", "[names]", "What is known of names without asking anybody. See [names](names.md)."},
    {"upstream", "[[upstream]]",
     "A proxy through which rules send connections by `via NAME`, or several that stand in for each other; see "
     "[upstreams](upstreams.md).",
     true, "name"},
    {"users", "[users]",
     "Who may log in with a password: in SOCKS5 (RFC 1929) and, as HTTP's Basic scheme, on the same port. `stile user` "
     "makes and changes the file. A password is never in this file, in the environment or on a command line.",
     false, "file"},
    {"pam", "[pam]",
     "Names and passwords that PAM judges, where a listener's `auth` says `pam`: the way to LDAP, RADIUS, SSSD and the "
     "system's own accounts. A name must pass `auth` and `account` of the service; groups are those that the system "
     "knows of the user. See [authentication](authentication.md)."},
    {"command", "[command]",
     "Names and passwords that a program of yours judges, where a listener's `auth` says `command`. It is started once "
     "and asked line by line; see [authentication](authentication.md).",
     false, "program"},
    {"gssapi", "[gssapi]",
     "Kerberos tickets, where a listener's `auth` says `gssapi` (RFC 1961): who a client is, and a protection of all "
     "that "
     "it sends and receives, datagrams included. A user is the whole principal, such as `alice@EXAMPLE.ORG`. See "
     "[authentication](authentication.md)."},
    {"pac", "[pac]",
     "The file /proxy.pac, by which browsers are told which way to go, on the listeners whose `pac` says so. See "
     "[browsers](pac.md)."},
    {"helper", "[helper]",
     "The process that judges what PAM, a program of yours or Kerberos has to judge. The server starts it by itself, "
     "unless a service manager does; see [authentication](authentication.md#the-helper-as-a-service-of-its-own)."},
    {"limits", "[limits]", "How long and how much. The defaults suit a server on the internet."},
    {"accounting", "[accounting]",
     "Who used how much: a row for each session in an SQLite file, with its octets as they are moved; `stile usage` "
     "adds "
     "them up, and quotas are counted from them. Nothing here waits for the disk.",
     false, "file"},
    {"engine", "[engine]", "How the event loop runs. The defaults adapt themselves."},
    {"policy", "[policy]",
     "Who may go where. Without this table, clients that connect over loopback may reach whatever a local user could "
     "reach, and everybody else is refused. With it, only its rules say who may go where, on every listener.",
     false, "rules"},
    {"gateway", "[gateway]",
     "A network that goes through this host: what its machines send is taken by packet rules and served as if they had "
     "asked for it, by the rules of `[policy]`, which it needs. With it there are no listeners but those that "
     "`[[listen]]` "
     "names. Needs root. What is here, but for `users`, takes effect when the server starts. See "
     "[a gateway](gateway.md)."},
    {"admin", "[admin]", "How the running server is asked things."},
};

}  // namespace

std::span<const Table> tables() noexcept {
  return table_rows;
}

std::size_t table_count(const Config& config, const Table& table) noexcept {
  if (table.name == "listen") return config.listeners.size();
  if (table.name == "proxy_protocol_to") return config.proxy_protocol_to.size();
  if (table.name == "upstream") return config.upstreams.size();
  if (table.name == "resolver") return config.resolvers.size();
  if (table.name == "dns") return config.dns.size();
  return 1;
}

void add_table(Config& config, const Table& table) {
  if (table.name == "listen") config.listeners.emplace_back();
  if (table.name == "proxy_protocol_to") config.proxy_protocol_to.emplace_back();
  if (table.name == "upstream") config.upstreams.emplace_back();
  if (table.name == "resolver") config.resolvers.emplace_back();
  if (table.name == "dns") config.dns.emplace_back();
}

const Table* find_table(std::string_view name) noexcept {
  for (const Table& table : tables()) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

}  // namespace stile::config
