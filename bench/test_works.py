"""Every work by every engine under pytest-benchmark: ``pytest bench --benchmark-only -k cnn`` prints them side by side.

The thread pools of several libraries are awake in this one process, so that these numbers are for work on a kernel, and
those of ``python -m bench`` for comparisons.
"""

import pytest

from .engines import REFERENCE, TITLES, Unable, compared, prepare
from .turns import disagreement
from .works import WORKS


@pytest.mark.parametrize("engine", TITLES)
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_time(benchmark, work, engine):
    try:
        running = prepare(engine, work)
    except (Unable, ModuleNotFoundError) as reason:
        pytest.skip(str(reason))
    expected = compared(prepare(REFERENCE, work), work)
    assert not disagreement(work, compared(running, work), expected)
    benchmark.group = work.name
    benchmark(running.step)
