"""SOCKS client libraries of other people, with each command and version that they have."""

import json
import socket
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import raw_socks
from datagrams import DatagramEcho
from origins import echo
from processes import free_port, run, wait_until
from server import Server

NODE_MODULES = "/usr/share/nodejs"


@pytest.fixture
def far_datagrams() -> Iterator[DatagramEcho]:
    with closing(DatagramEcho()) as server:
        yield server


def echoes(client: socket.socket) -> None:
    client.settimeout(20)
    client.sendall(b"through the library")
    assert raw_socks.receive(client, 19) == b"through the library"


# --- PySocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remote_names", [True, False])
@pytest.mark.parametrize("version", [4, 5])
def test_pysocks(serve, origin, version: int, remote_names: bool) -> None:
    socks = pytest.importorskip("socks", reason="PySocks (python3-socks) is not installed")
    server, far = serve(), origin(echo)
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5 if version == 5 else socks.SOCKS4, *server.proxy, rdns=remote_names)
        client.settimeout(20)
        client.connect(("localhost" if remote_names else "127.0.0.1", far.port))
        echoes(client)
        assert far.peers[-1] == client.get_proxy_sockname()


def test_pysocks_names_the_failure(serve) -> None:
    socks = pytest.importorskip("socks", reason="PySocks (python3-socks) is not installed")
    with socks.socksocket() as client:
        client.set_proxy(socks.SOCKS5, *serve().proxy)
        with pytest.raises(socks.ProxyError, match="0x05: Connection refused"):
            client.connect(("127.0.0.1", free_port()))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_pysocks_datagrams(serve, far_datagrams: DatagramEcho, host: str) -> None:
    """Its association, its header on each datagram, and its reading of the answers' headers."""
    socks = pytest.importorskip("socks", reason="PySocks (python3-socks) is not installed")
    server = serve()
    with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.set_proxy(socks.SOCKS5, *server.proxy)
        client.settimeout(20)
        client.bind(("127.0.0.1", 0))
        for payload in (b"one", b"", b"x" * 1400):
            client.sendto(payload, (host, far_datagrams.port))
            assert client.recvfrom(65536) == (payload, ("127.0.0.1", far_datagrams.port))
    end = server.wait_for_record(event="session.end", command="udp-associate")
    assert (end["packets_up"], end["packets_down"]) == (3, 3)


# --- python-socks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "host", "remote_names"),
    [
        ("socks5", "127.0.0.1", True),
        ("socks5", "localhost", True),
        ("socks5", "localhost", False),
        ("socks5", "::1", True),
        ("socks4", "127.0.0.1", True),
        ("socks4", "localhost", True),
    ],
)
def test_python_socks(serve, origin, scheme: str, host: str, remote_names: bool) -> None:
    library = pytest.importorskip("python_socks.sync", reason="python3-python-socks is not installed")
    server, far = serve(), origin(echo, "::1" if ":" in host else "127.0.0.1")
    proxy = library.Proxy.from_url("{}://{}:{}".format(scheme, *server.proxy), rdns=remote_names)
    with proxy.connect(host, far.port, timeout=20) as client:
        echoes(client)
    asked = f"[{host}]" if ":" in host else host if remote_names else "127.0.0.1"
    assert server.wait_for_record(event="session.end")["target"] == f"{asked}:{far.port}"


def test_python_socks_through_two_proxies(serve, origin) -> None:
    """A chain: the second server is the first one's target."""
    library = pytest.importorskip("python_socks.sync", reason="python3-python-socks is not installed")
    first, second, far = serve(), serve(), origin(echo)
    chain = library.ProxyChain([library.Proxy.from_url("socks5://{}:{}".format(*server.proxy)) for server in (first, second)])
    with chain.connect("127.0.0.1", far.port) as client:
        echoes(client)
    first.wait_for_record(event="session.end", target="{}:{}".format(*second.proxy))
    second.wait_for_record(event="session.end", target=f"127.0.0.1:{far.port}")


