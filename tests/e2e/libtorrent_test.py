"""libtorrent, a strict user of UDP ASSOCIATE: its tracker, its hash table and its peers' transport share one association,
which it watches by the TCP connection.
"""

import hashlib
import os
from contextlib import closing
from pathlib import Path

import pytest
from processes import wait_until
from server import Server
from torrent_tracker import Tracker

lt = pytest.importorskip("libtorrent", reason="libtorrent (python3-libtorrent) is not installed")

FILE_OCTETS = 4 << 20
QUIET = {
    "enable_dht": True,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_lsd": False,
    "dht_bootstrap_nodes": "",
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
}


def behind(server: Server) -> dict[str, object]:
    return {
        "proxy_type": int(lt.proxy_type_t.socks5),
        "proxy_hostname": server.proxy[0],
        "proxy_port": server.proxy[1],
        "proxy_peer_connections": True,
        "proxy_tracker_connections": True,
        "proxy_hostnames": True,
        "listen_interfaces": "127.0.0.1:0",
    }


def shared_file(folder: Path) -> tuple[object, str]:
    """A file and what describes it to peers."""
    folder.mkdir()
    content = os.urandom(FILE_OCTETS)
    (folder / "shared").write_bytes(content)
    files = lt.file_storage()
    lt.add_files(files, str(folder / "shared"))
    torrent = lt.create_torrent(files)
    lt.set_piece_hashes(torrent, str(folder))
    return lt.torrent_info(torrent.generate()), hashlib.sha256(content).hexdigest()


def knows_nodes(client: object) -> bool:
    """Whether a node of the hash table has answered."""
    client.post_session_stats()
    client.wait_for_alert(1000)
    statistics = (alert for alert in client.pop_alerts() if isinstance(alert, lt.session_stats_alert))
    return any(alert.values["dht.dht_nodes"] for alert in statistics)


def exchange(server: Server, folder: Path, transport: str) -> tuple[str, int]:
    """The seed is outside, the other peer behind the proxy: it announces, learns of the seed, and gets the file. Returns
    where the seed was; both peers are gone by then.
    """
    description, digest = shared_file(folder / "seed")
    only = {f"enable_{way}_{kind}": kind == transport for way in ("outgoing", "incoming") for kind in ("tcp", "utp")}
    seed = lt.session(QUIET | only | {"listen_interfaces": "127.0.0.2:0"})
    wait_until("the seed listens", lambda: seed.listen_port() != 0)
    place = ("127.0.0.2", seed.listen_port())
    seed.add_torrent({"ti": description, "save_path": str(folder / "seed"), "flags": lt.torrent_flags.seed_mode})
    with closing(Tracker(place)) as tracker:
        client = lt.session(QUIET | only | behind(server))
        client.add_dht_node(place)
        announce = f"udp://127.0.0.1:{tracker.port}/announce"
        got = client.add_torrent({"ti": description, "save_path": str(folder), "trackers": [announce]})
        wait_until("the file is there", lambda: got.status().is_seeding, 60)
        wait_until("the hash table answers", lambda: knows_nodes(client), 30)
        assert tracker.announced
    assert hashlib.sha256((folder / "shared").read_bytes()).hexdigest() == digest
    return place


@pytest.mark.parametrize("transport", ["tcp", "utp"])
def test_a_file_between_peers(serve, tmp_path: Path, transport: str) -> None:
    """The proxy's own word: one association with datagrams both ways, and the file in it or in a tunnel."""
    server = serve()
    address, port = exchange(server, tmp_path, transport)
    association = server.wait_for_record(event="session.end", command="udp-associate")
    starts = [record["command"] for record in server.records() if record["event"] == "session.start"]
    assert starts.count("udp-associate") == 1
    assert association["packets_up"] >= 3 and association["packets_down"] >= 3  # tracker twice, hash table
    carrier = association
    if transport == "tcp":
        carrier = server.wait_for_record(event="session.end", command="connect", target=f"{address}:{port}")
    assert carrier["bytes_down"] > FILE_OCTETS
