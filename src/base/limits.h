// Every limit of the product, in one place: nothing that a peer feeds may grow without a name here. Configuration may
// lower or raise those that config/ exposes; the values below are the defaults. Source: the limits table of the
// security reference.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace stile::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t KiB = 1024;
inline constexpr std::size_t MiB = 1024 * KiB;

// Handshake: accept to complete request, absolute.
inline constexpr auto handshake = 10s;
inline constexpr std::size_t input_before_relay_octets_max = 64 * KiB;
inline constexpr std::size_t half_open_max = 32'768;

// Authentication. What a source did wrong counts as seconds that it has to wait (OpenSSH's figures, adapted).
inline constexpr std::size_t credential_octets_max = 255;  // RFC 1929: one octet says how many
inline constexpr std::size_t users_file_octets_max = 16 * MiB;
inline constexpr std::size_t users_file_line_octets_max = 4 * KiB;
inline constexpr std::size_t users_max = 100'000;
inline constexpr std::size_t user_groups_max = 64;
inline constexpr std::size_t login_queue_max = 256;
inline constexpr std::size_t login_queue_per_source_max = 4;
inline constexpr std::size_t token_queue_per_source_max = 64;
inline constexpr auto hash_wait = 3s;
inline constexpr auto helper_wait = 3s;               // for a verdict; then the login fails
inline constexpr auto helper_back_end_wait = 2800ms;  // for PAM or the program, so that the helper can say who was slow
inline constexpr std::size_t helper_record_octets_max = 136 * KiB;  // a token and a context of GSSAPI's
inline constexpr std::size_t helper_notice_octets_max = KiB;
inline constexpr std::size_t helper_requests_max = 32;  // with the helper at once; others wait for their turn
inline constexpr std::size_t helper_children_max = 48;  // each looks at one login; those that are ended count as well
inline constexpr auto helper_restart_first = 100ms;     // doubled with each end that follows soon
inline constexpr auto helper_restart_max = 10s;
inline constexpr auto helper_farewell = 2s;  // for it to end with the server
// Where it is a service of its own:
inline constexpr auto helper_reconnect_max = 2s;             // doubled up to this, from helper_restart_first on
inline constexpr std::size_t helper_connections_max = 8;     // servers that it judges for at once
inline constexpr std::size_t helper_strangers_told_max = 8;  // users that it turned away, told once each
inline constexpr std::size_t service_name_octets_max = 64;
inline constexpr std::size_t pam_prompts_max = 16;                   // of one login
inline constexpr std::size_t command_line_octets_max = 16 * KiB;     // of an answer
inline constexpr std::size_t command_backlog_octets_max = 64 * KiB;  // that the program has not read yet
inline constexpr std::size_t command_notices_max = 20;               // lines of its standard error, in
inline constexpr auto command_notices_every = 10s;
inline constexpr std::size_t login_cache_entries_max = 65'536;
inline constexpr auto login_cache = 60s;
inline constexpr std::size_t penalty_sources_max = 65'536;  // of a family
inline constexpr auto penalty_begin = 15s;                  // from so much on, a source is turned away
inline constexpr auto penalty_max = 600s;
inline constexpr auto penalty_login = 5s;
inline constexpr auto penalty_method = 1s;
inline constexpr auto penalty_timeout = 10s;
inline constexpr auto penalty_malformed = 10s;
inline constexpr auto penalty_crash = 90s;

// Ending a connection after a failure reply: wait for the client's FIN, discard what it still sends.
inline constexpr auto reply_drain = 2s;
inline constexpr std::size_t reply_drain_octets_max = 256 * KiB;

// Dialling (RFC 8305).
inline constexpr auto connect_per_address = 10s;
inline constexpr auto connect_total = 30s;
inline constexpr auto connect_stagger = 250ms;
inline constexpr std::size_t candidates_max = 16;
inline constexpr int fast_open_waiting_max = 256;  // of a listener: SYNs with data whose connection is not confirmed
inline constexpr std::size_t chain_hops_max = 8;   // of a way through other proxies

