"""What a run leaves behind: its folder of raw figures, commands, versions, tables and plots, and the page that shows it."""

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import peers
import plot
import summary
from goals import Goal, Judge
from machine import Journal
from modes import BY_NAME, MODES, Mode
from samples import Sample

ROOT = Path(__file__).resolve().parents[1]
GIT = ("git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT))
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- the newest run: written by ./dev bench -->", "<!-- the end of it -->"


@dataclass
class Results:
    """Everything that a run found, filled as it goes."""

    date: str
    settings: dict
    samples: list[Sample] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # "peer, mode, placement" -> why
    absent: dict[str, str] = field(default_factory=dict)  # peer -> why it takes no part at all
    extras: dict[str, dict] = field(default_factory=dict)
    complete: bool = False


# --- What it ran on ---------------------------------------------------------------------------------------------


def output_of(*words: str) -> str:
    run = subprocess.run(words, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else ""


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return re.sub(r"\((?:R|TM)\)|\bCPU\b|@.*", " ", line.partition(":")[2]).strip()
    return platform.machine()


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def versions(binary: Path) -> dict[str, str]:
    """The machine, and of each program that took part its version."""
    memory = Path("/proc/meminfo").read_text().split(maxsplit=2)[1]
    found = {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{int(memory) / 1024**2:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "commit": output_of(*GIT, "describe", "--always", "--dirty", "--abbrev=12"),
        "stile": output_of(str(binary), "--version").partition("\n")[0],
        "softirq time": softirq_accounting(),
    }
    tools = {"openssh-client", "strace", "valgrind", "linux-perf"}
    for package in sorted(tools | {peer.package for peer in peers.PEERS if peer.package}):
        version = output_of("dpkg-query", "-W", "-f=${Version}", package)
        found[f"package {package}"] = version or "not installed"
    return found


def softirq_accounting() -> str:
    """Whether a process's clock holds the softirq work that ran inside it; kernels differ."""
    text = output_of("zcat", "/proc/config.gz")
    boot = Path(f"/boot/config-{platform.release()}")
    text = text or (boot.read_text() if boot.exists() else "")
    if not text:
        return "unknown: the kernel's configuration cannot be read"
    if "CONFIG_IRQ_TIME_ACCOUNTING=y" in text:
        return "kept apart by this kernel: processes look cheaper than they are"
    return "in the process that it interrupts, or in ksoftirqd"


# --- The folder -------------------------------------------------------------------------------------------------


def folder_for(results: Results) -> Path:
    """bench/runs/DATE-PROCESSOR, with a number behind it where the day has one already."""
    base = ROOT / "bench" / "runs" / f"{results.date}-{slug(processor())}"
    path, number = base, 2
    while path.exists():
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path


def write(results: Results, folder: Path, journal: Journal, binary: Path) -> list[Goal]:
    """Writes all files of a run; the goals as they were judged."""
    folder.mkdir(parents=True, exist_ok=True)
    found = summary.medians(results.samples)
    goals = Judge(found, results.extras).judge()
    known = versions(binary)
    (folder / "results.json").write_text(as_json(results, found, known))
    (folder / "goals.json").write_text(json.dumps([goal.row() for goal in goals], indent=1) + "\n")
    (folder / "goals.md").write_text("# Goals\n\n" + goals_table(goals) + "\n")
    (folder / "table.md").write_text("# Figures\n\n" + tables(results, found) + "\n")
    (folder / "commands.txt").write_text(commands(results, journal))
    (folder / "versions.txt").write_text("".join(f"{name}: {value}\n" for name, value in known.items()))
    for name, chart in charts(results, found).items():
        (folder / f"{name}.svg").write_text(chart)
    return goals


def as_json(results: Results, found: summary.Medians, known: dict[str, str]) -> str:
    """One line a sample: raw figures stay readable in a diff, and small."""

    def lines(values: list[dict]) -> str:
        return "[\n" + ",\n".join("  " + json.dumps(value, ensure_ascii=False) for value in values) + "\n ]"

    parts = {
        "date": json.dumps(results.date),
        "complete": json.dumps(results.complete),
        "settings": json.dumps(results.settings),
        "versions": json.dumps(known, ensure_ascii=False),
        "absent": json.dumps(results.absent, ensure_ascii=False),
        "failures": json.dumps(results.failures, ensure_ascii=False),
        "medians": lines([asdict(one) | {"to_stile": summary.to_stile(found, one)} for one in found.values()]),
        "samples": lines([sample.row() for sample in results.samples]),
        **{name: json.dumps(value, ensure_ascii=False, indent=1) for name, value in results.extras.items()},
    }
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {text}" for name, text in parts.items()) + "\n}\n"


def commands(results: Results, journal: Journal) -> str:
    parts = [
        "Every command line of the run. FOLDER is a temporary folder, KEYS one with ssh's keys; every start had ports of\n"
        "its own, written here as 1080 (the proxy), 7000 (the origin apart) and 2222 (sshd).\n"
    ]
    for heading, lines in journal.commands.items():
        parts.append(f"\n# {heading}\n" + "".join(f"{line}\n" for line in lines))
    for name, text in journal.files.items():
        parts.append(f"\n# FOLDER/{name}\n" + text)
    return "".join(parts)


# --- Tables and plots -------------------------------------------------------------------------------------------


def goals_table(goals: list[Goal]) -> str:
    words = {True: "yes", False: "**no**", None: "–"}
    lines = []
    for goal in goals:
        sign = "≥" if goal.more else "≤"
        value = "–" if goal.value is None else f"{goal.value:.3g}" if goal.value < 1000 else f"{goal.value:,.0f}"
        better = "–" if goal.better is None else f"{sign} {goal.better:g}: {words[goal.reaches(goal.better)]}"
        met = words[goal.reaches(goal.at_least)]
        lines.append((goal.what, value, f"{sign} {goal.at_least:g}", met, better, goal.note or "–"))
    return summary.markdown_table(("goal", "measured", "at least", "met", "better", "by"), lines)


def tables(results: Results, found: summary.Medians) -> str:
    parts = [summary.markdown_table(summary.HEADINGS, summary.rows(found))]
    if idle := results.extras.get("idle"):
        table = summary.markdown_table(summary.IDLE_HEADINGS, summary.idle_rows(idle))
        parts.append(f"Idle tunnels, octets each:\n\n{table}")
    for title, headings, lines in extra_tables(results.extras):
        parts.append(f"{title}:\n\n{summary.markdown_table(headings, lines)}")
    if left_out := results.absent | results.failures:
        parts.append("Not measured:\n\n" + "\n".join(f"- {who}: {why}" for who, why in left_out.items()))
    return "\n\n".join(parts)


Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, headings, lines


def extra_tables(extras: dict[str, dict]) -> list[Table]:
    """What was measured once, as far as it was."""
    life = [
        (title, f"{one['start'] * 1000:,.0f}", f"{one['tunnels']}", f"{one['end'] * 1000:,.0f}")
        for title, one in measured(extras.get("life", {}))
    ]
    fairness = [
        (title, *(f"{one[key]:,.0f}" for key in ("p50_alone", "p99_alone", "p50_beside", "p99_beside")))
        for title, one in measured(extras.get("fairness", {}))
    ]
    stall = [
        (title, f"{one['octets'] / 1e6:,.1f}", "yes" if one["whole"] else "no")
        for title, one in measured(extras.get("stall", {}))
    ]
    tables: list[Table] = [
        (
            "System calls and instructions of single conversations, switches of context under load",
            ("proxy", "calls, connection", "round trip", "instructions, connection", "switches, rr", "switches, connect"),
            count_rows(extras),
        ),
        (
            "Fairness: µs of 64 tunnels with round trips, alone and beside one tunnel in bulk",
            ("proxy", "p50 alone", "p99 alone", "p50 beside", "p99 beside"), fairness,
        ),
        ("A reader that stops", ("proxy", "MB held on the way", "all arrived"), stall),
        ("Start and end", ("proxy", "ms to accept", "tunnels held", "ms to end them"), life),
    ]  # fmt: skip
    return [table for table in tables if table[2]]


def measured(figures: dict[str, dict]) -> list[tuple[str, dict]]:
    return [(peers.BY_NAME[peer].title, one) for peer, one in figures.items() if "why" not in one]


def count_rows(extras: dict[str, dict]) -> list[tuple[str, ...]]:
    """A row for each peer of which something was counted."""
    tables = [extras.get(name, {}) for name in ("system_calls", "instructions", "switches")]
    names = [peer.name for peer in peers.PEERS if any(peer.name in table for table in tables)]
    lines = []
    for name in names:
        system_calls, instructions, switches = (table.get(name, {}) for table in tables)
        cells = [
            system_calls.get("connection"), system_calls.get("round_trip"), instructions.get("connection"),
            switches.get("rr", {}).get("context-switches"), switches.get("connect", {}).get("context-switches"),
        ]  # fmt: skip
        lines.append((peers.BY_NAME[name].title, *map(count_text, cells)))
    return lines


def count_text(count: float | None) -> str:
    return "–" if count is None else f"{count:,.0f}" if count >= 1000 else f"{count:.3g}"


def charts(results: Results, found: summary.Medians) -> dict[str, str]:
    """File name -> SVG: one chart a mode, one for idle tunnels."""
    drawn = {}
    for mode in MODES:
        if bars := [bar(mode, one) for one in found.values() if one.mode == mode.name]:
            bars.sort(key=lambda one: [peer.title for peer in peers.PEERS].index(one.label))
            note = f"processor time a {mode.unit} in {mode.symbol}, shorter is better; {placements(mode)}"
            drawn[mode.name] = plot.bar_chart(f"{mode.name}: {mode.title}", note, bars)
    idle = results.extras.get("idle", {})
    bars = [
        plot.Bar(peers.BY_NAME[peer].title, "same", one["user"], f"{one['user']:,.0f} B", peer.startswith("stile"))
        for peer, counts in idle.items()
        for asked, one in counts.items()
        if peer != "direct" and "user" in one and asked == min(counts, key=int)
    ]
    if bars:
        note = "user memory (anonymous PSS) in octets, shorter is better"
        drawn["idle"] = plot.bar_chart("idle: memory of an idle tunnel", note, bars)
    return drawn


def bar(mode: Mode, one: summary.Median) -> plot.Bar:
    text = summary.cost_text(mode, one.cost)
    own = one.peer.startswith("stile")
    series = "floor" if peers.BY_NAME[one.peer].direct else one.placement
    return plot.Bar(peers.BY_NAME[one.peer].title, series, one.cost * mode.scale, text, own)


def placements(mode: Mode) -> str:
    return "dark: one core, light: a core each" if len(mode.placements) > 1 else f"cores: {mode.placements[0]}"


# --- The page ---------------------------------------------------------------------------------------------------


def show(results: Results, folder: Path, goals: list[Goal]) -> None:
    """Puts the run between the two marks of docs/benchmarks.md."""
    found = summary.medians(results.samples)
    link = os.path.relpath(folder, PAGE.parent)
    drawn = charts(results, found)
    images = "\n".join(f"![{BY_NAME[name].title if name in BY_NAME else name}]({link}/{name}.svg)\n" for name in drawn)
    machine = f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    text = (
        f"{BEGIN}\n\nMeasured on {results.date}: {machine}; medians of {results.settings['rounds']} rounds. "
        f"[Raw figures]({link}/results.json), [commands]({link}/commands.txt), [versions]({link}/versions.txt).\n\n{images}\n{tables(results, found)}\n\n"
        f"### Goals\n\n{goals_table(goals)}\n\n{END}"
    )
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    PAGE.write_text(head + text + rest.split(END)[1])
