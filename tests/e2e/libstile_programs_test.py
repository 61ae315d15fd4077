"""libstile as programs meet it: its headers, what it exports and needs, how it is installed, its examples, one program that was
written to the classic interface, and what valgrind and the sanitizers say."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import raw_socks
from certificates import Authority
from datagrams import DatagramEcho
from libstile_commands_test import far_echo, start_dante  # noqa: F401 (a fixture)
from libstile_test import ca, inside_tls, url  # noqa: F401 (a fixture)
from origins import echo
from processes import BINARY, ROOT, free_port, run
from stile_library import EXAMPLES, INCLUDE, LIBRARY, compiled, environment, is_sanitized

PROGRAMS = ROOT / "tests" / "e2e" / "programs"
MAP = ROOT / "src" / "client" / "libstile.map"
# Without the sanitizers' own.
NEEDED = {"libssl.so.3", "libcrypto.so.3", "libgssapi_krb5.so.2", "libcares.so.2", "libstdc++.so.6", "libgcc_s.so.1", "libc.so.6",
          "ld-linux-x86-64.so.2"}  # fmt: skip


@pytest.fixture(autouse=True)
def built() -> None:
    if not LIBRARY.exists():
        pytest.skip(f"there is no {LIBRARY}")


# --- The library itself ---------------------------------------------------------------------------------------------


def test_exports_exactly_its_interface() -> None:
    listed = set(re.findall(r"^    (\w+);$", MAP.read_text(), re.MULTILINE))
    declared = set(re.findall(r"\b(stile_\w+|R[a-z]+|SOCKSinit)\(", "".join(
        re.sub(r"/\*.*?\*/", "", (INCLUDE / "stile" / name).read_text(), flags=re.DOTALL) for name in ("stile.h", "socks.h")
    )))  # fmt: skip
    assert listed == declared
    shown = run("nm", "-D", "--defined-only", LIBRARY).stdout.splitlines()
    exported = {line.split()[-1] for line in shown}
    assert exported == {f"{name}@@STILE_0" for name in listed} | {"STILE_0"}


def test_needs_nothing_else() -> None:
    if is_sanitized():
        pytest.skip("a library with sanitizers needs more")
    shown = run("readelf", "-d", LIBRARY).stdout
    assert set(re.findall(r"NEEDED.*\[(.*)\]", shown)) <= NEEDED
    assert "[libstile.so.0]" in shown and "TEXTREL" not in shown


HEADERS = [("stile.h", "c", "c11"), ("stile.h", "c", "c17"), ("stile.h", "c++", "c++11"), ("stile.h", "c++", "c++17"),
           ("socks.h", "c", "c11"), ("socks.h", "c++", "c++17"), ("stile.hpp", "c++", "c++17"), ("stile.hpp", "c++", "c++23")]  # fmt: skip


@pytest.mark.parametrize(("header", "language", "standard"), HEADERS)
@pytest.mark.parametrize("compiler", ["g++", "clang++-19"])
def test_headers_compile_alone(header: str, language: str, standard: str, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing")
    if standard == "c++23":
        standard = "c++2b"
    flags = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-fsyntax-only")
    source = f"#include <stile/{header}>\n" * 2
    result = run(compiler, "-x", language, f"-std={standard}", *flags, f"-I{INCLUDE}", "-", input=source)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cmake --install` makes of this build."""
    prefix = tmp_path_factory.mktemp("prefix")
    result = run("cmake", "--install", BINARY.parent, "--prefix", prefix)
    assert result.returncode == 0, result.stderr
    return prefix


def found_in(prefix: Path, name: str) -> Path:
    (found,) = prefix.rglob(name)
    return found


