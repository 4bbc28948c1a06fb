"""The rules of the house, kept by reading the code."""

import ast
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import KERNELS as KERNEL_CASES
from cases import LAYERS

import manualbp as mb
import manualbp_kernels
from manualbp_kernels import KERNELS

ROOT = Path(__file__).parents[1]
ENGINE = Path(mb.__file__).parent
LOOPS = Path(manualbp_kernels.__file__).parent
SOURCES = {
    f"{package.name}/{path.relative_to(package).as_posix()}": path
    for package in (ENGINE, LOOPS)
    for path in sorted(package.rglob("*.py"))
}
DERIVATIONS = [name for name in SOURCES if re.match(r"manualbp/(layers|losses)/(?!__init__|loss\.py)", name)]

each_source = pytest.mark.parametrize("name", SOURCES)


def text(name):
    return SOURCES[name].read_text(encoding="utf-8")


def imports(name):
    """Every module that a file imports, at the top or inside a function; relative ones with their dots."""
    for node in ast.walk(ast.parse(text(name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def roots(name):
    return {module.partition(".")[0] for module in imports(name)}


# ---------------------------------------------------------------------- everything has a case


def test_every_public_layer_has_a_case():
    assert {type(case.make()).__name__ for case in LAYERS.values()} == set(mb.layers.__all__)


def test_every_kernel_has_a_case():
    """And the case table imports every kernel file, so that none is overlooked."""
    assert set(KERNEL_CASES) == set(KERNELS)
    files = {Path(name).stem for name in SOURCES if re.match(r"manualbp_kernels/\w+\.py", name) and "@kernel\n" in text(name)}
    assert files == {k.definition.__module__.partition(".")[2] for k in KERNELS.values()}


def test_every_kernel_has_a_compiled_form_and_a_formula():
    for kernel in KERNELS.values():
        kernel.form("cpu")
        kernel.form("cuda")
        assert kernel.__doc__, f"{kernel.name} has no formula"


def test_every_layer_says_what_it_is():
    for name in mb.layers.__all__:
        layer = getattr(mb, name)
        assert layer.__doc__
        assert {"forward", "backward"} <= set(dir(layer))
        assert getattr(mb.layers, name) is layer


# ---------------------------------------------------------------------- derivations


@pytest.mark.parametrize("name", DERIVATIONS)
def test_headings(name):
    """Shapes, Forward, Backward, Cache, in this order, each at the beginning of a line."""
    found = re.findall(r"^(Shapes|Forward|Backward|Cache)\b", ast.get_docstring(ast.parse(text(name))), re.MULTILINE)
    assert found == ["Shapes", "Forward", "Backward", "Cache"]


@pytest.mark.parametrize("name", [*DERIVATIONS, "manualbp/sequential.py"])
def test_equations_have_their_lines(name):
    """Each numbered equation is implemented by a line of code that carries its number, and no other number is used."""
    derivation = ast.get_docstring(ast.parse(text(name)))
    equations = set(re.findall(r"\((\d{1,2})\)", derivation))
    comments = re.findall(r"#((?: \(\d+\))+)", text(name))
    used = set(re.findall(r"\d+", " ".join(comments)))
    assert equations == used
    assert equations == {str(k + 1) for k in range(len(equations))}


# ---------------------------------------------------------------------- from a layer to all that belongs to it

STEMS = [Path(name).stem for name in DERIVATIONS if name.startswith("manualbp/layers/") and "recurrent" not in name]
MOVING = {"add", "copy", "fill", "put_columns", "swap_axes", "take_columns"}  # kernels that no formula is about
NOT_TIMED = {"dropout"}  # each engine draws numbers of its own, and what does not agree is not timed

in_a_checkout = pytest.mark.skipif(not (ROOT / "CONTRIBUTING.md").exists(), reason="not a checkout")
each_stem = pytest.mark.parametrize("stem", STEMS)


def kernels_of(name):
    """(file of kernels, name) of every kernel that a file imports."""
    for node in ast.walk(ast.parse(text(name))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("manualbp_kernels."):
            yield from ((node.module.partition(".")[2], alias.name) for alias in node.names if alias.name in KERNELS)


def shown_on(page):
    """(path, names) of the code that a page includes."""
    for path, names in re.findall(
        r"^```\{source\} (\S+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield from ((path, name) for name in names.split())


@in_a_checkout
@each_stem
def test_one_name_leads_everywhere(stem):
    """Who opens layers/conv.py finds page, definition, loops and test, under the same name or one that it imports."""
    assert (ROOT / "docs" / "derivations" / f"{stem}.md").exists()
    assert (ROOT / "tests" / f"test_{stem}.py").exists()
    for file in {file for file, _ in kernels_of(f"manualbp/layers/{stem}.py")}:
        loops = text(f"manualbp_kernels/{file}.py")
        assert "\n@kernel\n" in loops
        if (LOOPS / "cuda").exists() and re.search(r"^@\w+\.cpu$", loops, re.MULTILINE):  # scalar forms are compiled for both
            assert f"manualbp_kernels/cuda/{file}.py" in SOURCES


@in_a_checkout
@each_stem
def test_every_layer_is_timed(stem):
    """Some work of bench/works.py calls one of the layer's kernels, or has the layer in its network."""
    works = pytest.importorskip("bench.works")
    kernels = {kernel for _, kernel in kernels_of(f"manualbp/layers/{stem}.py")}
    classes = {name for name in mb.layers.__all__ if getattr(mb, name).__module__ == f"manualbp.layers.{stem}"}
    timed = {getattr(work, "call", None) for work in works.WORKS} & kernels
    timed |= {type(layer).__name__ for work in works.WORKS for layer in getattr(work, "layers", ())} & classes
    assert bool(timed) != (stem in NOT_TIMED)


@in_a_checkout
@pytest.mark.parametrize("name", [*DERIVATIONS, "manualbp/optim.py"])
def test_a_page_shows_the_code_it_tells_of(name):
    """forward and backward of every public class, and the definition of every kernel that its file calls."""
    page = ROOT / "docs" / "derivations" / f"{Path(name).stem}.md"
    if name == "manualbp/layers/recurrent.py":
        page = page.with_stem("rnn")
    shown = {*shown_on(page)}
    kernels = {(f"kernels/manualbp_kernels/{file}.py", kernel) for file, kernel in kernels_of(name) if kernel not in MOVING}
    module = name.removesuffix(".py").replace("/", ".")
    public = [each for each in (*mb.layers.__all__, *mb.losses.__all__) if getattr(mb, each).__module__ == module]
    methods = {
        (name, f"{each}.{method}") for each in public for method in ("forward", "backward") if method in vars(getattr(mb, each))
    }
    assert kernels | methods <= shown


@in_a_checkout
def test_contributing_shows_the_way():
    """Its table for convolution names files that are there."""
    way = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The way")[2].partition("\n## ")[0]
    paths = re.findall(r"`((?:manualbp|kernels|docs|tests|bench)/[\w/.]+)`", way)
    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).exists() and "/cuda/" not in path] == []


# ---------------------------------------------------------------------- who imports whom


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("manualbp_kernels")])
def test_kernels_know_nothing_of_layers(name):
    assert "manualbp" not in roots(name)


@each_source
def test_only_the_compiling_part_imports_numba(name):
    """No layer, and no kernel file either: they hand their loops to ``cpu`` or ``cuda``."""
    if not re.match(r"manualbp_kernels/(cpu|cuda)/", name):
        assert "numba" not in roots(name)


@each_source
def test_one_file_imports_numba_cuda(name):
    if name != "manualbp_kernels/cuda/device.py":
        assert not [module for module in imports(name) if module.startswith("numba.cuda")]


@each_source
def test_nothing_imports_an_oracle(name):
    assert not roots(name) & {"torch", "jax", "tensorflow", "sklearn", "scipy"}


def test_importing_is_light():
    """What is slow to import is imported by what needs it."""
    path = os.pathsep.join([str(ENGINE.parent), str(LOOPS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", "import sys, manualbp; print(*sys.modules)"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert not {"numba", "tqdm", "safetensors", "matplotlib", "PIL", "torch"} & set(done.stdout.split())


# ---------------------------------------------------------------------- the house


def test_every_package_is_listed():
    """A package that setup.cfg does not list is absent from the wheel."""
    if not (ROOT / "setup.cfg").exists():
        pytest.skip("not a checkout")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    found = {
        ".".join(path.parent.relative_to(source).parts)
        for source, package in ((ROOT, "manualbp"), (ROOT / "kernels", "manualbp_kernels"))
        for path in (source / package).rglob("__init__.py")
    }
    assert set(config["options"]["packages"].split()) == found


def test_the_readmes_programs_run(capsys):
    """One after the other, as a reader would type them."""
    if not (ROOT / "README.md").exists():
        pytest.skip("not a checkout")
    names = {}
    for program in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL):
        exec(program, names)
    said = capsys.readouterr().out
    assert "gradients agree" in said
    assert "0: Linear(2 → 10)" in said
    np.testing.assert_allclose(names["net"].predict(names["x"]), names["y"], atol=0.05)


@each_source
def test_every_folder_is_a_package(name):
    assert (SOURCES[name].parent / "__init__.py").exists()


def test_no_path_of_a_machine():
    patterns = "tests/*.py", "bench/*.py", "*.toml", "*.cfg", "*.md", "Makefile", ".ci/*", "docs/**/*.md"
    files = [*SOURCES.values(), *(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())]
    for path in files:
        found = re.search(r"(?<![\w.$}/])/(home|Users|tmp|root|work|mnt)/\w|\b[A-Z]:\\\w", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"
