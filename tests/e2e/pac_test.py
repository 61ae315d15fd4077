"""/proxy.pac: who may fetch it, what its script says in a JavaScript engine, and that Chromium goes by it."""

import ipaddress
import json
import random
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browser import assert_whole, load
from certificates import Authority
from http_origins import Reader, Response, ask, receive_response
from logins import add_user
from networks import Namespace
from processes import run, wait_until
from server import Server
from web import WebServer

GET = "GET /proxy.pac HTTP/1.1\r\nHost: {host}\r\n\r\n"
CONFIG = """
[[listen]]
address = "{address}"
{keys}
[pac]
direct = ["corp.example", "203.0.113.0/24", "2001:db8:7::/48", "198.51.100.9"]
[policy]
rules = '''
inside-secret: allow anyone from {source} to 10.20.0.0/16, vault.example
'''
"""
# Names that no rule says anything of, and addresses: every edge of what the configuration and its policy make direct.
DIRECT = [
    "printer", "localhost", "a.localhost", "corp.example", "CORP.example", "corp.example.", "a.b.corp.example",
    "127.0.0.1", "127.255.255.255", "169.254.7.7", "::1", "[::1]", "fe80::1", "febf:ffff::1", "::ffff:7f00:1",
    "192.168.0.0", "192.168.255.255", "172.16.0.0", "172.31.255.255", "100.64.0.1", "100.127.255.255", "fc00::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "203.0.113.0", "203.0.113.255", "198.51.100.9", "2001:db8:7::",
    "2001:db8:7:ffff:ffff:ffff:ffff:ffff",
]  # fmt: skip
BY_PROXY = [
    "www.example", "corp.example.org", "notcorp.example", "xcorp.example", "localhost.example", "vault.example",
    "126.255.255.255", "128.0.0.0", "10.20.0.1", "10.0.0.1", "192.167.255.255", "192.169.0.0", "172.15.255.255", "172.32.0.0",
    "100.63.255.255", "100.128.0.0", "203.0.112.255", "203.0.114.0", "198.51.100.8", "198.51.100.10", "8.8.8.8", "::2", "::",
    "2001:db8:8::", "2001:db8:6:ffff::", "ff02::1", "64:ff9b::7f00:1", "1.2.3", "1.2.3.4.example",
]  # fmt: skip
ENGINE = """
const vm = require("vm"), input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const context = vm.createContext(Object.create(null));  // the language alone: no dnsResolve, no isInNet
vm.runInContext(input.script, context);
const ask = (host) => vm.runInContext("FindProxyForURL(" + JSON.stringify("http://" + host + "/") + "," + JSON.stringify(host) + ")", context);
console.log(JSON.stringify(input.hosts.map(ask)));
"""


def configured(keys: str = 'pac = ["http", "socks5"]', address: str = "127.0.0.1:PORT", source: str = "loopback") -> str:
    return CONFIG.format(keys=keys, address=address, source=source)


def fetch(proxy: tuple[str, int], request: str = GET, host: str = "proxy.example") -> Response:
    with closing(ask(proxy, request.format(host=host))) as client:
        return receive_response(Reader(client), request.startswith("HEAD"))


def script(proxy: tuple[str, int], host: str = "proxy.example") -> str:
    response = fetch(proxy, host=host)
    assert response.status == 200 and "Content-Type: application/x-ns-proxy-autoconfig" in response.head
    return response.body.decode("ascii")


def evaluate(text: str, hosts: list[str]) -> list[str]:
    result = run("node", "-e", ENGINE, input=json.dumps({"script": text, "hosts": hosts}))
    assert result.returncode == 0
    return json.loads(result.stdout)


# --- Who may fetch it -------------------------------------------------------------------------------------------------


