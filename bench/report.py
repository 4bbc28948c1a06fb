"""From the numbers to what is read: docs/benchmarks.md with its pictures, and the table of the README."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .curves import ENGINES as DRAWN
from .curves import Curve, curves, draw
from .engines import TITLES
from .many import EPOCHS, NETWORKS
from .units import digits, duration, megabytes, ratio
from .works import HEADLINES, KERNELS, MATRICES, PREDICTIONS, RUNS, STEPS, Operation, Work

OURS = "manualbp"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
Results = dict[str, Any]  # what is in results.json
Rows = list[list[str]]


class Time(NamedTuple):
    """Median over the turns, half the distance of the quartiles, and the number of threads."""

    seconds: float
    spread: float
    threads: int

    def __str__(self) -> str:
        return f"{duration(self.seconds)} ±{100 * self.spread / self.seconds:.0f} % ({self.threads})"


def time_of(results: Results, work: Work, engine: str, threads: int | None = None) -> Time | None:
    """With so many threads, or with the number that was fastest; None if the engine was not timed at this."""
    times = [
        summary(record["seconds"], record["threads"])
        for record in results["records"]
        if (record["work"], record["engine"]) == (work.name, engine) and record["seconds"]
        if threads is None or record["threads"] == threads
    ]
    return min(times, default=None)


def summary(seconds: Sequence[float], threads: int) -> Time:
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 3
    return Time(middle, (high - low) / 2, threads)


# ---------------------------------------------------------------------- tables


def times_table(results: Results, works: Iterable[Work]) -> str:
    """A row per work, a column per engine, each at its best number of threads; and the best of the others against us."""
    found = {work.title: {engine: time_of(results, work, engine) for engine in TITLES} for work in works}
    rows = [
        [title, *(str(time or "") for time in times.values()), versus(times)]
        for title, times in found.items()
        if any(times.values())
    ]
    return table(["", *TITLES.values(), "best peer ÷ manualbp"], rows)


def headline_table(results: Results) -> str:
    peers, rows = ("torch", "jax"), []
    for work in (work for name in HEADLINES for work in STEPS if work.name == name):
        times = {engine: time_of(results, work, engine) for engine in TITLES}
        if times[OURS]:
            shown = (times[engine] for engine in (OURS, *peers))
            rows.append([work.title, *(duration(time.seconds) if time else "" for time in shown), versus(times)])
    return table(["one training step", "manualbp", *(TITLES[peer] for peer in peers), "best peer ÷ manualbp"], rows)


def versus(times: dict[str, Time | None]) -> str:
    """The fastest of the others, and how many times our time it takes."""
    ours, peers = times[OURS], {engine: time for engine, time in times.items() if engine != OURS and time}
    if not ours or not peers:
        return ""
    best = min(peers, key=lambda engine: peers[engine].seconds)
    return f"{ratio(peers[best].seconds / ours.seconds)} {TITLES[best]}"


def products_table(results: Results, works: Iterable[Operation], threads: int) -> str:
    rows = []
    for work in works:
        times = {engine: time_of(results, work, engine, threads) for engine in TITLES}
        if any(times.values()):
            speeds = [f"{digits(work.flops / time.seconds / 1e9)}" if time else "" for time in times.values()]
            rows.append([f"{work.title}, {work.dtype}", *speeds, versus(times)])
    return table(["GFLOP/s", *TITLES.values(), "manualbp ÷ best peer"], rows)


def startup_table(results: Results) -> str:
    rows = []
    for record in results["startup"]:
        compiled = record["kernels"] == "compiled"
        show = {"import": duration, "resident": megabytes, "first step xor-4": duration, "first step cnn-128": duration}
        cells = [form(record[key]) if key in record else "" for key, form in show.items()]
        peak = record.get("peak cnn-128")
        above = megabytes(peak - record["resident"]) if peak and not compiled else ""
        name = TITLES[record["engine"]] + (", first time ever: compiles its kernels" if compiled else "")
        rows.append([name, *cells, megabytes(peak) if peak and not compiled else "", above])
    head = ["", "import", "resident after it", "first step, XOR", "first step, CNN, batch 128", "peak, CNN", "above import"]
    return table(head, rows)


def table(head: Sequence[str], rows: Rows) -> str:
    """Markdown; columns with nothing in them are left out."""
    keep = [i for i in range(len(head)) if i == 0 or any(row[i] for row in rows)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line[i] for i in keep) + " |" for line in lines)


# ---------------------------------------------------------------------- the document


def document(results: Results, pictures: Sequence[tuple[Curve, Path]] = ()) -> str:
    return "\n\n".join(part for part in (*opening(results), *sections(results), *closing(results, pictures)) if part) + "\n"


def turns(results: Results) -> str:
    """How many turns the engines have had: of some works, such as those of curves, fewer."""
    counts = {len(record["seconds"]) for record in results["records"] if record["seconds"]} or {0}
    return " to ".join(map(str, sorted({min(counts), max(counts)})))


def opening(results: Results) -> Iterator[str]:
    machine, pace = results["machine"], results["pace"]
    versions = ", ".join(f"{TITLES.get(name, name)} {version}" for name, version in machine["versions"].items())
    yield "# Benchmarks"
    yield "Written by `make bench`; [results.json](benchmarks/results.json) has every single turn."
    yield table(
        ["machine", results["date"]],
        [["processor", f"{machine['processor']}, {machine['cores']} cores, {machine['vectors']}"],
         ["system", machine["system"]], ["versions", versions], ["NumPy's BLAS", machine["blas"]]],
    )  # fmt: skip
    yield f"""\
