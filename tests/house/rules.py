"""The house rules: which room may know which, what a pure room may touch, how long things may be.

Each rule takes a tree (path -> text) and returns its faults as lines "PATH:LINE: what (what to do)". The tables at the
top are the rules' whole content. Tested in samples_test.py, applied in house_test.py.
"""

import ast
import itertools
import re
from collections.abc import Iterator

import source

Tree = dict[str, str]

RANKS = {
    "base": 0,
    "wire": 1, "policy": 1,
    "session": 2, "config": 2, "sys": 2,
    "engine": 3,
    "resolve": 4, "auth": 4, "observe": 4, "protect": 4,
    "relay": 5, "route": 5,
    "server": 6, "client": 6,
    "admin": 7, "preload": 7, "netns": 7, "forward": 7, "survey": 7, "loadgen": 7,
    "cli": 8,
    "main.cc": 9,
}  # fmt: skip

# Rooms that rank alone would let in. The engine moves octets and knows no protocol.
STRANGERS = {room: {"wire", "policy", "session", "config"} for room in ("sys", "engine")}

PURE_ROOMS = {"base", "wire", "policy", "session", "config"}

# Libraries, by the first part of the include, and the rooms whose .cc files may use them.
LIBRARIES = {
    "fmt": {"config", "observe", "server", "forward", "cli"},
    "spdlog": {"observe"},
    "toml++": {"config"},
    "nlohmann": {"observe", "admin", "forward", "cli", "auth"},
    "CLI": {"cli"},
    "ares.h": {"resolve"},
    "ares_dns.h": {"resolve"},
    "boost": {"wire"},
    "crypt.h": {"auth"},
    "openssl": {"auth", "protect"},
    "security": {"auth"},
    "gssapi": {"auth", "protect"},
    "sqlite3.h": {"observe"},
    "nftables": {"sys"},
}
TEST_LIBRARIES = {"gtest", "gmock", "rapidcheck", "rapidcheck.h"}

# The outside world's headers: closed to pure rooms altogether, and beyond sys/ and engine/ to everybody.
DESCRIPTOR_HEADERS = {
    "unistd.h", "fcntl.h", "poll.h", "netdb.h", "ifaddrs.h", "sys/socket.h", "sys/un.h", "sys/uio.h", "sys/epoll.h",
    "sys/eventfd.h", "sys/timerfd.h", "sys/signalfd.h", "sys/ioctl.h", "sys/stat.h", "sys/sendfile.h", "sys/syscall.h",
    "sys/inotify.h", "linux/errqueue.h", "linux/netlink.h", "linux/rtnetlink.h", "netinet/tcp.h", "net/if.h",
}  # fmt: skip
IMPURE_HEADERS = DESCRIPTOR_HEADERS | {
    "netinet/in.h", "arpa/inet.h", "signal.h", "csignal", "pthread.h", "sched.h", "time.h", "ctime", "sys/time.h",
    "sys/mman.h", "sys/resource.h", "sys/random.h", "syslog.h", "thread", "mutex", "shared_mutex",
    "condition_variable", "future", "stop_token", "random", "iostream", "fstream", "filesystem",
}  # fmt: skip
IMPURE_CODE = re.compile(
    r"::now\s*\(|\bclock_gettime\b|\bgetenv\b|\brandom_device\b|(?<![\w.:>])s?rand\s*\(|\bgetrandom\b|\bthis_thread\b"
    r"|\bthread_local\b|\bstd::(?:cout|cerr|clog)\b|(?<![\w.:>])(?:std::)?f?printf\s*\("
)
IMPURE_ALLOWED = {"src/base/assert.cc": "says what is wrong before it aborts"}

# Calls that take or make a descriptor. Those whose names are words of the house as well count only with a leading ::.
DESCRIPTOR_CALL = re.compile(
    r"(?<![\w>\]:])::(?:socket|connect|bind|listen|accept|send|recv|read|write|close|open|shutdown|poll|select|splice"
    r"|pipe|dup|stat|fstat|sendto|recvfrom|readv|writev|unlink|rename)\s*\("
    r"|(?<![\w.>])(?:socketpair|accept4|sendmsg|recvmsg|sendmmsg|recvmmsg|setsockopt|getsockopt|getsockname|getpeername"
    r"|epoll_create1?|epoll_ctl|epoll_p?wait2?|eventfd|timerfd_create|timerfd_settime|signalfd|pipe2|dup[23]|fcntl"
    r"|ioctl|ppoll|pread|pwrite|openat|sendfile|memfd_create|syscall)\s*\("
)
DESCRIPTOR_ROOMS = {"sys", "engine"}
DESCRIPTOR_ALLOWED = {"src/observe/record_sink.cc": "the records' writer has a thread of its own, off the loop"}
# What stands in the place of these calls in other programs.
INTERPOSED = "src/preload/inside/"

