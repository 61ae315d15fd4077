"""Fixtures of the end-to-end tests. They drive the executable that STILE_BINARY names, else build/release/stile."""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import networks
import processes
import pytest
import raw_socks
import realm
from fenced import Fenced, fence
from forwarder import Forwarder
from helpers import HelperUnit
from networks import Lab, Namespace
from origins import Handler, Origin
from processes import Daemon
from realm import Realm
from server import Server


def pytest_sessionstart() -> None:
    if not processes.BINARY.exists():
        pytest.exit(f"there is no {processes.BINARY}: ./dev build makes it, STILE_BINARY names another", 2)
    if networks.reason_to_skip() is None:
        networks.remove_leftovers()


# They do little but wait, for routers that stay silent and probes that leave one a second.
PATIENT = ("icmp_test", "replies_test", "ping_serve_test")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """The patient ones begin first, while the others have something to do beside them."""
    items.sort(key=lambda item: item.module.__name__ not in PATIENT)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers; each is ended and judged after the test, when no client or origin is left."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(*arguments: object, **options) -> Server:
            server = Server(tmp_path / f"server-{next(numbers)}", *arguments, **options)
            stack.callback(server.finish)
            return server

        yield start
        raw_socks.close_all()


@pytest.fixture
def forward(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Forwarder]]:
    """Starts `stile forward`; each is ended before the proxies are (hence `serve`)."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(*words: object, **options) -> Forwarder:
            one = Forwarder(tmp_path / f"forward-{next(numbers)}", *words, **options)
            stack.callback(one.finish)
            return one

        yield start


@pytest.fixture
def helper_unit(tmp_path: Path) -> Iterator[Callable[..., HelperUnit]]:
    """Starts the helper as a service of its own; to be asked for before `serve`, so that it ends last."""
    with ExitStack() as stack:

        def start(*arguments: object, folder: Path = tmp_path, **options) -> HelperUnit:
            unit = HelperUnit(folder, *arguments, **options)
            stack.callback(unit.finish)
            return unit

        yield start


@pytest.fixture
def origin(serve: Callable[..., Server]) -> Iterator[Callable[..., Origin]]:
    """Makes servers for the far end, closed after the test and before the proxy ends (hence `serve`)."""
    with ExitStack() as stack:

        def make(handler: Handler | None = None, host: str = "127.0.0.1", port: int = 0) -> Origin:
            return stack.enter_context(closing(Origin(handler, host, port)))

        yield make


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts programs that serve, ended after the test."""
    with ExitStack() as stack:

        def start(*command: object, **options) -> Daemon:
            return stack.enter_context(closing(Daemon(tmp_path, *command, **options)))

        yield start


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skips what needs a network namespace where none can be made."""
    if reason := networks.reason_to_skip():
        pytest.skip(reason)


@pytest.fixture
def lab(namespaces: None) -> Iterator[Lab]:
    with closing(Lab()) as laboratory:
        yield laboratory


@pytest.fixture
def lone_host(lab: Lab) -> Namespace:
    """A namespace with nothing but loopback: every port of it is free."""
    return lab.host("lone")


@pytest.fixture(scope="module")
def kerberos(tmp_path_factory) -> Iterator[Realm]:
    if reason := realm.reason_to_skip():
        pytest.skip(reason)
    with closing(Realm(tmp_path_factory.mktemp("realm"))) as one:
        yield one


@pytest.fixture(scope="module")
def tickets(kerberos: Realm) -> Path:
    return kerberos.tickets("alice")


@pytest.fixture
def fenced(lab: Lab, serve: Callable[..., Server], tmp_path: Path) -> Iterator[Fenced]:
    """A client whose only way out is the proxy."""
    tmp_path.chmod(0o755)
    with ExitStack() as stack:
        yield fence(lab, serve, stack, tmp_path)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user may use; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="stile-place-") as name:
        os.chmod(name, 0o777)
        yield Path(name)