def test_python_socks_names_the_failure(serve) -> None:
    library = pytest.importorskip("python_socks.sync", reason="python3-python-socks is not installed")
    server = serve()
    for scheme, code in (("socks5", 5), ("socks4", 91)):
        proxy = library.Proxy.from_url("{}://{}:{}".format(scheme, *server.proxy))
        with pytest.raises(Exception) as failure:
            proxy.connect("127.0.0.1", free_port(), timeout=20)
        assert failure.value.error_code == code


# --- socksio ------------------------------------------------------------------------------------------------------


def socksio_replies(server: Server, host: str, port: int) -> tuple[object, object]:
    """The library builds the messages and reads the replies; what lies between them is here."""
    socks5 = pytest.importorskip("socksio.socks5", reason="python3-socksio is not installed")
    conversation = socks5.SOCKS5Connection()
    with raw_socks.dial(server.proxy) as client:
        conversation.send(socks5.SOCKS5AuthMethodsRequest([socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]))
        client.sendall(conversation.data_to_send())
        choice = conversation.receive_data(raw_socks.receive(client, 2))
        conversation.send(socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port)))
        client.sendall(conversation.data_to_send())
        return choice.method.name, conversation.receive_data(raw_socks.receive_reply(client).octets)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_socksio_reads_socks5(serve, origin, host: str) -> None:
    far = origin(echo, "::1" if ":" in host else "127.0.0.1")
    method, reply = socksio_replies(serve(), host, far.port)
    assert method == "NO_AUTH_REQUIRED" and reply.reply_code.name == "SUCCEEDED"
    wait_until("the target sees the address in BND", lambda: far.peers == [(reply.addr, reply.port)])


def test_socksio_reads_a_failure(serve) -> None:
    _, reply = socksio_replies(serve(), "127.0.0.1", free_port())
    assert (reply.reply_code.name, reply.addr, reply.port) == ("CONNECTION_REFUSED", "0.0.0.0", 0)


def test_socksio_reads_socks4(serve, origin) -> None:
    socks4 = pytest.importorskip("socksio.socks4", reason="python3-socksio is not installed")
    server, far = serve(), origin(echo)
    for kind, host, port, granted in (
        (socks4.SOCKS4Request, "127.0.0.1", far.port, "REQUEST_GRANTED"),
        (socks4.SOCKS4ARequest, "localhost", far.port, "REQUEST_GRANTED"),
        (socks4.SOCKS4Request, "127.0.0.1", free_port(), "REQUEST_REJECTED_OR_FAILED"),
    ):
        conversation = socks4.SOCKS4Connection(b"bob")
        with raw_socks.dial(server.proxy) as client:
            conversation.send(kind.from_address(socks4.SOCKS4Command.CONNECT, (host, port)))
            client.sendall(conversation.data_to_send())
            reply = conversation.receive_data(raw_socks.receive(client, 8))
            assert reply.reply_code.name == granted
            if granted == "REQUEST_GRANTED":
                wait_until("the target sees the address in the reply", lambda: (reply.addr, reply.port) in far.peers)


# --- Node ---------------------------------------------------------------------------------------------------------

NODE_CLIENT = """
    const { SocksClient } = require("socks");
    const dgram = require("dgram"), net = require("net");
    const [command, type, proxyHost, proxyPort, host, port] = process.argv.slice(2);
    const client = new SocksClient({
      proxy: { host: proxyHost, port: Number(proxyPort), type: Number(type) },
      command, destination: { host, port: Number(port) },
    });
    client.on("error", (error) => { console.log(error.message); process.exit(1); });
    client.on("bound", ({ remoteHost }) => {
      const peer = net.connect({ ...remoteHost, localAddress: "127.0.0.2" });
      peer.on("connect", () => { console.log("peer", peer.localPort); peer.end("from the peer"); });
    });
    client.on("established", ({ socket, remoteHost }) => {
      console.log("bound", JSON.stringify(remoteHost));
      if (command === "associate") return datagrams(socket, remoteHost);
      socket.on("data", (data) => { console.log(String(data)); socket.end(); });
      if (command === "connect") socket.write("through node");
      socket.resume();
    });
    function datagrams(control, relay) {
      const socket = dgram.createSocket("udp4");
      socket.on("message", (message) => {
        const { remoteHost, data, frameNumber } = SocksClient.parseUDPFrame(message);
        console.log(String(data), frameNumber, JSON.stringify(remoteHost));
        socket.close();
        control.end();
      });
      const frame = { remoteHost: { host, port: Number(port) }, data: Buffer.from("a datagram from node") };
      socket.send(SocksClient.createUDPFrame(frame), relay.port, relay.host);
    }
    client.connect();
"""