// Upstream groups (route/upstream_group.h).
inline constexpr std::size_t upstream_members_max = 32;
inline constexpr std::size_t upstream_racers_max = 4;      // members that are dialled at once for one request
inline constexpr std::size_t upstream_stragglers_max = 8;  // of one member: dials that a faster one has overtaken
inline constexpr auto upstream_stagger_max = 2s;           // RFC 8305 section 5
inline constexpr auto upstream_greeting = 5s;              // from the connection until it lets us in
inline constexpr int upstream_failures_to_down = 3;        // one behind another
inline constexpr auto upstream_down_first = 5s;            // doubled with each trial that fails
inline constexpr auto upstream_down_max = 300s;
inline constexpr auto upstream_slow_start = 30s;
inline constexpr auto upstream_trial_offer = 1s;             // for a request to begin the trial that it was offered
inline constexpr auto upstream_silence = 2s;                 // with attempts under way; from then on others come first
inline constexpr auto upstream_probe_doubt = 1s;             // behind a failure of a member that is still up
inline constexpr auto upstream_latency_memory = 5s;          // what is older weighs less than e to the -1
inline constexpr auto upstream_latency_stale = 5s;           // a member not heard of for so long is tried again, ...
inline constexpr std::uint64_t upstream_latency_looks = 16;  // ... by one request in so many

// Names.
inline constexpr auto dns_try = 5s;
inline constexpr auto dns_total = 10s;
inline constexpr auto dns_second_family_wait = 50ms;
inline constexpr std::size_t dns_in_flight_max = 1'024;
inline constexpr std::size_t dns_cached_names_max = 10'000;
inline constexpr auto dns_ttl_min = 1s;
inline constexpr auto dns_ttl_max = 300s;
inline constexpr std::size_t hosts_file_octets_max = 16 * MiB;
inline constexpr std::size_t resolv_conf_octets_max = MiB;
inline constexpr auto dns_try_min = 100ms;
inline constexpr auto dns_silent_server_last = 30s;  // how long a server that was silent is asked after all others
inline constexpr std::size_t resolvers_max = 64;     // each with dns_in_flight_max questions of its own
inline constexpr std::size_t resolver_servers_max = 8;

// A command in a private network.
inline constexpr std::size_t stand_in_names_max = 1U << 16;  // at once; each has an address of its own
inline constexpr std::uint32_t stand_in_ttl_seconds = 60;    // for which a program believes one
inline constexpr std::size_t name_server_batch_max = 64;     // questions answered in one turn
inline constexpr std::size_t name_server_streams_max = 64;   // that ask by TCP, at once
inline constexpr auto name_server_stream_idle = 10s;
inline constexpr std::size_t datagram_flows_max = 1'024;  // sockets that send datagrams
inline constexpr std::size_t datagram_calls_max = 256;    // whom one of them sent to, told apart when they answer
inline constexpr auto datagram_linger = 500ms;            // from the last datagram to the end of its association
inline constexpr std::size_t echo_batch_max = 64;         // echo requests read in one turn
inline constexpr std::size_t ping_runs_max = 64;          // hosts that are pinged at once
inline constexpr std::size_t ping_requests_max = 64;      // of one of them, unanswered
inline constexpr auto ping_idle = 5s;                     // from the last request to the end of the proxy's probes
inline constexpr std::size_t nsswitch_octets_max = 64 * KiB;
inline constexpr auto run_end_quiet = 2s;   // once the command has ended: what moves nothing for so long ends as well,
inline constexpr auto run_end_total = 60s;  // and after so long the rest
inline constexpr auto file_keeper_wait = 1s;  // for a file that another process opens
inline constexpr std::size_t name_octets_max = 253;
inline constexpr std::size_t label_octets_max = 63;

// Relay.
inline constexpr auto half_closed_idle = 300s;
inline constexpr std::size_t relay_buffer_octets = 256 * KiB;
inline constexpr std::size_t parked_octets_per_direction_max = 256 * KiB;
inline constexpr std::size_t parked_octets_per_direction_tight = 32 * KiB;
inline constexpr std::size_t parked_octets_process_max = 64 * MiB;
inline constexpr std::size_t octets_per_turn_max = MiB;
inline constexpr auto keepalive_idle = 60s;
inline constexpr auto keepalive_interval = 10s;
inline constexpr int keepalive_probes = 6;
inline constexpr auto keepalive_delay = 15s;  // a dialled connection gets its keepalive one to two of these later

