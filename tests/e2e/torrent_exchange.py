"""One file between two libtorrent peers: the seed is outside, the other behind a SOCKS5 proxy. Run as a program of its
own, so that what happens inside libtorrent's threads happens to nobody else:

    torrent_exchange.py FOLDER PROXY-HOST PROXY-PORT tcp|utp

Prints where the seed was, as "HOST PORT", once the file has arrived whole and the hash table has answered.
"""

import hashlib
import os
import sys
from contextlib import closing
from pathlib import Path

import libtorrent as lt
from processes import wait_until
from torrent_tracker import Tracker

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


def behind(proxy: tuple[str, int]) -> dict[str, object]:
    return {
        "proxy_type": int(lt.proxy_type_t.socks5),
        "proxy_hostname": proxy[0],
        "proxy_port": proxy[1],
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


def exchange(proxy: tuple[str, int], folder: Path, transport: str) -> tuple[str, int]:
    """The peer behind the proxy announces, learns of the seed, and gets the file."""
    description, digest = shared_file(folder / "seed")
    only = {f"enable_{way}_{kind}": kind == transport for way in ("outgoing", "incoming") for kind in ("tcp", "utp")}
    seed = lt.session(QUIET | only | {"listen_interfaces": "127.0.0.2:0"})
    wait_until("the seed listens", lambda: seed.listen_port() != 0)
    place = ("127.0.0.2", seed.listen_port())
    seed.add_torrent({"ti": description, "save_path": str(folder / "seed"), "flags": lt.torrent_flags.seed_mode})
    with closing(Tracker(place)) as tracker:
        client = lt.session(QUIET | only | behind(proxy))
        client.add_dht_node(place)
        announce = f"udp://127.0.0.1:{tracker.port}/announce"
        got = client.add_torrent({"ti": description, "save_path": str(folder), "trackers": [announce]})
        wait_until("the file is there", lambda: got.status().is_seeding, 60)
        wait_until("the hash table answers", lambda: knows_nodes(client), 30)
        assert tracker.announced
        assert hashlib.sha256((folder / "shared").read_bytes()).hexdigest() == digest
        print(*place, flush=True)
        # Both peers go with the process. Ending sessions in order is where libtorrent 2.0.8 may crash.
        os._exit(0)


if __name__ == "__main__":
    exchange((sys.argv[2], int(sys.argv[3])), Path(sys.argv[1]), sys.argv[4])