def test_it_needs_no_login_opens_nothing_and_leaves_no_record(serve, tmp_path: Path) -> None:
    add_user(tmp_path / "users", "alice", "secret")
    server = serve(config=configured('pac = "http"') + f'[users]\nfile = "{tmp_path / "users"}"\n')
    assert "PROXY 127.0.0.1:" in script(server.proxy)
    head = fetch(server.proxy, GET.replace("GET", "HEAD"))
    assert head.status == 200 and head.body == b"" and "Content-Length: 1" in head.head
    assert server.records() == []
    # What stands behind it on the same connection is asked who it is, as ever.
    with closing(ask(server.proxy, GET.format(host="a") + "GET http://10.20.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n")) as client:
        reader = Reader(client)
        assert [receive_response(reader).status for _ in range(2)] == [200, 407]
    server.wait_for_record(command="forward", reason="method.none")
    assert len(server.records()) == 1


def test_all_else_in_origin_form_is_refused_and_so_is_the_file_where_it_is_off(serve) -> None:
    server, without = serve(config=configured()), serve()
    for line in ("GET /", "GET /wpad.dat", "GET /proxy.pac?", "POST /proxy.pac", "GET /PROXY.PAC"):
        assert fetch(server.proxy, f"{line} HTTP/1.1\r\nHost: a\r\n\r\n").status == 400, line
        server.wait_for_record(event="error", reason="http.target")
    assert fetch(without.proxy).status == 400
    assert fetch(server.proxy).status == 200, "nobody is turned away for the rest"


def test_it_names_where_the_client_came_to_and_nothing_that_it_said(serve) -> None:
    server = serve(config=configured(address="0.0.0.0:PORT", source="loopback"))
    port = server.proxy[1]
    for own in ("127.0.0.1", "127.0.0.2"):
        text = script((own, port), host="evil.example")
        assert f'"PROXY {own}:{port}; SOCKS5 {own}:{port}"' in text
        assert "evil" not in text
    for inside in ("secret", "vault", "10.20", "allow"):
        assert inside not in text


def test_a_reload_changes_it(serve) -> None:
    server = serve(config=configured())
    assert "corp.example" in script(server.proxy)
    server.config_file.write_text(server.config_file.read_text().replace("corp.example", "other.example"))
    server.process.send_signal(signal.SIGHUP)
    wait_until("the other name is in force", lambda: "other.example" in script(server.proxy))
    assert "corp.example" not in script(server.proxy)


@pytest.mark.parametrize("request_line", ["GET /proxy.pac", "GET http://10.20.0.1/"])
def test_who_asks_and_asks_and_reads_nothing_is_let_go(serve, tmp_path: Path, request_line: str) -> None:
    """The file, and 407: answers of the proxy's own, which cost the client nothing to ask for."""
    add_user(tmp_path / "users", "alice", "secret")
    server = serve(config=configured('pac = "http"') + f'[users]\nfile = "{tmp_path / "users"}"\n')
    with closing(socket.create_connection(server.proxy)) as client:
        client.settimeout(0.5)
        request = f"{request_line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        with pytest.raises(OSError):  # neither side takes any more
            for _ in range(10_000):
                client.sendall(request * 1000)
        wait_until("the server has ended it", lambda: server.sockets() <= server.sockets_at_rest)


# --- What it says -----------------------------------------------------------------------------------------------------


def test_a_javascript_engine_goes_by_it(serve) -> None:
    server = serve(config=configured())
    ways = "PROXY 127.0.0.1:{0}; SOCKS5 127.0.0.1:{0}".format(server.proxy[1])
    answers = dict(zip(DIRECT + BY_PROXY, evaluate(script(server.proxy), DIRECT + BY_PROXY), strict=True))
    assert answers == {host: "DIRECT" for host in DIRECT} | {host: ways for host in BY_PROXY}