// Rates (relay/rate.h).
inline constexpr auto rate_turn = 8ms;
inline constexpr auto rate_credit = 10ms;
inline constexpr auto rate_datagrams_ahead = 50ms;  // a small burst of datagrams passes, what is behind it is dropped
inline constexpr std::size_t rate_quantum_octets = KiB;  // at least, except where that takes longer than a slow turn
inline constexpr std::size_t rate_quantum_octets_max = 64 * KiB;
inline constexpr std::uint64_t rate_slow_turns = 20;  // a second, of a rate that moves no KiB in one

// Sessions.
inline constexpr std::size_t sessions_per_listener_max = 10'000;
inline constexpr std::size_t sessions_process_max = 50'000;
inline constexpr std::size_t sessions_per_user_max = 4'096;
inline constexpr std::size_t sessions_per_source_max = 1'024;
inline constexpr std::uint32_t sessions_of_rule_max = 1'000'000;  // what `sessions` of a rule may say
inline constexpr std::uint8_t source_prefix_v6 = 64;  // of a source: a host draws its addresses from as many
inline constexpr auto quota_look = 60s;               // at the calendar, at least: clocks are set

// UDP ASSOCIATE. A payload is what one IPv4 datagram can carry; a reassembled one is held to the same.
inline constexpr std::size_t udp_payload_octets_max = 65'507;
inline constexpr std::size_t udp_associations_per_user_max = 64;
inline constexpr std::size_t udp_targets_per_association_max = 4'096;
inline constexpr auto udp_mapping_idle = 300s;
inline constexpr auto udp_repin = 30s;
inline constexpr auto udp_fragment_wait = 5s;
inline constexpr std::size_t udp_waiting_datagrams_max = 16;
inline constexpr std::size_t udp_waiting_octets_max = 64 * KiB;
inline constexpr std::size_t udp_waiting_names_max =
    64;  // per association: one client must not use up dns_in_flight_max
inline constexpr std::size_t udp_held_octets_max = 64 * MiB;  // of all associations, for names and fragments
inline constexpr std::size_t udp_batch_datagrams_max = 32;    // received at once: a socket and turn
inline constexpr std::size_t udp_batch_octets = 256 * KiB;    // likewise, where trains come: a core's own cache
inline constexpr std::size_t udp_batch_trains_min = 4;
inline constexpr std::size_t udp_train_octets_max = 65'535;  // received as one: what the 16-bit length of IP can say
inline constexpr std::size_t udp_train_datagrams_max = 64;   // sent as one: UDP_MAX_SEGMENTS of Linux before 6.9
inline constexpr std::size_t udp_sends_pending_max = 512;    // datagrams that one call to the engine takes
// Of a datagram socket, each way; Linux cuts it to net.core.rmem_max and wmem_max, then doubles it for its own records.
// The default of 208 KiB holds 277 datagrams of 64 octets or three trains, which arrive while another association has
// its turn. Memory is taken only by what waits, and of all sockets by no more than net.ipv4.udp_mem.
inline constexpr std::size_t udp_socket_octets = 1 * MiB;

// Datagrams through other proxies. One that opens a way waits with others, as for a name (udp_waiting_*).
inline constexpr auto udp_way_pause = 250ms;                       // behind a way that failed or broke
inline constexpr std::size_t udp_way_heads_octets_max = 64 * KiB;  // headers of one batch, those of each way once

// BIND.
inline constexpr auto bind_wait = 120s;

// PING and TRACEROUTE.
inline constexpr auto ping_interval = 1s;
inline constexpr auto ping_wait = 4s;  // for an answer; several probes may be under way
inline constexpr std::size_t ping_payload_octets = 56;
inline constexpr std::uint32_t ping_probes_max = 3'600;
inline constexpr std::uint8_t trace_hops_max = 30;
inline constexpr std::uint8_t trace_probes_per_hop = 3;
inline constexpr auto trace_probe_wait = 1s;
inline constexpr auto trace_name_wait = 1s;              // for the names of a hop, behind its last probe
inline constexpr std::size_t trace_payload_octets = 32;  // a packet of 60 octets on IPv4
inline constexpr std::size_t probe_clients_max = 4'096;  // whose last probe is remembered, of a process
inline constexpr std::size_t probe_runs_max = 1'024;     // at once, of a process
inline constexpr auto probe_reader_wait = 60s;           // for a client that takes no line
inline constexpr std::size_t raw_icmp_sockets_max = 8;   // a worker and family, where datagram sockets are refused
inline constexpr std::size_t icmp_line_octets_max = 1'024;