def test_is_found_by_pkg_config(installed: Path, tmp_path: Path) -> None:
    folder = found_in(installed, "stile.pc").parent
    asked = run(
        "pkg-config", "--define-variable=prefix=" + str(installed), "--cflags", "--libs", "stile",
        environment={"PKG_CONFIG_PATH": str(folder)},
    )  # fmt: skip
    assert asked.returncode == 0
    if is_sanitized():
        return
    built = run("gcc", EXAMPLES / "fetch.c", *asked.stdout.split(), "-o", tmp_path / "fetch")
    assert built.returncode == 0, built.stderr
    library = found_in(installed, "libstile.so.0").parent
    refused = run(tmp_path / "fetch", "localhost", environment={"LD_LIBRARY_PATH": str(library)})
    assert refused.returncode == 1 and "no proxy is named" in refused.stderr


CONSUMER = """
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(stile 0.1 REQUIRED)
add_executable(fetch {examples}/fetch.c)
add_executable(receive {examples}/receive.cpp)
target_link_libraries(fetch PRIVATE stile::stile)
target_link_libraries(receive PRIVATE stile::stile)
"""


def test_is_found_by_cmake(installed: Path, tmp_path: Path) -> None:
    if is_sanitized():
        pytest.skip("a program without sanitizers cannot be linked to a library with them")
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER.format(examples=EXAMPLES))
    made = run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}", "-DCMAKE_BUILD_TYPE=Debug")
    assert made.returncode == 0, made.stderr
    assert run("cmake", "--build", tmp_path / "build", timeout=240).returncode == 0
    assert "no proxy is named" in run(tmp_path / "build" / "fetch", "localhost").stderr


# --- The examples ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["stile", "dante", "microsocks"])
def proxy(request: pytest.FixtureRequest, serve, daemon, tmp_path: Path) -> str:
    if request.param == "stile":
        return url(serve())
    if request.param == "dante":
        return start_dante(daemon, tmp_path)
    port = free_port()
    daemon("microsocks", "-i", "127.0.0.1", "-p", port).wait_for_port("127.0.0.1", port)
    return f"socks5h://127.0.0.1:{port}"


def test_fetch(proxy: str, origin, tmp_path: Path) -> None:
    def page(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + head.splitlines()[1])

    far, program = origin(page), compiled(EXAMPLES / "fetch.c", tmp_path)
    result = run(program, "localhost", far.port, environment=environment(ALL_PROXY=proxy))
    assert (result.returncode, result.stdout) == (0, "HTTP/1.0 200 OK\r\n\r\nHost: localhost".replace("\r\n", "\n"))
    result = run(program, "localhost", free_port(), environment=environment(ALL_PROXY=proxy))
    assert result.returncode == 1 and "STILE_ERROR_REFUSED" in result.stderr


def test_many(proxy: str, origin, tmp_path: Path) -> None:
    far, closed, program = origin(echo), free_port(), compiled(EXAMPLES / "many.c", tmp_path)
    result = run(program, proxy, "127.0.0.1", *[far.port] * 30, closed)
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and lines.count(f"{far.port}: open") == 30
    assert [line for line in lines if line.startswith(f"{closed}: {proxy}: ")] and len(lines) == 31


def test_ask(proxy: str, far_echo: DatagramEcho, tmp_path: Path, request: pytest.FixtureRequest) -> None:  # noqa: F811
    program = compiled(EXAMPLES / "ask.c", tmp_path)
    result = run(program, proxy, "127.0.0.1", far_echo.port, input="one\ntwo\n")
    if "microsocks" in request.node.name:
        assert result.returncode == 1 and "ask: socks5h://" in result.stderr
    else:
        assert (result.returncode, result.stdout) == (0, "one\ntwo\n")


