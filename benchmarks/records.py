"""The record of what was measured, and the tables made from it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nopal.runs.files import read_json, write_json, write_text
from nopal.runs.provenance import environment

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

NAMES = {
    "W1": "W(1)",
    "W8": "W(8)",
    "W32": "W(32)",
    "sinusoid4": "sinusoids, 4 tasks",
    "sinusoid25": "sinusoids, 25 tasks",
    "sinusoid100": "sinusoids, 100 tasks",
    "protonet": "prototypical networks",
    "adaptation": "adapting to 20 tasks for 50 steps",
    "evaluation": "testing MAML on 1,000 tasks, 50 steps each",
}

SIDES = [
    "Nopal",
    "torch.func.vmap",
    "learn2learn-style loop",
    "higher",
    "TorchOpt",
    "parallel-metalearn",
    "PyTorch",
    "plain JAX",
]


def add(path: Path, name: str, found: dict[str, Any], cores: int) -> None:
    """Put what was measured into the record, with what it was measured on."""
    record = read_json(path) if path.exists() else {}
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    about = environment()
    about["versions"] |= found.pop("versions", {})
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record[name] = found | about | {"cores": cores, "load_average": load, "date": date}
    write_json(path, record)


def in_words(found: dict[str, Any]) -> str:
    """What was measured, on a line for the person who waits."""
    shown = {name: value for name, value in found.items() if name != "versions"}
    if "times" in found:
        shown["times"] = {name: time["least_ms"] for name, time in found["times"].items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def write_tables(path: Path, page: Path) -> None:
    """Replace what stands between the markers of the page, or append both where there are none."""
    text = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    if BEGIN not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(page, before + BEGIN + "\n\n" + "\n".join(tables(read_json(path))) + "\n" + END + after)


def tables(record: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown."""
    timed = [name for name in NAMES if name in record]
    sides = [side for side in SIDES if any(side in record[name]["times"] for name in timed)]
    if timed:
        yield "Milliseconds (the least of several turns), and how many times as fast Nopal is as the best of PyTorch:\n"
        yield _row("", *sides, "ratio", "target")
        yield _row("---", *["---:"] * (len(sides) + 2))
        for name in timed:
            found = record[name]
            cells = [_number(found["times"][s]["least_ms"]) if s in found["times"] else "" for s in sides]
            yield _row(NAMES[name], *cells, f"**{found['ratio']}**", found.get("target", ""))
        yield ""
    if "evaluation" in record:
        found = record["evaluation"]
        rest = ", ".join(f"{name} {seconds} s" for name, seconds in found["seconds"].items())
        yield (
            f"Peers adapt to {found['tasks_of_peers']} of the {found['tasks']:,} test tasks, and their times are "
            f"scaled up. The same number of tasks, compilation included: {rest}.\n"
        )
    if "clustering" in record:
        found = record["clustering"]
        yield f"k-means of 22,000 x 256 vectors, 500 clusters, for each of {found['partitions']} scaled copies:\n"
        yield _row("", "seconds", "inertia, as a multiple of scikit-learn's", "iterations")
        yield _row("---", "---:", "---:", "---:")
        for name, row in found["rows"].items():
            yield _row(name, row["seconds"], f"{row['inertia']:.3f}", row["iterations"])
        yield ""
    yield from _lists(record)


def _lists(record: dict[str, Any]) -> Iterator[str]:
    if "overheads" in record:
        found = record["overheads"]
        shares = ", ".join(f"{name} {share:.1%}" for name, share in found["shares"].items())
        yield f"* Shares of the wall time of a run of W(8): {shares}; together {found['total']:.1%} (target: below 5%)."
    if "memory" in record:
        mib = record["memory"]["mib"]
        step, first = (", ".join(f"{name} {m[kind]:.0f}" for name, m in mib.items()) for kind in ("step", "first"))
        yield f"* MiB that a step of W(32) takes beyond what is in use between steps: {step}."
        yield f"* MiB that the first two add, with the program and the libraries that they load: {first}."
    if "compilation" in record:
        seconds = record["compilation"]["seconds"]
        yield (
            f"* Compiling W(8): {seconds['cold']:.1f} s with an empty cache, {seconds['warm']:.1f} s from the cache "
            "(targets: 10 and 2 s)."
        )
    if record:
        yield ""
        hardware = {found["hardware"] for found in record.values()}
        versions: dict[str, str] = {}
        for found in record.values():
            versions |= found["versions"]
        commits = sorted({str(found["commit"])[:7] for found in record.values()})
        named = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        yield f"Measured on {' and on '.join(sorted(hardware))}; {named}; at commit {', '.join(commits)}."
        yield ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