def test_every_address_is_where_pythons_library_says(serve) -> None:
    """Random ones, and the neighbours of each network's ends, against another reader of addresses and prefixes."""
    text = script(serve(config=configured()).proxy)
    listed = json.loads(text.split("var networks = ")[1].split(";")[0])
    networks = [ipaddress.ip_network(f"{base}/{bits}") for base, bits in listed]
    assert len(networks) > 10
    dice = random.Random(7)
    numbers = [(network.version, int(end) + step) for network in networks for end in (network[0], network[-1]) for step in (-1, 0, 1)]
    for network in networks:
        width = network.max_prefixlen
        numbers += [(network.version, int(network[0]) ^ (1 << dice.randrange(width)) | dice.getrandbits(width - network.prefixlen)) for _ in range(100)]
    makers = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
    addresses = [makers[version](number) for version, number in numbers if 0 <= number < 2 ** (32 if version == 4 else 128)]
    expected = [any(address in network for network in networks if network.version == address.version) for address in addresses]
    assert 300 < sum(expected) < len(expected) - 300
    assert [answer == "DIRECT" for answer in evaluate(text, [str(address) for address in addresses])] == expected


# --- Chromium ---------------------------------------------------------------------------------------------------------

PROXY, FAR, NEAR = "10.20.0.1", "10.20.0.2", "203.0.113.3"  # the last is direct by [pac]


@pytest.fixture
def host(lone_host: Namespace) -> Namespace:
    for address in (PROXY, FAR, NEAR):
        lone_host.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    return lone_host


@pytest.fixture
def sites(host: Namespace, serve: Callable) -> Iterator[dict[str, WebServer]]:
    with host.inside():
        made = {address: WebServer(address) for address in (FAR, NEAR)}
    yield made
    for site in made.values():
        site.close()


def chromium_at(serve: Callable, host: Namespace, keys: str) -> Server:
    rules = configured(keys, f"{PROXY}:1080", PROXY).replace("to 10.20.0.0/16", f"to {FAR}")
    return serve(config=rules, host=PROXY, port=1080, namespace=host)


@pytest.mark.parametrize(("ways", "protocol"), [('["http", "socks5"]', "http"), ('["socks5"]', "socks5")])
def test_chromium_goes_where_it_is_told(serve, host, sites, tmp_path: Path, ways: str, protocol: str) -> None:
    server = chromium_at(serve, host, f"pac = {ways}")
    told = f"--proxy-pac-url=http://{PROXY}:1080/proxy.pac"
    for address, site in sites.items():
        assert_whole(load(f"{site.url}/", tmp_path, told, namespace=host), site, address)
    far = f"{FAR}:{sites[FAR].port}"
    server.wait_for_record(event="session.end", protocol=protocol, target=far)
    asked = {record.get("target") for record in server.records()}
    assert far in asked and not any(NEAR in str(target) for target in asked), "the policy would have refused it"


def test_chromium_goes_by_a_proxy_inside_tls(serve, host, sites, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "ca").issue("proxy", f"IP:{PROXY}")
    server = chromium_at(serve, host, f'pac = "http"\ntls = {{ certificate = "{certificate}", key = "{key}" }}')
    told = (f"--proxy-pac-url=https://{PROXY}:1080/proxy.pac", "--ignore-certificate-errors")
    assert_whole(load(f"{sites[FAR].url}/", tmp_path, *told, namespace=host), sites[FAR], FAR)
    server.wait_for_record(event="session.end", protocol="http", target=f"{FAR}:{sites[FAR].port}")


def test_no_page_reads_it_as_its_own_script(serve, tmp_path: Path) -> None:
    server = serve(config=configured())
    with closing(WebServer()) as site:
        page = tmp_path / "page.html"
        page.write_text(
            f'<p id="a"></p><script src="{site.url}/second.js"></script>'
            f'<script src="http://127.0.0.1:{server.proxy[1]}/proxy.pac"></script>'
            '<script>document.getElementById("a").textContent = "it is " + typeof FindProxyForURL</script>'
        )
        shown = load(page.as_uri(), tmp_path)
    assert "second file loaded" in shown, "scripts of others do load"
    assert "it is undefined" in shown