// Clients: the conversation with a proxy, up to its reply; then what PING and TRACEROUTE stream.
inline constexpr auto proxy_conversation = 60s;
inline constexpr auto probe_silence = 60s;   // a proxy that writes no line for so long has gone
inline constexpr auto probe_farewell = 10s;  // for the statistics, behind the end octet

// SOCKS4: octets before the NUL.
inline constexpr std::size_t socks4_user_octets_max = 255;
inline constexpr std::size_t socks4_name_octets_max = 255;

// PROXY protocol header, the line's CRLF and all TLVs included.
inline constexpr auto proxy_header_wait = 5s;
inline constexpr std::size_t proxy_header_v1_octets_max = 107;
inline constexpr std::size_t proxy_header_v2_octets_max = 4'096;
inline constexpr std::size_t proxy_unique_id_octets_max = 128;

// GSSAPI.
inline constexpr std::size_t gss_token_octets_max = 65'535;
inline constexpr int gss_rounds_max = 16;
inline constexpr std::size_t gss_plain_octets_max = 32 * KiB;  // in a frame of ours
inline constexpr std::size_t gss_contexts_max = 256;  // begun and not finished, at the helper; then the oldest goes

// HTTP: a request or status line, all field lines with the blank one, a chunk's size line; each with its line end.
inline constexpr std::size_t http_line_octets_max = 8 * KiB;
inline constexpr std::size_t http_fields_octets_max = 64 * KiB;
inline constexpr std::size_t http_fields_max = 100;
inline constexpr std::size_t http_chunk_line_octets_max = 4 * KiB;
inline constexpr auto http_keep_alive = 60s;
inline constexpr auto http_retry_after = 10s;              // what a 503 advises
inline constexpr std::size_t http_read_octets = 64 * KiB;  // at a time, from either side of a forwarded request
inline constexpr std::size_t pac_direct_max = 256;         // names and networks that /proxy.pac leads around the proxy
inline constexpr auto pac_max_age = 300s;                  // how long browsers may keep the file

// A TLS ClientHello, without its records' headers. Those of browsers take less than 2 KiB, with post-quantum keys.
inline constexpr std::size_t tls_hello_octets_max = 16 * KiB;

// A protected stream: what is read for its transform at a time, and what is sealed before it is sent. So much, and one
// message that is not complete, a slow reader or writer can make it hold.
inline constexpr std::size_t protected_read_octets = 32 * KiB;
inline constexpr std::size_t protected_send_octets = 64 * KiB;
// TLS: the files that a configuration names, the certificates of a chain, and the name in a client's certificate.
inline constexpr std::size_t tls_file_octets_max = 4 * MiB;
inline constexpr std::size_t tls_chain_max = 16;
inline constexpr std::size_t tls_name_octets_max = 255;

// The load generator.
inline constexpr std::size_t bench_connections_max = 100'000;
inline constexpr std::size_t bench_message_octets_max = 256 * KiB;
inline constexpr std::size_t bench_window_max = 4'096;  // datagrams under way, an association
inline constexpr std::size_t bench_opening_at_once =
    64;  // connections, where all of them are to stand before the start
inline constexpr auto bench_opening = 60s;
inline constexpr auto bench_drain = 5s;             // for what is under way at the end
inline constexpr auto bench_loss = 1s;              // a datagram that has not come back is lost
inline constexpr auto bench_retry = 10ms;           // behind an operation that failed
inline constexpr std::size_t bench_addresses = 16;  // of loopback, to connect from and to: each pair has its own ports

// The loop: the longest look for events before a sleep. Waking a thread on another core takes as long.
inline constexpr auto spin = 20us;

// Overload.
inline constexpr auto accept_retry = 100ms;

