"""The benchmarks: all engines compute the same, who does not is not timed, and the report is made from the numbers alone."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bench", reason="the benchmarks are in the checkout only")

from bench import curves, ladder, report, works
from bench.engines import REFERENCE, TITLES, compared, prepare
from bench.turns import CRIPPLING, Lane, Pace, Workers, environment, in_turns, measure
from bench.units import duration
from bench.worker import turn

ROOT = Path(__file__).parents[1]
NUMPY, FAST = Lane("numpy", 1), Pace(turns=3, seconds=0.0, pause=0.0)
SMALL = (
    works.xor(),
    works.xor(works.WholeRun, name="run", steps=5),
    works.TrainingStep("adam", "", (works.Linear(3, 4), works.Sigmoid(), works.Linear(4, 2)), (3,), 2, optimizer="Adam"),
    works.mlp(3, width=4),
    works.cnn(2, side=8),
    *(works.recurrent(make, batch=2, length=3) for make in (works.RNN, works.LSTM, works.GRU)),
    works.matmul(3, 5, 7),
    works.matmul(4, dtype="float64"),
)


def test_every_work_has_a_name_of_its_own():
    drawn = {work.name: work for curve in curves.curves(4) for work in curve.works.values()}
    names = [work.name for work in works.WORKS]
    assert len(set(names)) == len(names)
    assert set(works.HEADLINES) <= set(names)
    assert all(drawn[work.name] == work for work in works.WORKS if work.name in drawn)


@pytest.fixture(scope="module")
def workers():
    with Workers() as started:
        yield started


@pytest.mark.parametrize("engine", TITLES)
@pytest.mark.parametrize("work", SMALL, ids=lambda work: work.name)
def test_engines_agree(workers, engine, work):
    if engine != "manualbp" and find_spec(engine) is None:
        pytest.skip(f"compares with {TITLES[engine]}, which is not installed")
    began = workers[Lane(engine, 1)].ask("begin", work)  # JAX would warn the tests that fork, were it in this process
    if "unable" in began:
        pytest.skip(f"{TITLES[engine]} is not made for this")
    assert "error" not in began, began["error"]
    assert works.apart(work, began["result"], compared(prepare(REFERENCE, work), work)) < works.TOLERANCE


def test_a_wrong_result_is_far_apart():
    work = works.xor()
    expected = compared(prepare(REFERENCE, work), work)
    assert works.apart(work, expected, expected) == 0
    for wrong in (work.weights()["0.bias"], np.full(10, np.nan, np.float32), np.zeros(9, np.float32)):
        assert works.apart(work, {**expected, "0.bias": wrong}, expected) > works.TOLERANCE
    assert works.apart(work, {}, expected) == np.inf


# ---------------------------------------------------------------------- the ladder


@pytest.mark.parametrize("rung", ladder.RUNGS)
def test_every_rung_is_the_product(rung):
    for shape in ((5, 3, 4), (37, 61, 23), (130, 150, 140)):
        ladder.check(ladder.RUNGS[rung], *shape)


def test_a_wrong_rung_is_not_timed(monkeypatch):
    def wrong(C, A, B):
        C[...] = A @ B
        C[-1, -1] += 1

    monkeypatch.setitem(ladder.RUNGS, "wrong", wrong)
    with pytest.raises(ValueError, match="is wrong for 37×23 and 23×61"):
        ladder.measure(4, ladder.Pace(1, 0.0))


def test_the_ladder_gets_its_table(tmp_path):
    page = tmp_path / "kernels.md"
    page.write_text((ROOT / "docs" / "kernels.md").read_text(encoding="utf-8"), encoding="utf-8")
    times = [{"three loops": 1.0, "loops reordered": 0.25}, {"three loops": 2.0, "loops reordered": 0.25}]
    report.put_table(page, ladder.report([100, 1000], times), ladder.MARKERS)
    assert "| loops reordered | 0.008 | 8 | 8× |" in page.read_text(encoding="utf-8")


# ---------------------------------------------------------------------- turns


class Actor:
    """A worker that answers from a script, and notes when it was asked to run."""

    def __init__(self, began, log, name=""):
        self.began, self.log, self.name = began, log, name

    def ask(self, question, *args):
        if question == "begin":
            return self.began
        self.log.append(self.name)
        return {"seconds": 2.0, "count": 1}


def test_only_who_agrees_is_timed_and_who_begins_rotates():
    right, wrong, log = np.ones((4, 4)), np.ones((4, 4)) * 1.1, []
    workers = {Lane(REFERENCE, 1): Actor({"result": {"output": right}}, log)}
    for name, began in {
        "a": {"result": {"output": right}, "first step": 1.0},
        "b": {"result": {"output": wrong}, "first step": 1.0},
        "c": {"unable": "cannot"},
        "d": {"error": "jax is not installed"},
        "e": {"result": {"output": right}, "first step": 1.0},
    }.items():
        workers[Lane(name, 1)] = Actor(began, log, name)
    records = measure(works.matmul(4), list(workers)[1:], workers, FAST)
    assert [(r["engine"], r["seconds"]) for r in records] == [("a", [2.0] * 3), ("b", []), ("d", []), ("e", [2.0] * 3)]
    assert "differs from the reference by 0.1" in records[1]["error"]
    assert log == list("aeeaae")


def test_turns_rotate():
    assert "".join(in_turns("abc", 4)) == "abcbcacababc"
    assert list(in_turns("", 2)) == []


def test_a_turn_lasts_long_enough():
    calls = []
    took = turn(lambda: calls.append(sum(range(1000))), 0.002)
    assert len(calls) > took["count"] >= 1
    assert took["seconds"] > 0


def test_a_whole_run_is_quoted_per_step():
    work = works.xor(works.WholeRun, steps=5)
    result = {"result": compared(prepare(REFERENCE, work), work), "first step": 0.0}
    workers = {Lane(name, 1): Actor(result, []) for name in (REFERENCE, "manualbp")}
    assert measure(work, [Lane("manualbp", 1)], workers, FAST)[0]["seconds"] == [2.0 / 5] * 3


def test_an_engine_works_in_a_process_of_its_own(monkeypatch):
    monkeypatch.chdir(ROOT)
    with Workers() as workers:
        worker = workers[NUMPY]
        assert worker is workers[NUMPY]
        began = worker.ask("begin", works.matmul(4))
        inputs = works.matmul(4).inputs()
        np.testing.assert_allclose(began["result"]["output"], inputs["A"] @ inputs["B"], rtol=1e-5)
        assert worker.ask("turn", 0.001)["seconds"] > 0
        assert "NumPy has no conv2d" in worker.ask("begin", works.KERNELS[0])["unable"]
        assert "unknown question" in worker.ask("dance")["error"]
        worker.process.kill()
        assert "the process of numpy ended" in worker.ask("turn", 0.001)["error"]


def test_every_engine_has_the_same_threads_and_a_healthy_blas(monkeypatch):
    for name in CRIPPLING:
        monkeypatch.setenv(name, "Atom")
    found = environment(3)
    assert not set(CRIPPLING) & set(found)
    assert {found[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")} == {
        "3"
    }


# ---------------------------------------------------------------------- the report


def results():
    """Numbers that no machine gave: manualbp takes 1 ms, 2 with two threads, the others 3, 4, … ms."""
    records = []
    for work in works.WORKS:
        for i, engine in enumerate(TITLES):
            for threads in (1, 2):
                milliseconds = threads if engine == "manualbp" else 2 + i
                record = {"work": work.name, "engine": engine, "threads": threads, "seconds": [milliseconds / 1e3] * 3}
                records.append(record)
    records[-1] |= {"seconds": [], "error": "Traceback\nit differs"}
    machine = {"processor": "P", "cores": 2, "vectors": "V", "system": "S", "blas": "B", "unset": list(CRIPPLING)}
    machine["versions"] = {"manualbp": "1", "torch": "2", "sklearn": "3", "numpy": "4"}
    return {"date": "2000-01-01", "machine": machine, "pace": FAST._asdict(), "records": records, "startup": []}


def test_the_report_quotes_the_best_number_of_threads_and_the_best_peer():
    page = report.document(results())
    assert "| XOR 2-10-1, batch 4 | 1 ms ±0 % (1) | 3 ms ±0 % (1) |" in page
    assert "| 3× PyTorch |" in page
    assert f"| 1024, float32 | {digits(2 * 1024**3 / 1e-3 / 1e9)} |" in page
    assert "- JAX: not installed" in page
    assert "adam, 2 threads: it differs" in page
    assert all(name in page for name in CRIPPLING)


def digits(value):
    return f"{float(f'{value:.3g}'):.0f}"


def test_the_report_is_made_from_its_json_again_byte_for_byte(tmp_path):
    pytest.importorskip("matplotlib", reason="draws, and matplotlib is not installed")
    pages = []
    for name, numbers in (("a", results()), ("b", json.loads(json.dumps(results())))):
        page = tmp_path / name / "page.md"
        page.parent.mkdir()
        report.write(numbers, page)
        pages.append({path.name: path.read_bytes() for path in sorted(page.parent.rglob("*")) if path.is_file()})
    assert pages[0] == pages[1]
    assert {"page.md", "threads-cnn-32.svg", "mlp-batch.svg"} <= set(pages[0])


def test_the_readme_gets_its_table(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):
        report.put_table(readme, report.headline_table(results()))
    text = readme.read_text(encoding="utf-8")
    assert text.count("| XOR 2-10-1, batch 4 | 1 ms | 3 ms | 4 ms | 3× PyTorch |") == 1
    readme.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="needs the markers <!-- benchmarks -->"):
        report.put_table(readme, "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.234e-6, "1.23 µs"), (45.67e-6, "45.7 µs"), (999.7e-6, "1 ms"), (0.1234, "123 ms"), (12.5, "12.5 s"), (4567, "4570 s")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
