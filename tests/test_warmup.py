"""``manualbp warmup``: it reaches every kernel with the types that training uses, and what it keeps is found again."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cases import LAYERS
from loss_cases import LOSSES, OPTIMIZERS

import manualbp as mb
from manualbp.cli import main
from manualbp.cli.models import build
from manualbp.cli.warmup import steps
from manualbp_kernels import KERNELS
from manualbp_kernels.cpu.jit import JITS, cache_folder, jit, kernel_folder
from manualbp_kernels.cpu.pointwise import pointwise


def kind(argument):
    """What Numba would compile for."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim, argument.flags.c_contiguous, argument.flags.writeable
    return type(argument)


@pytest.fixture
def calls(monkeypatch):
    """Every (kernel, kinds of its arguments) that is called, under the reference backend."""
    seen = set()
    for name, kernel in KERNELS.items():

        def recorded(*arguments, name=name, definition=kernel.definition):
            seen.add((name, tuple(map(kind, arguments))))
            definition(*arguments)

        monkeypatch.setattr(kernel, "definition", recorded)
    with mb.backend("reference"):
        yield seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_reaches_every_kernel(calls, dtype):
    for _, step in steps(dtype):
        step()
    assert {name for name, _ in calls} == set(KERNELS) - {"matmul_nt", "matmul_tn", "sum_rows"}  # which no layer calls
    of_dtype = {name for name, kinds in calls if np.dtype(dtype) in [k[0] for k in kinds if isinstance(k, tuple)]}
    assert {name for name, _ in calls} - of_dtype == ({"note_loss"} if dtype == "float32" else set())  # losses are float64


def test_everything_in_the_catalogues_takes_a_step():
    everything = {*mb.layers.__all__, *mb.losses.__all__, *mb.optim.__all__} - {"Loss", "Optimizer"}
    assert {name for name, _ in steps("float32")} == everything | {"fit"}


def train(net, x):
    y = net.train()(x)
    net.zero_grad()
    net.backward(np.ones_like(y))
    net.predict(x)


def test_training_calls_no_kernel_with_other_types(calls):
    for _, step in steps("float32"):
        step()
    compiled = set(calls)
    calls.clear()
    for case in LAYERS.values():
        train(mb.Sequential(case.make()), np.ones(case.shape, np.float32))
    for case in LOSSES:
        prediction, target = case.draw(np.float32)
        if prediction.ndim > 1:
            loss = case.ours()
            terms = loss(prediction, target)
            loss.backward(np.ones_like(terms) if loss.reduction == "none" else None)
    for case in OPTIMIZERS:
        case.ours(mb.Linear(3, 2).parameters()).step()
    for model in ("cnn", "mlp", "rnn"):
        net, x = build(model, 8, 8, 10), np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
        net.fit(x, np.arange(5), loss=mb.CrossEntropyLoss(), optimizer=mb.Adam(net.parameters()), progress=False)
    assert len(calls) > len(KERNELS)
    assert calls - compiled == set()


# ---------------------------------------------------------------------- what is kept

FIRST_STEP = """
from itertools import islice
from manualbp.cli import warmup
steps = warmup.steps
warmup.steps = lambda dtype: islice(steps(dtype), 1)
warmup.warmup()
"""
PRODUCT = """
import numpy as np, manualbp as mb
net = mb.Linear(40, 30)
net.W, net.b = np.ones((30, 40)), np.ones(30)
print(net(np.ones((20, 40), np.float32)).sum())
"""


def run(program, folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_second_run_finds_everything(tmp_path):
    assert "2 kernels: 2 compiled" in run(FIRST_STEP, tmp_path)
    said = run(FIRST_STEP, tmp_path)
    assert "2 kernels: all were there" in said
    assert str(tmp_path) in said


def test_without_a_place_to_keep_kernels_it_says_so(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert main(["warmup"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{kernel_folder()} cannot be written to" in error
    assert "set NUMBA_CACHE_DIR" in error


def test_files_that_are_damaged_or_gone_are_compiled_again(tmp_path):
    """Also one that another file calls: that one then calls the new code, whatever its symbol is now."""
    if kernel_folder().is_dir():  # spares some compiling
        shutil.copytree(kernel_folder(), tmp_path / kernel_folder().relative_to(cache_folder().parent))
    assert run(PRODUCT, tmp_path) == "24600.0\n"
    files = {path.name.partition("-")[0]: path for path in tmp_path.rglob("*-*") if path.is_file()}
    files["cpu.gemm.gemm"].unlink()
    files["cpu.gemm.pack"].write_bytes(b"")
    files["matmul.linear"].write_bytes(files["matmul.linear"].read_bytes()[:-100])
    assert run(PRODUCT, tmp_path) == "24600.0\n"
    assert run(PRODUCT, tmp_path) == "24600.0\n"


def test_no_two_functions_share_a_symbol():
    names = [(jit.function.__module__, jit.function.__qualname__) for jit in JITS.values()]
    assert len(names) == len(set(names))


def test_what_the_fingerprint_does_not_cover_is_not_kept():
    def twice(x):
        return x + x

    loop = pointwise(twice, 1, "twice")
    y = np.empty(3)
    loop(y, np.ones(3))
    assert (y == 2).all()
    assert KERNELS["relu"].form("cpu").belongs_here
    assert not loop.belongs_here
    assert not jit(twice).belongs_here
    assert not list(kernel_folder().glob("*twice*"))