# getaddrinfo blocks and reads numbers as addresses: no name from the wire may reach it (security reference, TD3).
NAME_LOOKUP = re.compile(r"\b(?:getaddrinfo|gethostbyname\w*|getnameinfo)\s*\(")
NAME_LOOKUP_ALLOWED: dict[str, str] = {}

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 1000
LEFT_FOR_LATER = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")


def room_of(path: str) -> str:
    return path.split("/")[1]


def is_test(path: str) -> bool:
    return re.search(r"_(?:test|fuzz|bench|for_tests|test_support)\.(?:cc|h)$", path) is not None


def cpp(tree: Tree, folder: str = "") -> Iterator[tuple[str, str]]:
    """The C++ files under a folder, in order."""
    return ((path, text) for path, text in sorted(tree.items()) if path.startswith(folder) and path.endswith((".h", ".cc")))


def declared_uses(build: str) -> dict[str, set[str]]:
    """What CMakeLists.txt lets each room use: its own word on the layers, held equal to the includes."""
    uses: dict[str, set[str]] = {}
    for match in re.finditer(r"stile_(room|executable)\(([^)]*)\)", build):
        words = match[2].split()
        room = words[0] if match[1] == "room" else words[1]
        rest = words[words.index("USES") + 1 :] if "USES" in words else []
        uses[room] = set(itertools.takewhile(lambda word: word not in ("LIBRARIES", "WITHOUT"), rest))
    return uses


def layers(tree: Tree) -> list[str]:
    faults = []
    uses = declared_uses(tree.get("CMakeLists.txt", ""))
    for room, used in uses.items():
        wrong = sorted(other for other in used if RANKS[other] >= RANKS[room] or other in STRANGERS.get(room, ()))
        faults += [f"CMakeLists.txt: room {room} may not use {other}" for other in wrong]
    for path, text in cpp(tree, "src/"):
        room = room_of(path)
        if room not in RANKS:
            faults.append(f"{path}:1: no room is called {room} (rank it in tests/house/rules.py)")
            continue
        for include in source.includes(text):
            if not include.quoted:
                continue
            place, other = f"{path}:{include.line}", include.path.split("/")[0]
            if f"src/{include.path}" not in tree:
                faults.append(f'{place}: "{include.path}" is no file under src/')
            elif other != room and (RANKS[other] >= RANKS[room] or other in STRANGERS.get(room, ())):
                faults.append(f"{place}: {room} (rank {RANKS[room]}) may not know {other} (rank {RANKS[other]})")
            elif other != room and room in uses and other not in uses[room]:
                faults.append(f"{place}: {room} includes {other}, which CMakeLists.txt does not list for it")
    return faults


def libraries(tree: Tree) -> list[str]:
    faults = []
    for path, text in cpp(tree, "src/"):
        for include in source.includes(text):
            library = include.path.split("/")[0]
            place = f"{path}:{include.line}"
            if library in TEST_LIBRARIES and not is_test(path):
                faults.append(f"{place}: <{include.path}> belongs in tests")
            elif library in LIBRARIES and path.endswith(".h"):
                faults.append(f"{place}: <{include.path}> belongs in a .cc file")
            elif library in LIBRARIES and room_of(path) not in LIBRARIES[library]:
                faults.append(f"{place}: {room_of(path)} may not use {library}")
    return faults


def purity(tree: Tree) -> list[str]:
    faults = []
    for path, text in cpp(tree, "src/"):
        if room_of(path) not in PURE_ROOMS or is_test(path) or path in IMPURE_ALLOWED:
            continue
        for include in source.includes(text):
            if include.path in IMPURE_HEADERS or include.path.startswith(("sys/", "linux/", "net/")) and not include.quoted:
                faults.append(f"{path}:{include.line}: a pure room may not include <{include.path}>")
        plain = source.code(text)
        for match in IMPURE_CODE.finditer(plain):
            faults.append(f"{path}:{source.line_of(plain, match.start())}: a pure room may not call {match[0].strip()}")
    return faults


