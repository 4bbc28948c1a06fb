"""``python -m bench``: the fair run. See ``turns.py`` for what is fair about it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import curves, machine, many, report, startup
from .engines import TITLES
from .turns import Lane, Pace, Workers, environment, measure
from .works import WORKS, Work

PAGE = Path("docs/benchmarks.md")
QUICK = Pace(turns=3, seconds=0.02, pause=0.1)
CURVE_TURNS = STARTUP_TURNS = 5


def main() -> None:
    args = arguments()
    page: Path | None = args.out
    if args.report:
        page = page or PAGE
        results = json.loads(raw(page).read_text(encoding="utf-8"))
    else:
        pace = QUICK if args.quick else Pace()
        results = run(args.only, args.engines, pace._replace(turns=args.turns or pace.turns), tables_only=args.quick)
    if page is None:
        print("\n" + report.document(results))
        return
    raw(page).parent.mkdir(parents=True, exist_ok=True)
    raw(page).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    report.write(results, page)
    if args.readme:
        report.put_table(args.readme, report.headline_table(results))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time manualbp beside its peers, taking turns.")
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help="works, groups and curves that match it; also 'startup', 'many'"
    )
    parser.add_argument("--engines", metavar="NAMES", type=lambda text: text.split(","), default=list(TITLES),
                        help=f"some of {','.join(TITLES)}")  # fmt: skip
    parser.add_argument("--turns", type=int, help=f"per engine and work, {Pace().turns} if not said")
    parser.add_argument("--quick", action="store_true", help="few and short turns, and nothing but tables of works")
    parser.add_argument("--out", type=Path, metavar="PAGE", help=f"write the report there, such as {PAGE}, instead of printing")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the headline table between its markers")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report again from its numbers")
    args = parser.parse_args()
    if unknown := set(args.engines) - set(TITLES):
        parser.error(f"unknown engine {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    return args


def raw(page: Path) -> Path:
    return page.with_suffix("") / "results.json"


def run(pattern: str, engines: list[str], pace: Pace, tables_only: bool) -> dict[str, Any]:
    """Measure what matches; returns what is written to results.json."""
    wanted = re.compile(pattern)
    cores = machine.cores()
    installed = [engine for engine in engines if find_spec(startup.IMPORTS[engine].partition(".")[0])]
    drawn = [curve for curve in curves.curves(cores) if not tables_only]
    records = []
    with Workers() as workers:
        for work in chosen(wanted, WORKS):
            records += told(work, measure(work, lanes(installed, threads_of(work, drawn, cores)), workers, pace))
        done, few = {work.name for work in WORKS}, pace._replace(turns=min(pace.turns, CURVE_TURNS))
        for work in {w.name: w for c in drawn for w in c.works.values() if wanted.search(f"curve {c.name} {w.name}")}.values():
            if work.name not in done:
                some = [engine for engine in installed if engine in curves.ENGINES]
                records += told(work, measure(work, lanes(some, [1, cores]), workers, few))
    fresh = []
    if wanted.search("startup") and not tables_only:
        fresh = startup.measure(installed, environment(cores), min(pace.turns, STARTUP_TURNS))
    side_by_side = {}
    if wanted.search("many") and "manualbp" in installed:
        side_by_side = many.measure(environment(cores), min(pace.turns, STARTUP_TURNS))
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "pace": pace._asdict(),
        "records": records,
        "startup": fresh,
        "many": side_by_side,
    }


def chosen(wanted: re.Pattern[str], works: Iterable[Work]) -> list[Work]:
    return [work for work in works if wanted.search(f"{work.group} {work.name}")]


def threads_of(work: Work, drawn: list[curves.Curve], cores: int) -> list[int]:
    """1 and all cores; more where a curve over threads is drawn of it."""
    scaling = any(curve.threads and work in curve.works.values() for curve in drawn)
    return curves.threads_up_to(cores) if scaling else [1, cores]


def lanes(engines: list[str], threads: list[int]) -> list[Lane]:
    return [Lane(engine, n) for engine in engines for n in sorted(set(threads))]


def told(work: Work, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, after a line about them."""
    results = {"records": records}
    times = ((title, report.time_of(results, work, engine)) for engine, title in TITLES.items())
    print(f"{work.name:24}", " · ".join(f"{title} {time}" for title, time in times if time), flush=True)
    for line in report.failed(results):
        print(f"{'':24} {line}", flush=True)
    return records


if __name__ == "__main__":
    main()