How it was measured. Every engine computes the same: same data, same initial weights, same steps; before anything is timed
its weights after the first steps (the result, for an operation) are compared with those of manualbp's NumPy definitions, and
an engine that disagrees is listed below instead of timed. Each engine has one process per number of threads, with as many
cores as threads. One process works while all others sleep, {1000 * pace["pause"]:.0f} ms apart, in an order that rotates. A
turn is at least {1000 * pace["seconds"]:.0f} ms of repeated steps after warming up; the median of {turns(results)} turns is
quoted, ± half the distance of the quartiles, with the number of threads in brackets: of 1 and {machine["cores"]} the one that
the engine is fastest with, if the table does not fix it. Compilation is outside the clock and stands under *Starting*.
PyTorch is eager, JAX is `jit`, scikit-learn is `partial_fit`. Times drift from machine to machine and from day to day:
ratios within a row are what counts."""
    if machine["unset"]:
        yield f"The environment had {' and '.join(machine['unset'])}, which slow a BLAS down: unset for every engine."


def sections(results: Results) -> Iterator[str]:
    timed = {record["work"] for record in results["records"]}
    if any(work.name in timed for work in STEPS):
        yield "## Training steps"
        yield """\
Forward, loss, backward and update, called from Python; SGD where nothing else is said. Recurrent layers read an image row by
row, and a linear layer reads their last output."""
        yield times_table(results, STEPS)
    if any(work.name in timed for work in RUNS):
        yield "## Whole runs"
        yield """\
A thousand steps, each on a batch of its own, and the time of one. JAX is `lax.scan`, manualbp a recorded program,
scikit-learn is one `partial_fit` over all batches, PyTorch the loop."""
        yield times_table(results, RUNS)
    if many := results.get("many"):
        yield "## Many networks"
        time = summary(many["seconds"], results["machine"]["cores"])
        yield f"""\
XOR from {NETWORKS:,} seeds, {EPOCHS:,} epochs each, by `mb.fit_many`: recorded and trained in {time}; {many["learned"]:.1%}
of the networks have learned it."""
    if any(work.name in timed for work in PREDICTIONS):
        yield "## Predictions"
        yield """\
One sample, called from Python, in evaluation mode. manualbp is a recorded forward pass, PyTorch is in `inference_mode`."""
        yield times_table(results, PREDICTIONS)
    if any(work.name in timed for work in MATRICES):
        yield "## Matrix products"
        for threads in sorted({r["threads"] for r in results["records"] if r["work"] in {w.name for w in MATRICES}}):
            yield f"With {threads} thread{'s' * (threads > 1)}:"
            yield products_table(results, MATRICES, threads)
    if any(work.name in timed for work in KERNELS):
        yield "## Kernels"
        yield times_table(results, KERNELS)
    if results["startup"]:
        yield "## Starting"
        yield "Each row is made of fresh processes. First steps are counted from the end of the import."
        yield startup_table(results)


def closing(results: Results, pictures: Sequence[tuple[Curve, Path]]) -> Iterator[str]:
    if pictures:
        yield "## Curves"
        yield "\n".join(f"![{curve.title} by {curve.axis}]({path.as_posix()})" for curve, path in pictures)
    if left_out := [*absent(results), *failed(results)]:
        yield "## Left out"
        yield "\n".join(f"- {line}" for line in left_out)
    yield "## To repeat it"
    yield """\
```sh
make bench                                  # everything, on a machine that does nothing else; it takes half an hour
.venv/bin/python -m bench --only cnn        # some rows, printed
.venv/bin/python -m bench --quick           # all rows, few and short turns, printed: a first impression
.venv/bin/python -m bench --report          # this page again from results.json
.venv/bin/pytest bench --benchmark-only -k cnn   # engines side by side in one process: for work on a kernel
```"""


def absent(results: Results) -> Iterator[str]:
    for name, title in TITLES.items():
        if name not in results["machine"]["versions"]:
            yield f"{title}: not installed"


def failed(results: Results) -> Iterator[str]:
    for record in results["records"]:
        if "error" in record:
            reason = record["error"].strip().splitlines()[-1]
            yield f"{TITLES[record['engine']]}, {record['work']}, {record['threads']} threads: {reason}"


# ---------------------------------------------------------------------- files


def write(results: Results, path: Path) -> None:
    """The document to ``path``, its pictures beside it in a folder of its name."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for curve in curves(results["machine"]["cores"]):
        if times := points(results, curve):
            picture = folder / f"{curve.name}.svg"
            draw(curve, times, picture)
            pictures.append((curve, Path(os.path.relpath(picture, path.parent))))
    path.write_text(document(results, pictures), encoding="utf-8")


def points(results: Results, curve: Curve) -> dict[str, dict[int, float]]:
    """Per engine, the times on the curve; engines and curves with fewer than two are left out."""
    lines = {}
    for engine in DRAWN:
        times = {x: time_of(results, work, engine, x if curve.threads else None) for x, work in curve.works.items()}
        lines[engine] = {x: time.seconds for x, time in times.items() if time}
    return {engine: line for engine, line in lines.items() if len(line) > 1}


def put_table(page: Path, text: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Replace what stands between the markers in a page, such as the README."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise ValueError(f"{page} needs the markers {markers[0]} and {markers[1]}, between them the table is written")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
