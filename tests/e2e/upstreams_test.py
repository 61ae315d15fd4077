"""What an operator sees of upstreams and counters: `stile upstreams`, `stile counters`, and the lines of the server's own
messages, with servers that are killed and come back; what `stile check` and `stile explain` say of ways.
"""

import json
import subprocess
from contextlib import closing
from pathlib import Path

import chains
import pytest
import raw_socks
from chains import answer, configuration, upstream, url
from name_server import NameServer
from origins import echo
from processes import free_port, stile, wait_until
from server import Server

FAILED, USAGE = 1, 2
GRANTED, GENERAL = 0, 1
RESOLVE = 0xF0

# One failure is enough, a second later the next request is a trial, and who comes back has its whole share at once.
QUICK = 'failures = 1\nretry = "1s"\nslow_start = "off"'

KEYS = {"upstream", "server", "states", "sessions", "attempts", "opened", "failed", "falls"}
SOMETIMES = {"latency_least_us", "latency_most_us", "down_seconds", "last_failure"}
STATES = {"up", "slow-start", "untried", "half-open", "down"}


class Watched:
    """A server with a control socket whose rule leads through one upstream."""

    def __init__(self, serve, folder: Path, *servers: str, workers: int = 1, options: str = QUICK, more: str = "") -> None:
        self.socket = f"unix:{folder}/control.sock"
        text = configuration(
            more=f'{upstream("exit", *servers, options=options)}{more}[admin]\nsocket = "{self.socket}"\n',
            rule=f"{chains.EVERYTHING} via exit" if servers else chains.EVERYTHING,
        )
        if not servers:
            text = text.replace(upstream("exit", options=options), "")
        self.server: Server = serve(config=text.replace("workers = 1", f"workers = {workers}"))

    def ask(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return stile(command, "--config", self.server.config_file, *arguments)

    def report(self, command: str) -> dict:
        run = self.ask(command, "--json")
        assert run.returncode == 0, run.stderr
        assert run.stderr == "" and run.stdout.count("\n") == 1
        return json.loads(run.stdout)

    def upstream(self, index: int = 0) -> dict:
        return self.report("upstreams")["servers"][index]

    def told(self, words: str) -> int:
        return sum(words in line for line in self.server.errors().splitlines())


def node(serve, port: int | None = None) -> Server:
    return serve(config=configuration(), **({"port": port} if port else {}))


# ── upstreams ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_dies_is_shown_down_with_its_cause_and_up_when_it_is_back(serve, tmp_path, origin) -> None:
    far, hop = origin(echo), node(serve)
    watched = Watched(serve, tmp_path, url(hop.proxy))
    entry, place = watched.server, url(hop.proxy)
    assert watched.upstream()["states"] == {"untried": 1}
    assert answer(entry.proxy, far.host, far.port).code == GRANTED
    shown = watched.upstream()
    assert (shown["upstream"], shown["server"], shown["states"]) == ("exit", place, {"up": 1})
    assert (shown["attempts"], shown["opened"], shown["failed"]) == (1, 1, 0)
    assert 0 < shown["latency_least_us"] == shown["latency_most_us"] < 10_000_000

    hop.finish()
    assert answer(entry.proxy, far.host, far.port).code == GENERAL
    shown = watched.upstream()
    assert shown["states"].keys() <= {"down", "half-open"} and shown["falls"] == 1
    assert shown["last_failure"]["reason"] == "dial.refused" and shown["last_failure"]["why"] == "nobody listens there"
    assert shown["last_failure"]["seconds_ago"] < 60 and shown["down_seconds"] < 60
    table = watched.ask("upstreams").stdout
    assert place in table and "nobody listens there" in table
    line = f"stile: warning: upstream exit: {place} is down: nobody listens there"
    wait_until("the fall is told", lambda: watched.told(line) == 1)

    node(serve, port=hop.proxy[1])
    wait_until("its time down is over", lambda: watched.upstream()["states"] == {"half-open": 1})
    assert answer(entry.proxy, far.host, far.port).code == GRANTED
    shown = watched.upstream()
    assert shown["states"] == {"up": 1} and "down_seconds" not in shown
    assert shown["last_failure"]["reason"] == "dial.refused", "it is told of as long as there is no newer one"
    wait_until("the return is told", lambda: watched.told(f"stile: upstream exit: {place} is back after ") == 1)
    assert watched.told(line) == 1, "a line a fall, and not a line a request"


def test_sessions_are_counted_while_they_live(serve, tmp_path, origin) -> None:
    far = origin(echo)
    watched = Watched(serve, tmp_path, url(node(serve).proxy))
    tunnels = [raw_socks.tunnel(watched.server.proxy, far.host, far.port) for _ in range(3)]
    assert watched.upstream()["sessions"] == 3
    for tunnel in tunnels:
        tunnel.close()
    wait_until("they end", lambda: watched.upstream()["sessions"] == 0)
    assert watched.upstream()["opened"] == 3


def test_each_worker_has_its_own_view_and_all_are_added_up(serve, tmp_path, origin) -> None:
    far, hop = origin(echo), node(serve)
    watched = Watched(serve, tmp_path, url(hop.proxy), workers=2)
    requests = 0

    def both_have_tried() -> bool:
        nonlocal requests
        requests += 1
        assert answer(watched.server.proxy, far.host, far.port).code == GRANTED
        return watched.upstream()["states"] == {"up": 2}

    wait_until("both workers have had a request", both_have_tried)
    report = watched.report("upstreams")
    assert (report["workers"], report["answered"]) == (2, 2)
    assert report["servers"][0]["opened"] == requests
    hop.finish()
    assert answer(watched.server.proxy, far.host, far.port).code == GENERAL
    states = watched.upstream()["states"]
    assert states.pop("up") == 1 and sum(states.values()) == 1 and states.keys() <= {"down", "half-open"}
    assert " in 1 of 2 for " in (table := watched.ask("upstreams").stdout) and ", up in 1" in table

    def both_know() -> bool:
        answer(watched.server.proxy, far.host, far.port)
        return "up" not in watched.upstream()["states"]

    wait_until("the other has noticed", both_know)
    assert watched.told(" is down: ") == 1, "one line, however many workers notice"


def test_the_json_is_what_the_page_says(serve, tmp_path, origin) -> None:
    far, dead = origin(echo), ("127.0.0.1", free_port())
    watched = Watched(serve, tmp_path, url(dead), url(node(serve).proxy))
    assert answer(watched.server.proxy, far.host, far.port).code == GRANTED, "the second takes the first one's place"
    report = watched.report("upstreams")
    assert report.keys() == {"done", "workers", "answered", "servers"} and report["done"] is True
    first, second = report["servers"]
    for one in (first, second):
        assert KEYS <= one.keys() <= KEYS | SOMETIMES
        assert one["states"].keys() <= STATES and sum(one["states"].values()) == report["workers"]
    assert first["last_failure"].keys() == {"reason", "why", "seconds_ago"} and first["server"] == url(dead)
    assert "last_failure" not in second and "latency_least_us" not in first


def test_a_reload_keeps_what_is_known_and_drops_what_is_gone(serve, tmp_path, origin) -> None:
    far = origin(echo)
    watched = Watched(serve, tmp_path, url(node(serve).proxy))
    assert answer(watched.server.proxy, far.host, far.port).code == GRANTED
    file = watched.server.config_file
    file.write_text(file.read_text().replace('name = "exit"', 'name = "exit"\npick = "round-robin"'))
    assert stile("reload", "--config", file).returncode == 0
    assert watched.upstream()["states"] == {"untried": 1}, "another upstream by the same name"
    assert answer(watched.server.proxy, far.host, far.port).code == GRANTED
    assert stile("reload", "--config", file).returncode == 0
    assert watched.upstream()["opened"] == 1, "the same one"


def test_a_server_without_upstreams_says_so(serve, tmp_path) -> None:
    watched = Watched(serve, tmp_path)
    assert watched.report("upstreams")["servers"] == []
    assert watched.ask("upstreams").stdout == "the server has no upstreams\n"


# ── counters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counters_rise_and_say_what_they_count(serve, tmp_path, origin) -> None:
    far = origin(echo)
    watched = Watched(serve, tmp_path, workers=2)
    before = watched.report("counters")
    assert before.keys() == {"done", "workers", "answered", "counters", "ended", "udp_drops", "resolvers"}
    tunnel = raw_socks.tunnel(watched.server.proxy, far.host, far.port)
    tunnel.sendall(b"to and fro")
    assert raw_socks.receive(tunnel, 10) == b"to and fro"
    assert watched.report("counters")["counters"]["sessions_open"] == 1
    tunnel.close()
    assert answer(watched.server.proxy, "127.0.0.1", free_port()).code != GRANTED
    watched.server.wait_for_record(event="session.end")
    after = watched.report("counters")
    rise = {name: count - before["counters"][name] for name, count in after["counters"].items()}
    assert (rise["accepted"], rise["sessions"], rise["sessions_open"]) == (2, 1, 0)
    assert (rise["bytes_up"], rise["bytes_down"]) == (10, 10)
    assert after["ended"]["dial.refused"] == 1
    table = watched.ask("counters").stdout
    assert "connections accepted\n" in table and "octets from clients to targets\n" in table


def test_figures_of_the_cache_and_of_each_resolver(serve, tmp_path) -> None:
    ports = [free_port() for _ in range(2)]
    with closing(NameServer("127.0.0.1", {"a.inside.example": ["192.0.2.7"]}, ports[0])), closing(NameServer("127.0.0.1", {}, ports[1])):
        resolvers = "".join(
            f'[[resolver]]\nservers = ["127.0.0.1:{port}"]\n{suffixes}'
            for port, suffixes in zip(ports, ['suffixes = ["inside.example"]\n', ""])
        )
        watched = Watched(serve, tmp_path, more=resolvers)
        for _ in range(3):
            assert answer(watched.server.proxy, "a.inside.example", 0, RESOLVE).code == GRANTED
        assert answer(watched.server.proxy, "b.example", 0, RESOLVE).code != GRANTED
        report = watched.report("counters")
    counters = report["counters"]
    assert counters["dns_cache_hits"] >= 2 and counters["dns_cache_misses"] >= 2 and counters["dns_cache_entries"] >= 1
    inside, others = report["resolvers"]
    assert inside["suffixes"] == ["inside.example"] and inside["servers"] == [f"127.0.0.1:{ports[0]}"]
    assert 1 <= inside["questions"] <= 2 and inside["failures"] == inside["silences"] == 0
    assert others["suffixes"] == [] and others["questions"] >= 1
    assert counters["dns_questions"] == inside["questions"] + others["questions"]


# ── who cannot be asked ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["upstreams", "counters"])
def test_where_no_server_runs_it_says_what_to_do(tmp_path: Path, command: str) -> None:
    run = stile(command, "--socket", f"unix:{tmp_path}/nobody.sock")
    assert run.returncode == FAILED and run.stdout == ""
    assert f"cannot ask the server at unix:{tmp_path}/nobody.sock: " in run.stderr and "(is it running, " in run.stderr
    run = stile(command)
    assert run.returncode == USAGE and "it is not known where" in run.stderr
    file = tmp_path / "stile.toml"
    file.write_text('[[listen]]\naddress = "127.0.0.1:1080"\n')
    run = stile(command, "--config", file)
    assert run.returncode == FAILED and "has no [admin] socket (add one" in run.stderr
    assert f"stile {command} --config" in stile(command, "--help").stdout


# ── what check and explain say ──────────────────────────────────────────────────────────────────────────────────────


def written(folder: Path, rules: str, upstreams: str) -> Path:
    file = folder / "stile.toml"
    file.write_text(f"[policy]\nrules = '''\n{rules}\n'''\n{upstreams}")
    return file


def test_check_warns_of_ways_that_lead_nowhere(tmp_path: Path) -> None:
    upstreams = upstream("cache", "http://192.0.2.1:3128") + upstream("spare", "socks5h://192.0.2.2")
    file = written(tmp_path, "web: allow alice to tcp bind public:443 via cache", upstreams)
    run = stile("check", "--config", file)
    assert run.returncode == 0
    said = run.stdout + run.stderr
    assert f"{file}:3:1: " in said and "'web': bind does not go through upstream 'cache'" in said
    assert "no rule leads through upstream 'spare'" in said
    assert "tcp does not" not in said


def explained(file: Path, *arguments: object) -> tuple[str, dict]:
    words = ["explain", "--config", file, "--user", "alice", *arguments]
    text, data = stile(*words), stile(*words, "--json")
    assert text.returncode == data.returncode == 0
    return text.stdout, json.loads(data.stdout)


def test_explain_names_the_way_and_says_what_becomes_of_the_name(tmp_path: Path) -> None:
    upstreams = upstream("near", "socks5h://192.0.2.1", "socks5h://192.0.2.2:1081", options='pick = "round-robin"')
    upstreams += upstream("far", "http://192.0.2.3:3128") + upstream("old", "socks5://192.0.2.4")
    rules = "chain: allow alice to any:443 via near > far\nold: allow alice to any:80 via old\nstraight: allow alice to any:22"
    file = written(tmp_path, rules, upstreams)

    text, data = explained(file, "--target", "www.example.com:443")
    assert "  through near: socks5h://192.0.2.1:1080, socks5h://192.0.2.2:1081 (round-robin)\n" in text
    assert text.index("through near") < text.index("  through far: http://192.0.2.3:3128\n")
    assert "  name    goes on as it is, and is not looked up here\n" in text
    assert data["name_goes_on"] is True and [hop["upstream"] for hop in data["via"]] == ["near", "far"]
    assert data["via"][0]["pick"] == "round-robin" and data["via"][0]["servers"][1] == "socks5h://192.0.2.2:1081"

    text, data = explained(file, "--target", "www.example.com:80", "--resolving-to", "8.8.8.8")
    assert "  through old: socks5://192.0.2.4:1080\n" in text and "is looked up here, and its address goes on" in text
    assert data["name_goes_on"] is False

    text, data = explained(file, "--target", "8.8.8.8:443")
    assert "  through near: " in text and "  name  " not in text

    text, data = explained(file, "--target", "8.8.8.8:22")
    assert "  through " not in text and "via" not in data
