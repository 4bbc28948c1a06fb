"""The fair clock: one process per engine and number of threads, one of them at work while all others sleep.

The thread pools of two libraries that are awake at the same time spin against each other. So engines take turns with a
pause before each, long enough for pools to fall asleep, and the order rotates, so that nobody always comes after the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import Pipe
from typing import Any, NamedTuple

from .engines import REFERENCE
from .works import TOLERANCE, Work, apart

CRIPPLING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # they choose slow kernels for a BLAS: unset for every engine
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")


class Pace(NamedTuple):
    """How many turns each engine has, how long a turn and the pause before it are at least, in seconds."""

    turns: int = 9
    seconds: float = 0.05
    pause: float = 0.15


class Lane(NamedTuple):
    engine: str
    threads: int


def environment(threads: int) -> dict[str, str]:
    """The environment of an engine that is to use so many threads. NPROC is what JAX asks."""
    kept = {name: value for name, value in os.environ.items() if name not in CRIPPLING}
    return {**kept, **dict.fromkeys(THREADS, str(threads)), "JAX_PLATFORMS": "cpu"}


class Worker:
    """The parent's end of a process with one engine."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.pipe, theirs = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", lane.engine, str(lane.threads), str(theirs.fileno())],
            env=environment(lane.threads), pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()

    def ask(self, *question: Any) -> dict[str, Any]:
        try:
            self.pipe.send(question)
            answer: dict[str, Any] = self.pipe.recv()
            return answer
        except (EOFError, OSError):
            return {"error": f"the process of {self.lane.engine} ended with status {self.process.wait()}"}

    def close(self) -> None:
        self.pipe.close()
        self.process.wait()


class Workers:
    """One worker per lane, started when first asked for."""

    def __init__(self) -> None:
        self.started: dict[Lane, Worker] = {}

    def __getitem__(self, lane: Lane) -> Worker:
        if lane not in self.started:
            self.started[lane] = Worker(lane)
        return self.started[lane]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.started.values():
            worker.close()


def measure(work: Work, lanes: Iterable[Lane], workers: Workers, pace: Pace) -> list[dict[str, Any]]:
    """A record per lane: its time per training step (or operation) in each turn, or the error that kept it from the clock.

    An engine that cannot do this work has no record. One whose result is not the reference's is not timed.
    """
    expected = workers[Lane(REFERENCE, 1)].ask("begin", work)
    if "error" in expected:
        raise RuntimeError(f"{work.name}: the reference failed\n{expected['error']}")
    records, runners = [], []
    for lane in lanes:
        began = workers[lane].ask("begin", work)
        if "unable" in began:
            continue
        record = {"work": work.name, "engine": lane.engine, "threads": lane.threads, "seconds": []}
        records.append(record)
        error = began.get("error") or disagreement(work, began["result"], expected["result"])
        if error:
            record["error"] = error
        else:
            record["first step"] = began["first step"]
            runners.append((workers[lane], record))
    for worker, record in in_turns(runners, pace.turns):
        time.sleep(pace.pause)
        took = worker.ask("turn", pace.seconds)
        if "error" in took:
            record["error"] = took["error"]
        else:
            record["seconds"].append(took["seconds"] / work.steps)
    return records


def in_turns(runners: Sequence[Any], turns: int) -> Iterator[Any]:
    """Everyone once a turn; who begins rotates."""
    for turn in range(turns):
        first = turn % max(1, len(runners))
        yield from (*runners[first:], *runners[:first])


def disagreement(work: Work, result: dict[str, Any], expected: dict[str, Any]) -> str:
    distance = apart(work, result, expected)
    return "" if distance <= TOLERANCE else f"differs from the reference by {distance:.2g}, more than {TOLERANCE}"
