"""libtorrent, a strict user of UDP ASSOCIATE: its tracker, its hash table and its peers' transport share one association,
which it watches by the TCP connection.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
from processes import run
from server import Server

EXCHANGE = Path(__file__).parent / "torrent_exchange.py"
FILE_OCTETS = 4 << 20
TRIES = 3

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtorrent") is None, reason="libtorrent (python3-libtorrent) is not installed"
)


def exchange(serve, folder: Path, transport: str) -> tuple[Server, str]:
    """The server that carried a whole exchange, and where the seed was. A crash inside libtorrent says nothing of the
    proxy: only then the exchange is tried again, with a new server.
    """
    for number in range(TRIES):
        server = serve()
        here = folder / f"exchange-{number}"
        here.mkdir()
        result = run(sys.executable, EXCHANGE, here, *server.proxy, transport, timeout=110)
        if result.returncode >= 0:
            assert result.returncode == 0
            address, port = result.stdout.split()
            return server, f"{address}:{port}"
        print(f"libtorrent ended by signal {-result.returncode}")
    pytest.fail(f"libtorrent crashed {TRIES} times")


@pytest.mark.parametrize("transport", ["tcp", "utp"])
def test_a_file_between_peers(serve, tmp_path: Path, transport: str) -> None:
    """The proxy's own word: one association with datagrams both ways, and the file in it or in a tunnel."""
    server, seed = exchange(serve, tmp_path, transport)
    association = server.wait_for_record(event="session.end", command="udp-associate")
    starts = [record["command"] for record in server.records() if record["event"] == "session.start"]
    assert starts.count("udp-associate") == 1
    assert association["packets_up"] >= 3 and association["packets_down"] >= 3  # tracker twice, hash table
    carrier = association
    if transport == "tcp":
        carrier = server.wait_for_record(event="session.end", command="connect", target=seed)
    assert carrier["bytes_down"] > FILE_OCTETS