def descriptors(tree: Tree) -> list[str]:
    """All calls on descriptors live in sys/ and engine/, so that one seam sees them (security reference, 7.2)."""
    faults = []
    for path, text in cpp(tree, "src/"):
        plain = source.code(text)
        for match in NAME_LOOKUP.finditer(plain):
            if path not in NAME_LOOKUP_ALLOWED and not path.startswith(INTERPOSED):
                faults.append(f"{path}:{source.line_of(plain, match.start())}: {match[0]}…) takes no name of Stile's")
        if room_of(path) in DESCRIPTOR_ROOMS or is_test(path) or path in DESCRIPTOR_ALLOWED:
            continue
        if path.startswith(INTERPOSED):
            continue
        for include in source.includes(text):
            if not include.quoted and include.path in DESCRIPTOR_HEADERS:
                faults.append(f"{path}:{include.line}: <{include.path}> belongs in sys/ or engine/")
        for match in DESCRIPTOR_CALL.finditer(plain):
            faults.append(f"{path}:{source.line_of(plain, match.start())}: {match[0]}…) belongs in sys/ or engine/")
    return faults


def python_functions(text: str) -> list[source.Function]:
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [source.Function(node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1) for node in nodes]


def sizes(tree: Tree) -> list[str]:
    faults = []
    for path, text in sorted(tree.items()):
        is_cpp = path.endswith((".h", ".cc"))
        if not is_cpp and not path.endswith((".py", ".sh", ".cmake")) and path != "dev":
            continue
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            faults.append(f"{path}:1: {lines} lines, over {FILE_LINES_MAX}")
        found = source.functions(text) if is_cpp else python_functions(text) if path.endswith(".py") else []
        faults += [
            f"{path}:{function.line}: {function.name} has {function.lines} lines, over {FUNCTION_LINES_MAX}"
            for function in found
            if function.lines > FUNCTION_LINES_MAX
        ]
    return faults


def header_form(tree: Tree) -> list[str]:
    """A header opens with a comment (purpose, refusals, threading, tests), then guards itself."""
    faults = []
    for path, text in cpp(tree, "src/"):
        if not path.endswith(".h"):
            continue
        if not text.startswith("//"):
            faults.append(f"{path}:1: a header opens with its purpose")
        if "\n#pragma once\n" not in text:
            faults.append(f"{path}:1: no #pragma once")
    return faults


def left_for_later(tree: Tree) -> list[str]:
    return [
        f"{path}:{source.line_of(text, match.start())}: {match[0]}"
        for path, text in sorted(tree.items())
        for match in LEFT_FOR_LATER.finditer(text)
    ]


def both_compilers(tree: Tree) -> list[str]:
    """What g++ 12's library has and clang 19 refuses in it: std::get_temporary_buffer, which these are made with."""
    return [
        f"{path}:{source.line_of(text, match.start())}: {match[0]} does not compile with clang (sort by a key without equals)"
        for path, text in cpp(tree)
        for match in re.finditer(r"\b(stable_sort|stable_partition|inplace_merge)\b", text)
    ]


def dead_files(tree: Tree) -> list[str]:
    faults = []
    included = {
        include.path for path, text in cpp(tree) for include in source.includes(text) if f"src/{include.path}" != path
    }
    for path, text in cpp(tree, "src/"):
        own = [include for include in source.includes(text) if include.quoted and room_of(path) == include.path.split("/")[0]]
        if path.endswith(".h") and path.removeprefix("src/") not in included:
            faults.append(f"{path}:1: nothing includes it")
        elif path.endswith(".cc") and not own and room_of(path) != "main.cc":
            faults.append(f"{path}:1: it includes no header of its own room, so nothing can call it")
    targets = {path.split("/")[-1].removesuffix("_fuzz.cc") for path in tree if path.endswith("_fuzz.cc")}
    corpora = {path.split("/")[2] for path in tree if path.startswith("fuzz/corpus/")}
    faults += [f"fuzz/corpus/{name}: no fuzz target has this name" for name in sorted(corpora - targets)]
    faults += [f"fuzz/corpus/{name}: the fuzz target {name} has no corpus" for name in sorted(targets - corpora)]
    return faults