def test_receive(proxy: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program = compiled(EXAMPLES / "receive.cpp", tmp_path)
    with subprocess.Popen([program, proxy, "127.0.0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        if "microsocks" in request.node.name:
            assert process.wait(30) == 1 and "receive: socks5h://" in process.stderr.read()
            return
        host, port = process.stdout.readline().split()
        with socket.create_connection((host, int(port)), 20) as far:
            far.sendall(b"from the peer")
        assert process.stdout.read() == "from the peer" and process.wait(30) == 0


# --- The classic interface ------------------------------------------------------------------------------------------


def ftp_like(connection: socket.socket) -> None:
    """Connects to where it is told, and says so."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += connection.recv(100)
    _, host, port = line.split()
    with socket.create_connection((host.decode(), int(port)), 20) as data:
        data.sendall(b"data\n")
    connection.sendall(b"226 done")


@pytest.mark.parametrize("kind", ["stile", "stile+tls", "dante"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_classic_program_unmodified(
    serve, daemon, origin, ca: Authority, far_echo: DatagramEcho, tmp_path: Path, kind: str, host: str,  # noqa: F811
) -> None:  # fmt: skip
    program = compiled(PROGRAMS / "classic.c", tmp_path, "-DSOCKS", f"-I{INCLUDE}/stile", "-D_DEFAULT_SOURCE", standard="gnu11")
    far = origin(ftp_like)
    server = serve() if kind == "stile" else inside_tls(serve, ca) if kind == "stile+tls" else None
    place = start_dante(daemon, tmp_path) if server is None else url(server, "socks5h+tls" if kind == "stile+tls" else "socks5h")
    trust = {"SSL_CERT_FILE": str(ca.certificate)} if kind == "stile+tls" else {}
    result = run(program, host, far.port, far_echo.port, environment=environment(SOCKS_PROXY=place, **trust))
    expected = f"from 127.0.0.1\ndata\n226 done\nby udp from 127.0.0.1 {far_echo.port}\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, expected, "")
    if server:
        server.wait_for_record(event="session.end", target=f"{host}:{far.port}")


def test_a_classic_program_without_a_proxy(tmp_path: Path) -> None:
    program = compiled(PROGRAMS / "classic.c", tmp_path, "-DSOCKS", f"-I{INCLUDE}/stile", "-D_DEFAULT_SOURCE", standard="gnu11")
    result = run(program, "localhost", "1", "2")
    assert result.returncode == 1 and result.stderr == "SOCKSinit: Network is unreachable\n"


# --- Memory ---------------------------------------------------------------------------------------------------------


def exercise(serve, origin, ca: Authority, far: DatagramEcho, folder: Path, protected: bool, *under: str) -> None:  # noqa: F811
    server = inside_tls(serve, ca) if protected else serve()
    program = compiled(PROGRAMS / "exercise.c", folder, "-D_DEFAULT_SOURCE")
    place = url(server, "socks5h+tls" if protected else "socks5h")
    result = run(*under, program, place, ca.certificate if protected else "-", origin(echo).port, far.port, free_port(), timeout=180)
    assert (result.returncode, result.stdout, result.stderr) == (0, "all of it\n", "")


@pytest.mark.parametrize("protected", [False, True], ids=["plain", "tls"])
def test_everything_once(serve, origin, ca: Authority, far_echo: DatagramEcho, tmp_path: Path, protected: bool) -> None:  # noqa: F811
    """Under a build with sanitizers they judge it."""
    exercise(serve, origin, ca, far_echo, tmp_path, protected)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("protected", [False, True], ids=["plain", "tls"])
def test_valgrind_finds_nothing(serve, origin, ca: Authority, far_echo: DatagramEcho, tmp_path: Path, protected: bool) -> None:  # noqa: F811
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is missing")
    if is_sanitized():
        pytest.skip("valgrind and the sanitizers exclude each other")
    valgrind = ("valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible")
    exercise(serve, origin, ca, far_echo, tmp_path, protected, *valgrind)


def test_the_cpp_face(serve, origin, far_echo: DatagramEcho, tmp_path: Path) -> None:  # noqa: F811
    program = compiled(PROGRAMS / "face.cpp", tmp_path)
    result = run(program, url(serve()), origin(echo).port, far_echo.port, free_port())
    assert (result.returncode, result.stdout, result.stderr) == (0, "all of it\n", "")