// Operation.
inline constexpr auto drain = 60s;
inline constexpr std::size_t configuration_octets_max = MiB;
inline constexpr std::size_t admin_connections_max = 32;
inline constexpr std::size_t admin_request_octets_max = 64 * KiB;
inline constexpr auto admin_wait = 5s;
inline constexpr std::size_t rules_max = 100'000;
inline constexpr std::size_t expectations_max = 10'000;
inline constexpr std::size_t expectation_cases_max = 1'000'000;  // clients, sources and times that one is tried with
inline constexpr std::size_t list_entries_max = 1'000'000;
inline constexpr std::size_t list_octets_max = 64 * MiB;
inline constexpr std::size_t list_faults_shown_max = 100;
inline constexpr std::size_t log_ring_octets_max = 8 * MiB;
inline constexpr auto record_delay_max = 200ms;
inline constexpr std::size_t record_url_octets_max = 2 * KiB;  // longer ones are cut; "..." says so
inline constexpr std::size_t record_alpn_octets_max = 256;     // likewise

// Accounting: what waits for the disk, and how long the end of the server waits for it.
inline constexpr auto accounting_interim = 1min;
inline constexpr std::size_t accounting_spool_octets_max = 256 * MiB;
inline constexpr auto accounting_flush = 5s;

inline constexpr std::size_t trace_ring_entries = 16;

static_assert(connect_per_address <= connect_total);
static_assert(login_queue_per_source_max < login_queue_max);
static_assert(hash_wait < handshake, "who waits for a hash is told so before its connection ends");
static_assert(helper_wait < handshake && helper_back_end_wait < helper_wait);
static_assert(helper_requests_max < helper_children_max);
static_assert(helper_restart_first < helper_reconnect_max && helper_reconnect_max < helper_wait);
static_assert(penalty_begin < penalty_crash, "who brings foreign code down is turned away at once");
static_assert(penalty_login < penalty_begin && penalty_timeout < penalty_begin, "one mistake is nobody's end");
static_assert(stand_in_names_max <= (1U << 17) - 256, "198.18.0.0/15 without its first 256 addresses");
static_assert(run_end_quiet < run_end_total);
static_assert(parked_octets_per_direction_tight < parked_octets_per_direction_max);
static_assert(parked_octets_per_direction_max < parked_octets_process_max);
static_assert(relay_buffer_octets <= parked_octets_per_direction_max);
static_assert(2 * keepalive_delay <= keepalive_idle, "a dead peer is noticed no later for it");
static_assert(connect_stagger <= upstream_stagger_max);
static_assert(upstream_members_max <= UINT8_MAX, "an order's octets");
static_assert(upstream_down_first <= upstream_down_max);
static_assert(upstream_trial_offer < upstream_down_first);
static_assert(label_octets_max < name_octets_max);
static_assert(dns_try_min <= dns_try && dns_try <= dns_total);
static_assert(trace_payload_octets <= ping_payload_octets);
static_assert(ping_probes_max <= UINT16_MAX, "an echo's sequence");
static_assert(proxy_conversation >= handshake + dns_total + connect_total, "a slow success of our own server");
static_assert(probe_silence > trace_probes_per_hop * trace_probe_wait + trace_name_wait, "a hop that is silent");
static_assert(probe_silence > ping_wait + ping_interval);
static_assert(trace_probe_wait <= ping_interval, "a probe's time is over before the next one");
static_assert(probe_runs_max <= probe_clients_max);
static_assert(udp_fragment_wait >= 5s, "RFC 1928 section 7");
static_assert(udp_waiting_datagrams_max <= udp_sends_pending_max, "what waited leaves in one batch");
static_assert(udp_train_datagrams_max <= udp_sends_pending_max);
static_assert(udp_batch_trains_min <= udp_batch_datagrams_max);
static_assert(udp_batch_trains_min * udp_train_octets_max <= udp_batch_octets);
static_assert(udp_payload_octets_max <= udp_waiting_octets_max);
static_assert(udp_waiting_names_max < dns_in_flight_max);
static_assert(proxy_header_wait >= 3s, "the PROXY protocol's own floor");
static_assert(proxy_header_wait <= handshake);
static_assert(proxy_header_v2_octets_max >= 536, "what every receiver has to take");
static_assert(http_line_octets_max < http_fields_octets_max);
static_assert(record_url_octets_max < http_line_octets_max);
static_assert(sessions_per_listener_max <= sessions_process_max);

}  // namespace stile::limits