def node(folder: Path, server: Server, command: str, version: int, host: str, port: int) -> str:
    script = folder / "client.js"
    script.write_text(textwrap.dedent(NODE_CLIENT))
    words = (command, version, *server.proxy, host, port)
    result = run("/usr/bin/node", script, *words, environment={"NODE_PATH": NODE_MODULES})
    assert result.returncode == 0
    server.wait_for_record(event="session.end", protocol=f"socks{version}")
    return result.stdout


@pytest.mark.parametrize(("version", "host"), [(4, "127.0.0.1"), (4, "localhost"), (5, "127.0.0.1"), (5, "::1"), (5, "localhost")])
def test_node_connect(serve, origin, tmp_path: Path, version: int, host: str) -> None:
    """SOCKS4, 4a (a name), 5."""
    far = origin(echo, "::1" if ":" in host else "127.0.0.1")
    output = node(tmp_path, serve(), "connect", version, host, far.port)
    assert "through node" in output
    if version == 5 and host != "::1":  # it spells IPv6 in a way of its own
        shown = json.loads(output.partition("bound ")[2].splitlines()[0])
        assert (shown["host"], shown["port"]) == far.peers[-1], "BND as the library read it"


@pytest.mark.parametrize("version", [4, 5])
def test_node_bind(serve, tmp_path: Path, version: int) -> None:
    output = node(tmp_path, serve(), "bind", version, "127.0.0.2", 0)
    said = dict(line.split(" ", 1) for line in output.splitlines())
    assert json.loads(said["bound"]) == {"host": "127.0.0.2", "port": int(said["peer"])} and said["from"] == "the peer"


def test_node_associate(serve, far_datagrams: DatagramEcho, tmp_path: Path) -> None:
    output = node(tmp_path, serve(), "associate", 5, "127.0.0.1", far_datagrams.port)
    assert f'a datagram from node 0 {{"host":"127.0.0.1","port":{far_datagrams.port}}}' in output


# --- Java ---------------------------------------------------------------------------------------------------------

JAVA_CLIENT = """
    import java.net.*;

    public class Client {
        public static void main(String[] words) throws Exception {
            try (Socket socket = new Socket(words[0], Integer.parseInt(words[1]))) {
                socket.getOutputStream().write("through Java".getBytes());
                socket.shutdownOutput();
                System.out.println(new String(socket.getInputStream().readAllBytes()));
            }
        }
    }
"""


@pytest.mark.parametrize("version", [4, 5])
def test_java(serve, origin, tmp_path: Path, version: int) -> None:
    """An unchanged program: the run-time library puts its sockets behind the proxy that the command line names."""
    server, far = serve(), origin(echo)
    program = tmp_path / "Client.java"
    program.write_text(textwrap.dedent(JAVA_CLIENT))
    proxy = ["-DsocksProxyHost=" + server.proxy[0], f"-DsocksProxyPort={server.proxy[1]}", f"-DsocksProxyVersion={version}"]
    # Java keeps loopback out of the proxy unless it is told otherwise.
    result = run("java", "-XX:TieredStopAtLevel=1", *proxy, "-DsocksNonProxyHosts=", program, "127.0.0.1", far.port)
    assert result.returncode == 0 and "through Java" in result.stdout
    assert server.wait_for_record(event="session.end", protocol=f"socks{version}")["target"] == f"127.0.0.1:{far.port}"
