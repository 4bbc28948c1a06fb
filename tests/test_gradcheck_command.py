"""gradcheck for people who write their own layers: the command and pytest's fixture."""

import os
import subprocess
import sys

import pytest

import manualbp as mb
from manualbp.cli import gradcheck as command
from manualbp.cli import main
from manualbp.cli.warmup import example_layers

LAYERS = '''
import numpy as np
import manualbp as mb

class Scale(mb.Layer):
    """y = s · x"""
    s = mb.Weight("scale")

    def __init__(self, size, factor=1.0):
        super().__init__(np.float32)
        self.s, self.factor = np.ones(size, np.float32), factor

    def forward(self, x):
        x = self.take(x)
        return self.give(self.s * x, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        self.ds += self.factor * (dy * x).sum(axis=0)
        return dy * self.s

class Cube(mb.Layer):
    @staticmethod
    def example():
        return Cube(), np.linspace(-1, 1, 6).reshape(2, 3)

    def forward(self, x):
        x = self.take(x)
        return self.give(x**3, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        return 3 * x * x * dy

def network():
    return mb.Sequential(Scale(3), Cube())

def loss():
    return mb.MSELoss(), np.ones((2, 2)), np.zeros((2, 2))

built = Scale(3)
number = 7
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_layers.py"
    path.write_text(LAYERS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("Scale", ["3"], "on x (4, 3)"),
        ("Scale", ["5", "--shape", "2,5"], "on x (2, 5)"),
        ("Cube", [], "on x (2, 3)"),
        ("Cube", ["--shape", "7", "--method", "complex"], "a complex step"),
        ("network", [], "0.scale["),
        ("built", [], "scale["),
        ("loss", [], "MSELoss() on x (2, 2)"),
    ],
)
def test_layers_out_of_a_file(file, capsys, name, arguments, said):
    status = main(["gradcheck", f"{file}:{name}", *arguments, "--backend", "reference"])
    out = capsys.readouterr().out
    assert status == 0
    assert said in out
    assert "gradients agree" in out


def test_a_wrong_gradient_is_status_1_and_a_line_that_names_it(file, capsys):
    assert main(["gradcheck", f"{file}:Scale", "3", "factor=0.5"]) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.endswith("DIFFERS")]
    assert line.startswith("scale[")
    assert "GRADIENTS DIFFER" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "takes FILE:LAYER, or --all"),
        (["Scale"], "expects FILE:LAYER, such as my_layers.py:Swish, got 'Scale'"),
        (["none.py:Scale"], "none.py: no such file"),
        (["{file}:Skale"], "has no 'Skale'"),
        (["{file}:number"], "must be a layer, or give one or a (layer, x), got a int"),
        (["{file}:built", "3"], "is built already and takes no arguments"),
        (["{file}:Scale"], "Scale() cannot be built: TypeError: Scale.__init__() missing 1 required"),
        (["{file}:Scale", "5"], "operands could not be broadcast together with shapes (5,) (4,3) (my_layers.py, line 15)"),
        (["{file}:Scale", "5", "--shape", "2,4,5"], "doesn't match the broadcast shape (4,5) (my_layers.py, line 19)"),
        (["{file}:Scale", "3", "--shape", "4,x"], "--shape must be numbers of at least 1"),
        (["{file}:Scale", "3", "--seed", "-1"], "--seed must be an integer of at least 0, got -1"),
        (["{file}:loss", "--method", "complex"], "check a loss with method='central'"),
        (["no_such_module:Scale"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["broken.py:Scale"], "broken.py cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_a_mistake_is_one_clear_line(file, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(file.parent)
    (file.parent / "broken.py").write_text("\n1 / 0\n", encoding="utf-8")
    assert main(["gradcheck", *(argument.format(file=file) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_all_shows_every_layer_in_every_place_and_dtype(capsys, monkeypatch):
    monkeypatch.setattr(command, "places", lambda: {"reference": mb.backend("reference")})
    monkeypatch.setattr(command, "example_layers", lambda: [pair for pair in example_layers() if not _slow(pair[0])])
    assert main(["gradcheck", "--all"]) == 0
    out = capsys.readouterr().out
    assert "reference float32" in out
    assert "reference float64" in out
    assert "all gradients agree" in out
    assert any(line.startswith("Linear ") and line.count("e-") == 2 for line in out.splitlines())


def test_all_knows_every_layer():
    assert {type(layer).__name__ for layer, _ in example_layers()} == set(mb.layers.__all__)


def test_all_marks_what_differs(capsys, monkeypatch):
    class Wrong(mb.Linear):
        def backward(self, dy):
            return -super().backward(dy)

    monkeypatch.setattr(command, "places", lambda: {"reference": mb.backend("reference")})
    monkeypatch.setattr(command, "example_layers", lambda: [(Wrong(3, 2), (4, 3)), (mb.Tanh(), (4, 3))])
    assert main(["gradcheck", "--all"]) == 1
    out = capsys.readouterr().out
    assert "2 cells marked ! differ" in out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("!")] == ["Wrong"]


def _slow(layer):
    return isinstance(layer, (mb.RNN, mb.LSTM, mb.GRU, mb.Conv2d, mb.Conv1d))


def test_the_fixture_of_pytest(file):
    """In a process of its own, as a user's pytest finds it: right passes, wrong fails with the table."""
    (file.parent / "test_mine.py").write_text(
        "import numpy as np\nfrom my_layers import Cube, Scale\n"
        "def test_right(gradcheck):\n    assert gradcheck(*Cube.example(), method='complex').checked == 6\n"
        "def test_wrong(gradcheck):\n    gradcheck(Scale(3, 0.5), np.ones((4, 3)))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "manualbp.pytest_plugin", "-p", "no:cacheprovider", str(file.parent)],
        capture_output=True, text=True, cwd=file.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "DIFFERS" in done.stdout
    assert "Traceback" not in done.stdout
