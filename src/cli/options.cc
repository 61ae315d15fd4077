#include "cli/options.h"

#include <algorithm>
#include <array>
#include <functional>

namespace stile::cli {
namespace {

constexpr std::array<std::string_view, 4> log_choices{"json", "text", "none", "auto"};
constexpr std::array<std::string_view, 3> sandbox_choices{"best-effort", "required", "off"};
constexpr std::array<std::string_view, 5> command_choices{"connect", "udp", "bind", "ping", "resolve"};
constexpr std::array<std::string_view, 3> shell_choices{"bash", "zsh", "fish"};
constexpr std::array<std::string_view, 21> page_choices{
    "serve",     "helper",   "check", "explain", "fmt",     "import",      "reload",
    "upstreams", "counters", "user",  "usage",   "connect", "run",         "forward",
    "test",      "gateway",  "ping",  "trace",   "bench",   "completions", "man"};
constexpr std::array<std::string_view, 4> user_choices{"add", "passwd", "remove", "list"};
constexpr std::array<std::string_view, 9> bench_choices{"down",      "up",   "both", "rr",    "connect",
                                                        "handshake", "idle", "udp",  "origin"};
constexpr std::array<std::string_view, 2> verify_choices{"full", "edges"};
constexpr std::array<std::string_view, 3> usage_choices{"user", "target", "rule"};

/// One list of several, in this order.
template <typename... Lists>
constexpr auto joined(const Lists&... lists) {
  std::array<Flag, (std::tuple_size_v<Lists> + ...)> all{};
  auto* next = all.data();
  ((next = std::ranges::copy(lists, next).out), ...);
  return all;
}

constexpr Flag listen{.name = "--listen",
                      .value = "ADDR:PORT",
                      .environment = "STILE_LISTEN",
                      .key = "listen",
                      .help =
                          "listen here, or at a Unix-domain socket unix:/PATH; may be given several times (in the "
                          "environment: separated by commas)",
                      .default_text = "127.0.0.1:1080 and [::1]:1080",
                      .repeatable = true};
constexpr Flag workers{.name = "--workers",
                       .value = "N",
                       .environment = "STILE_WORKERS",
                       .key = "workers",
                       .help = "threads that serve connections; 0 means one for each core",
                       .default_text = "0"};
constexpr Flag log{
    .name = "--log",
    .value = "FORMAT",
    .environment = "STILE_LOG",
    .key = "log",
    .help = "access records on standard output: json, text or none; auto is text on a terminal, else json",
    .default_text = "auto",
    .choices = log_choices};
constexpr Flag sandbox{.name = "--sandbox",
                       .value = "MODE",
                       .environment = "STILE_SANDBOX",
                       .key = "sandbox",
                       .help =
                           "what the server gives up before it serves: best-effort, or all of it as required, or "
                           "nothing where it is off, as for a debugger",
                       .default_text = "best-effort",
                       .choices = sandbox_choices};
constexpr Flag config{.name = "--config",
                      .value = "FILE",
                      .environment = "STILE_CONFIG",
                      .help = "read this configuration file",
                      .default_text = "no file",
                      .names_a_file = true};
constexpr Flag json{.name = "--json", .help = "print JSON"};
constexpr Flag help{.name = "--help", .help = "print this help", .short_name = "-h"};
constexpr Flag via{
    .name = "--via",
    .value = "URL",
    .environment = "STILE_VIA",
    .help =
        "the proxy: [USER:PASSWORD@]HOST[:PORT] behind socks5h://, or behind socks5://, which looks names "
        "up here; inside TLS behind socks5h+tls:// or socks5+tls://; a password here shows in the list of processes "
        "for a moment",
    .default_text = "all_proxy, ALL_PROXY, SOCKS_PROXY"};
constexpr Flag any_via{
    .name = "--via",
    .value = "URL",
    .environment = "STILE_VIA",
    .help =
        "the proxy: [USER:PASSWORD@]HOST[:PORT] behind socks5h://, socks5://, socks4a://, socks4:// or http://; "
        "inside TLS behind https://, or the others with +tls, such as socks5h+tls://; a password here shows in the "
        "list of processes for a moment",
    .default_text = "all_proxy, ALL_PROXY, SOCKS_PROXY"};
constexpr Flag password_file{.name = "--password-file",
                             .value = "FILE",
                             .help = "the first line of this file is the password of the proxy's user",
                             .names_a_file = true};
constexpr Flag clear_password{
    .name = "--clear-password",
    .help = "send the password to a proxy on another host, though others on the way can read it"};
constexpr Flag ca{.name = "--ca",
                  .value = "FILE",
                  .help = "a proxy inside TLS has a certificate of a CA in this file (PEM)",
                  .default_text = "the system's CAs",
                  .names_a_file = true};
constexpr Flag certificate{.name = "--certificate",
                           .value = "FILE",
                           .help = "show this certificate to a proxy inside TLS (PEM, those of its CAs behind it)",
                           .names_a_file = true};
constexpr Flag gss_service{.name = "--gss-service",
                           .value = "NAME",
                           .help = "what a proxy behind +gssapi is called by Kerberos: rcmd, or socks",
                           .default_text = "rcmd"};
constexpr Flag key{.name = "--key",
                   .value = "FILE",
                   .help = "the private key of the certificate (PEM, without a passphrase)",
                   .default_text = "in the certificate's file",
                   .names_a_file = true};
constexpr Flag count{.name = "--count",
                     .value = "N",
                     .help = "ask for the end after N answers, timeouts and errors, 1 to 3600",
                     .default_text = "until interrupted",
                     .short_name = "-c"};
constexpr Flag numeric{.name = "--numeric", .help = "show addresses only, look up no names", .short_name = "-n"};
constexpr Flag verbose{
    .name = "--verbose", .help = "show the way taken, and type and code of each ICMP message", .short_name = "-v"};
constexpr Flag quiet{.name = "--quiet", .help = "show the first line and the statistics only", .short_name = "-q"};
constexpr Flag json_events{.name = "--json", .help = "print one JSON object an event and line"};

constexpr std::array help_only{help};
// How a command that goes through a proxy opens it, beside the proxy itself.
constexpr std::array proxy_flags{password_file, clear_password, ca, certificate, key, gss_service};

constexpr std::array serve_flags{config, listen, workers, log, sandbox, help};
constexpr std::array helper_flags{config, help};
constexpr std::array check_flags{
    config, listen,  workers,
    log,    sandbox, Flag{.name = "--effective", .help = "print every value in force and where it came from"},
    json,   help};
constexpr std::array explain_flags{
    config,
    listen,
    Flag{.name = "--user", .value = "USER", .help = "the user that the client is", .default_text = "anonymous"},
    Flag{.name = "--group",
         .value = "GROUP",
         .help = "a group that the user is in; may be given several times",
         .default_text = "those in the users file",
         .repeatable = true},
    Flag{.name = "--source", .value = "ADDRESS", .help = "the client's address", .default_text = "127.0.0.1"},
    Flag{.name = "--command",
         .value = "COMMAND",
         .help = "what the client asks for: connect, udp, bind, ping or resolve",
         .default_text = "connect",
         .choices = command_choices},
    Flag{.name = "--target", .value = "HOST:PORT", .help = "where it wants to go; ping and resolve need no port"},
    Flag{.name = "--at",
         .value = "TIME",
         .help = "when, a day and a time, such as \"mon 09:00\"",
         .default_text = "now"},
    Flag{.name = "--resolving-to",
         .value = "ADDRESS",
         .help = "take this for the address of the name, instead of asking DNS"},
    Flag{.name = "--no-dns", .help = "look up no name"},
    json,
    help};
constexpr std::array fmt_flags{
    config, Flag{.name = "--check", .help = "change nothing; fail where the file is not laid out"}, help};
constexpr std::array control_flags{config,
                                   Flag{.name = "--socket",
                                        .value = "unix:/PATH",
                                        .help = "ask the server at this control socket",
                                        .default_text = "the file's [admin] socket"},
                                   json, help};
constexpr std::array usage_flags{
    Flag{.name = "--by",
         .value = "WHAT",
         .help = "add up for each user, target or rule",
         .default_text = "user",
         .choices = usage_choices},
    Flag{.name = "--since",
         .value = "WHEN",
         .help = "from then on: today, yesterday, 30m, 12h, 7d, 2w, 2026-11-01 or '2026-11-01 08:30'",
         .default_text = "today"},
    Flag{.name = "--until", .value = "WHEN", .help = "up to then", .default_text = "now"},
    config,
    Flag{.name = "--file",
         .value = "FILE",
         .help = "the accounting file",
         .default_text = "what [accounting] of the configuration names",
         .names_a_file = true},
    json,
    help};
constexpr auto ping_flags =
    joined(std::array{via, count, numeric, quiet, verbose, json_events}, proxy_flags, help_only);
constexpr auto trace_flags = joined(std::array{via, numeric, verbose, json_events}, proxy_flags, help_only);
constexpr auto bench_flags = joined(
    std::array{
        any_via, Flag{.name = "--direct", .help = "go to the origin without a proxy, for a figure to compare with"},
        Flag{.name = "--connections",
             .value = "N",
             .help = "tunnels, connections or associations at once",
             .default_text = "16 in bulk, 64 for rr, connect and handshake, 1000 idle, 1 for udp"},
        Flag{.name = "--size", .value = "OCTETS", .help = "of a message or a datagram's payload", .default_text = "64"},
        Flag{.name = "--seconds", .value = "S", .help = "how long to measure", .default_text = "5"},
        Flag{.name = "--warmup", .value = "S", .help = "how long to run before that", .default_text = "0.5"},
        Flag{.name = "--rate",
             .value = "N",
             .help = "begin N operations a second in all, whatever the proxy does; a latency counts from when its "
                     "operation was due",
             .default_text = "the next operation begins when the last one ends"},
        Flag{.name = "--origin",
             .value = "ADDR:PORT",
             .help = "go to this origin, which 'stile bench origin' runs",
             .default_text = "one of its own, on loopback"},
        Flag{.name = "--listen", .value = "ADDR:PORT", .help = "origin: serve here, by TCP and UDP"},
        Flag{.name = "--verify",
             .value = "HOW",
             .help = "full compares every octet that arrives, edges the first and last ones of each piece; both count",
             .default_text = "full",
             .choices = verify_choices},
        Flag{
            .name = "--window", .value = "N", .help = "udp: datagrams under way, an association", .default_text = "32"},
        Flag{.name = "--offload", .help = "udp: let the kernel segment and join datagrams, as QUIC's peers do"}, json},
    proxy_flags, help_only);
constexpr auto connect_flags =
    joined(std::array{any_via, Flag{.name = "--verbose",
                                    .help = "say on standard error which way is taken, and by whose word",
                                    .short_name = "-v"}},
           proxy_flags, help_only);
constexpr Flag every_via{.name = "--via",
                         .value = "URL",
                         .environment = "STILE_VIA",
                         .help = "the proxy, as for connect; given several times, each leads to the next one",
                         .default_text = "all_proxy, ALL_PROXY",
                         .repeatable = true};
constexpr Flag tell_connections{
    .name = "--verbose", .help = "tell of the way taken and of each connection, on standard error", .short_name = "-v"};
constexpr auto gateway_flags = joined(
    std::array{
        Flag{.name = "--lan",
             .value = "INTERFACE",
             .key = "gateway.lan",
             .help = "take what arrives at this interface; may be given several times",
             .repeatable = true},
        Flag{.name = "--from",
             .value = "NETWORK",
             .key = "gateway.from",
             .help = "take what comes from this network; may be given several times",
             .repeatable = true},
        Flag{.name = "--except",
             .value = "NETWORK",
             .key = "gateway.except",
             .help = "leave alone what comes from this network and what is sent there; may be given several times",
             .repeatable = true},
        Flag{.name = "--user",
             .value = "NETWORK=USER",
             .key = "gateway.users",
             .help = "what comes from this network is this user's; may be given several times",
             .default_text = "everybody is anonymous",
             .repeatable = true},
        Flag{.name = "--apply", .help = "put the packet rules and routes in force, and take them back at the end"},
        Flag{.name = "--print", .help = "print them instead, as a script for sh, and end"},
        Flag{.name = "--redirect",
             .help = "take TCP and names alone, by address translation, where the kernel has no tproxy"},
        every_via},
    std::array{config, workers, log, sandbox}, proxy_flags, help_only);
constexpr auto run_flags = joined(
    std::array{every_via,
               Flag{.name = "--preload",
                    .help = "carry it by libstile-preload.so, as is done where this system allows no private network"},
               Flag{.name = "--lenient",
                    .help = "with the library: run programs that it cannot be loaded into, with a warning; what "
                            "they send goes past the proxy"},
               tell_connections},
    proxy_flags, help_only);
constexpr auto carrier_flags = joined(std::array{any_via}, proxy_flags, help_only);
constexpr auto test_flags = joined(
    std::array{
        Flag{.name = "--target",
             .value = "HOST:PORT",
             .help = "connect there as well; may be given several times",
             .default_text = "a listener of this host",
             .repeatable = true},
        Flag{.name = "--udp-target",
             .value = "HOST:PORT",
             .help = "send datagrams there: a DNS server, or whoever answers a DNS question",
             .default_text = "a socket of this host"},
        Flag{.name = "--dns", .value = "NAME", .help = "have the proxy look this name up", .default_text = "localhost"},
        Flag{.name = "--no-callback", .help = "open no listeners here; what needs one is not tested"}, json},
    proxy_flags, help_only);
constexpr auto forward_flags = joined(
    std::array{every_via,
               Flag{.name = "--reverse",
                    .value = "PORT=TARGET",
                    .help = "have the proxy listen, at this port where it can, or any where it is 0, and lead who "
                            "connects there to TARGET, HOST:PORT or a PORT of this host; may be given several times",
                    .repeatable = true},
               Flag{.name = "--from",
                    .value = "HOST",
                    .help = "--reverse: let in connections from this host alone",
                    .default_text = "whomever the proxy lets in"},
               tell_connections, json_events},
    proxy_flags, help_only);
constexpr std::array user_flags{Flag{.name = "--file",
                                     .value = "FILE",
                                     .help = "the users file; add makes one where there is none",
                                     .names_a_file = true},
                                Flag{.name = "--group",
                                     .value = "G",
                                     .help = "add: a group of the new user; may be given several times",
                                     .repeatable = true},
                                json, help};
constexpr std::array root_flags{help, Flag{.name = "--version", .help = "print the version and the features built in"}};

constexpr Command command_rows[] = {
    {.name = "serve",
     .summary = "run the proxy",
     .description = "Runs a SOCKS server in the foreground. Without any flag or file it listens on 127.0.0.1:1080 and "
                    "[::1]:1080 and lets local clients go wherever the local user could go. A listener that is not "
                    "loopback needs a configuration file whose [policy] names the clients. SIGTERM or SIGINT lets open "
                    "tunnels end, for at most limits.drain; a second signal ends them at once.",
     .example = "stile serve\ncurl --proxy socks5h://127.0.0.1:1080 https://example.com/",
     .flags = serve_flags},
    {.name = "helper",
     .summary = "judge logins for a server, as a service of its own",
     .description =
         "Judges what a server has judged by PAM, by a program ([command]) or by Kerberos keys ([gssapi]), for a "
         "server "
         "whose [helper] socket names the socket of this service. That socket is passed by the service manager, or by "
         "systemd-socket-activate. Only root and the `user` of its configuration may ask. Of the configuration "
         "it needs no more than these keys; files that it names, such as users and certificates, are not read. SIGTERM "
         "ends it at once.",
     .example = "stile helper --config /etc/stile-helper/stile.toml  # as a service\n"
                "systemd-socket-activate --seqpacket --listen=/run/stile-helper.sock \\\n"
                "  stile helper --config /etc/stile-helper/stile.toml",
     .flags = helper_flags},
    {.name = "check",
     .summary = "validate a configuration without running it",
     .description = "Reads the configuration as serve would, environment and flags included, and prints every fault as "
                    "FILE:LINE:COLUMN: message. Exits with 0 when the configuration is good and 78 when it is not. "
                    "Warnings do not change the exit code.",
     .example = "stile check --config stile.toml\nstile check --config stile.toml --effective",
     .flags = check_flags},
    {.name = "explain",
     .summary = "say what the policy decides about one request, and why",
     .description =
         "Prints the decision, the rule that made it with its line, the options that apply, and the rules that "
         "came close. A name is looked up where its addresses decide, as a server on this host would, and "
         "each address is decided for itself; the client reaches those that are allowed.",
     .example = "stile explain --config stile.toml --source 192.168.1.9 --command connect --target example.com:443\n"
                "stile explain --config stile.toml --user alice --group staff --target db.corp.example:5432 "
                "--resolving-to 10.1.2.3 --at \"mon 09:00\"",
     .flags = explain_flags},
    {.name = "fmt",
     .summary = "lay out the policy in a configuration file",
     .description =
         "Lines up the rules and expectations that stand between ''' in a configuration file, in place. Only "
         "space changes, and nothing outside that text. Exits with 0 when the file is laid out, 78 when its "
         "words cannot be told apart, and with --check 1 when it would change.",
     .example = "stile fmt stile.toml\nstile fmt --check stile.toml",
     .flags = fmt_flags,
     .operand = {.name = "FILE", .help = "the configuration file, where --config does not name it"}},
    {.name = "import",
     .summary = "turn a configuration file of Dante's into one of Stile's",
     .description =
         "Prints a configuration that decides as the given sockd.conf or danted.conf does, rule by rule, each named "
         "after its line there. What cannot be said, or means less than it did, is told on standard error with its "
         "line; nothing becomes wider. Exits with 78 where the file is not understood.",
     .example = "stile import /etc/danted.conf > stile.toml && stile check --config stile.toml",
     .flags = help_only,
     .operand = {.name = "FILE", .help = "Dante's configuration file", .required = true}},
    {.name = "reload",
     .summary = "let the running server read its configuration again",
     .description =
         "Asks the server, at its control socket ([admin] socket), to read its configuration file again. What is good "
         "takes the place of the old in one step: tunnels live on, unless the new policy does not allow them and "
         "policy.on_reload is \"enforce\". A configuration with a fault, or with an `expect` line that fails, changes "
         "nothing. SIGHUP does the same without an answer. Exits with 0 when the new configuration is in force, 78 "
         "when "
         "it is not good, and 1 when the server cannot be asked.",
     .example =
         "stile reload --config /etc/stile/stile.toml\nstile reload --socket unix:/run/stile/control.sock --json",
     .flags = control_flags},
    {.name = "upstreams",
     .summary = "show the upstreams of the running server, and how they are",
     .description =
         "Asks the server, at its control socket ([admin] socket), what it knows of each server of each [[upstream]]: "
         "whether it is up, in slow-start, untried, half-open or down and for how long, the sessions that go through "
         "it, "
         "the attempts that opened it and those that failed, how long a handshake takes, and why the last attempt "
         "failed. Each worker learns for itself; sums are over all of them, and where they do not agree on a state it "
         "says how many see which. Exits with 0 when the server answered and 1 when it cannot be asked.",
     .example = "stile upstreams --config /etc/stile/stile.toml\n"
                "stile upstreams --socket unix:/run/stile/control.sock --json | jq '.servers[] | select(.states.down)'",
     .flags = control_flags},
    {.name = "counters",
     .summary = "show what the running server has counted",
     .description =
         "Asks the server, at its control socket ([admin] socket), for its counters since the start, the sums over all "
         "workers: connections, sessions and octets, how requests and sessions ended, datagrams that were dropped, the "
         "cache of names, and what was asked of each resolver. Exits with 0 when the server answered and 1 when it "
         "cannot be asked.",
     .example = "stile counters --config /etc/stile/stile.toml\n"
                "stile counters --socket unix:/run/stile/control.sock --json | jq .counters.sessions_open",
     .flags = control_flags},
    {.name = "user",
     .summary = "manage the users that log in with a password",
     .description =
         "Changes the file that [users] names, one line a user: NAME:HASH:GROUP,GROUP. add makes a user and passwd "
         "gives "
         "one another password, which is asked for twice at a terminal and else read from one line of standard input, "
         "never from the command line; its hash is yescrypt's. remove takes a user out, list shows all of them. The "
         "file is replaced at once, and a running server reads it when it is told to reload.",
     .example = "stile user add alice --file users --group staff\n"
                "printf '%s\\n' \"$password\" | stile user passwd alice --file users\n"
                "stile user list --file users --json",
     .flags = user_flags,
     .operand = {.name = "ACTION", .help = "add, passwd, remove or list", .required = true, .choices = user_choices},
     .second_operand = {.name = "NAME", .help = "the user; all but list need one"}},
    {.name = "usage",
     .summary = "add up who moved how much",
     .description =
         "Reads the accounting file that serve writes, which may go on meanwhile, and adds up sessions and "
         "octets. Octets count when they were moved, so that a session which lasts for days is part of each. "
         "Sessions whose server did not end in order are part of it with what was written of them.",
     .example =
         "stile usage --by user --since 7d --config stile.toml\n"
         "stile usage --by rule --since 2026-11-01 --until 2026-12-01 --json --file /var/lib/stile/accounting.db",
     .flags = usage_flags},
    {.name = "connect",
     .summary = "carry standard input and output through a proxy",
     .description =
         "Asks the proxy for a connection to HOST and PORT, then carries standard input there and what comes from "
         "there to standard output, as nc does: the ProxyCommand of ssh. The end of either direction is passed on and "
         "leaves the other one open. Nothing else is printed but why it failed, on standard error. Where the "
         "environment names the proxy, what NO_PROXY names is connected to without one. Exits with 0 when both "
         "directions ended in order, and 1 where there was no connection, it was "
         "reset, or an interrupt ended it.",
     .example = "stile connect --via https://proxy.example --ca ca.pem www.example.com 80 < request\n"
                "ssh -o ProxyCommand='stile connect --via socks5h://127.0.0.1:1080 %h %p' host.example",
     .flags = connect_flags,
     .operand = {.name = "HOST", .help = "a name or an address", .required = true},
     .second_operand = {.name = "PORT", .help = "1 to 65535", .required = true}},
    {.name = "run",
     .summary = "run a command whose every connection goes through a proxy",
     .description =
         "Runs COMMAND, unchanged, in a private network that has no way out but this process, which carries its "
         "connections, datagrams and pings through the proxy: programs that know no proxy, static ones, and all that "
         "they start. Names are looked up by the proxy. Whatever cannot be carried fails there and then; nothing "
         "leaves in another way. Root is not needed. Where this system allows no private network, the programs' own "
         "calls are carried instead, by a library that is loaded into them (libstile-preload.so); programs that it "
         "cannot be loaded into are refused then. Variables that name a proxy are taken out of the environment, and "
         "NO_PROXY means nothing here. Exits as COMMAND does, with 128 and the number of a signal that ended it, 127 "
         "where there is no such command, 126 where it cannot be executed or is refused, and 1 where there is no way "
         "to carry it.",
     .example = "stile run --via socks5h://127.0.0.1:1080 -- git clone https://git.example/project.git\n"
                "STILE_VIA=socks5h+tls://alice:secret@proxy.example:1443 stile run ssh host.example",
     .flags = run_flags,
     .operand = {.name = "COMMAND",
                 .help = "the program to run, and its arguments",
                 .required = true,
                 .takes_the_rest = true}},
    {.name = "forward",
     .summary = "listen here, and lead who connects through a proxy to a fixed target",
     .description =
         "Listens for each FORWARD, LISTEN=TARGET, and leads every connection that comes there through the proxy to "
         "TARGET, HOST:PORT. LISTEN is PORT, at the loopback addresses of this host, ADDRESS:PORT, or unix:/PATH; "
         "behind a port, /udp leads datagrams instead. With --reverse the proxy listens, by BIND, and what comes there "
         "is "
         "led to a target of this side. Where each one listens is a line on standard output: address, kind and target. "
         "What fails is a line on standard error and a reset to its client. NO_PROXY means nothing here. Runs until "
         "SIGINT, SIGTERM or SIGHUP, and exits with 0 then; with 1 where a listener cannot be had, here or at the "
         "proxy.",
     .example =
         "stile forward --via socks5h://127.0.0.1:1080 8080=www.example:80 5353/udp=ns.example:53\n"
         "stile forward --via socks5h+tls://alice:secret@proxy.example:1443 unix:/run/user/1000/db=db.example:5432\n"
         "stile forward --via socks5h://proxy.example --reverse 8022=22",
     .flags = forward_flags,
     .operand = {.name = "FORWARD", .help = "LISTEN=TARGET, such as 127.0.0.1:8080=www.example:80", .repeats = true}},
    {.name = "test",
     .summary = "find out what a proxy supports",
     .description =
         "Asks the proxy for everything, and shows in a table what was seen to work, what was not, and what could not "
         "be "
         "tested, and why: the methods and protocols it takes, each command, whether datagrams come back and from "
         "whom, "
         "whether its replies tell the truth, IPv6, names, latency, its certificate. Nobody but the proxy is asked, "
         "and "
         "listeners that this host opens at the address by which it reaches the proxy, unless targets are named. "
         "Several "
         "URLs lead to one another, and the last one is tested. Exits with 0 when a connection through it was seen to "
         "work, or none could be tried and it let us in, and 1 when not.",
     .example = "stile test socks5h://proxy.example:1080\n"
                "stile test https://alice@proxy.example --password-file secret --no-callback --target www.example:443\n"
                "stile test socks5h://127.0.0.1:1080 --json | jq '.findings[] | select(.answer == \"no\")'",
     .flags = test_flags,
     .operand = {.name = "URL",
                 .help = "the proxy, as for connect --via [default: STILE_VIA, all_proxy, ALL_PROXY, SOCKS_PROXY]",
                 .repeats = true}},
    {.name = "gateway",
     .summary = "send a whole network through a proxy, from its router",
     .description =
         "Runs on a router, as root: what the machines behind it send is taken by packet rules and goes through the "
         "proxy, names included; the machines are not changed. TCP, UDP, names (DNS) and pings, IPv4 and IPv6. What "
         "cannot be carried is refused; nothing goes past the proxy while the rules stand, be there a server or not. "
         "The "
         "machines are those behind --lan, and those of --from; nothing else is touched. With --config the file says "
         "which way, for whom and what is recorded, in its [policy] and [gateway], as for `stile serve`. It ends as "
         "serve does, and takes the rules back that --apply put in force.",
     .example = "stile gateway --lan eth1 --via socks5h://proxy.example:1080 --apply\n"
                "stile gateway --lan eth1 --print | sh\n"
                "stile gateway --config /etc/stile/gateway.toml --apply",
     .flags = gateway_flags},
    {.name = "ping",
     .summary = "ping a host from where a proxy stands",
     .description = "Asks the proxy to send ICMP echoes, with the PING command of SOCKS5, and shows its lines as they "
                    "come. An interrupt asks for the statistics and the end; a second one ends at once. NO_PROXY means "
                    "nothing here. Exits with 0 when at least one answer came and 1 when none did.",
     .example = "stile ping --via socks5h://127.0.0.1:1080 -c 3 example.com",
     .flags = ping_flags,
     .operand = {.name = "HOST", .help = "a name or an address", .required = true}},
    {.name = "trace",
     .summary = "trace the route to a host from where a proxy stands",
     .description =
         "Asks the proxy to find the routers on the way, with the TRACEROUTE command of SOCKS5, and shows its "
         "lines as they come. An interrupt ends it. NO_PROXY means nothing here. Exits with 0 when the "
         "target was reached and 1 when it was not.",
     .example = "stile trace --via socks5h://127.0.0.1:1080 -n example.com",
     .flags = trace_flags,
     .operand = {.name = "HOST", .help = "a name or an address", .required = true}},
    {.name = "bench",
     .summary = "measure a proxy",
     .description =
         "Loads any SOCKS or HTTP proxy and measures it: down, up and both move octets over long-lived tunnels, rr "
         "sends messages and waits for their echoes, connect opens a connection for each message, handshake closes it "
         "after the reply, idle holds tunnels and checks them at the end, udp echoes datagrams through associations. "
         "Every octet that comes back is compared with what was sent. The far end is built in; origin is the same on "
         "another host, which anybody who reaches it can use. An interrupt ends the run with the figures so far. "
         "Exits with 1 when octets were wrong or nothing succeeded.",
     .example = "stile bench rr --via socks5h://127.0.0.1:1080\n"
                "stile bench connect --direct --json\n"
                "stile bench origin --listen 192.0.2.7:7000\n"
                "stile bench down --via socks5h://192.0.2.1:1080 --origin 192.0.2.7:7000",
     .flags = bench_flags,
     .operand = {.name = "MODE",
                 .help = "down, up, both, rr, connect, handshake, idle, udp or origin",
                 .required = true,
                 .choices = bench_choices}},
    {.name = "completions",
     .summary = "print a completion script for a shell",
     .description = "Prints a script that completes commands, flags and their values.",
     .example = "stile completions bash > /etc/bash_completion.d/stile",
     .flags = help_only,
     .operand = {.name = "SHELL", .help = "bash, zsh or fish", .required = true, .choices = shell_choices}},
    {.name = "man",
     .summary = "print a manual page",
     .description = "Prints the manual page of stile, or of one of its commands, in the format of man(7).",
     .example = "stile man | man -l -\nstile man serve > stile-serve.1",
     .flags = help_only,
     .operand = {.name = "COMMAND", .help = "the command to describe", .choices = page_choices}},
    {.name = "preload-carrier",
     .summary = "carry programs that have libstile-preload.so loaded",
     .description = "What the library starts where it was loaded by hand: goes to the background, carries the programs "
                    "that have the same keys in STILE_PRELOAD through the proxy, and ends when they have ended.",
     .example = "stile preload-carrier --via socks5h://127.0.0.1:1080",
     .flags = carrier_flags,
     .hidden = true},
    {.name = "config-reference",
     .summary = "print docs/configuration.md",
     .description = "Prints the configuration reference, made from the table of keys.",
     .example = "stile config-reference > docs/configuration.md",
     .flags = help_only,
     .hidden = true},
};

}  // namespace

std::span<const Command> commands() noexcept {
  return command_rows;
}

const Command* find_command(std::string_view name) noexcept {
  for (const Command& command : commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::span<const Flag> global_flags() noexcept {
  return root_flags;
}

std::optional<std::string> Arguments::value(std::string_view flag) const {
  const auto found = flags.find(flag);
  if (found == flags.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

}  // namespace stile::cli
