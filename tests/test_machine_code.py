"""Machine code of compiled functions: who counts references, and what stays in registers."""

import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

from manualbp_kernels.cpu.flat import flat
from manualbp_kernels.cpu.jit import jit


def add_rows(y, x):
    for i in range(len(y)):
        row = x[i] if i % 2 else x[i, :]
        y[i] += row[0] + flat(x)[0]


def add_fresh(y, x):
    twice = np.empty(len(y))
    for i in range(len(y)):
        twice[i] = 2 * x[i, 0]
        y[i] += twice[i] if i % 2 else 1.0


def add_chosen(y, x):
    for i in range(len(y)):
        y[i] += x[np.array([0, 1]), 0][i % 2] if i else 1.0


def add_copied(y, x):
    if len(y) > 1:
        y[0] += flat(x.T)[1]


def given_back(y, x):
    y[0] = x[0, 0] if x[1, 0] else 1
    return y


@pytest.mark.parametrize(
    ("function", "counts"), [(add_rows, False), (add_fresh, True), (add_chosen, True), (add_copied, True), (given_back, True)]
)
def test_who_makes_no_array_counts_no_references(function, counts):
    compiled = jit(function)
    y, x, same = np.zeros(3), np.arange(6.0).reshape(3, 2), np.zeros(3)
    compiled(y, x)
    function.__globals__["flat"] = np.ravel
    try:
        function(same, x)
    finally:
        function.__globals__["flat"] = flat
    np.testing.assert_array_equal(y, same)
    (code,) = compiled.dispatcher.inspect_llvm().values()
    body = (
        code[: code.index("define linkonce_odr void @NRT_incref")] if "define linkonce_odr void @NRT_incref" in code else code
    )
    assert bool(re.search(r"call void @NRT_(incref|decref)|call .*@NRT_MemInfo_alloc", body)) == counts


TILE = """
import re, numpy as np
from numba import typeof
from manualbp_kernels.cpu.gemm import block
from manualbp_kernels.cpu.simd import ROWS, VECTORS
row, table = np.zeros(1, np.float32), np.zeros(1, np.int64)
numbers = 1, 1, 1, 16, row, 0, 1, row, 0, table, table, row, 0, 1, table, 0, row, 0
signature = tuple(map(typeof, numbers))
block.dispatcher.compile(signature)
code = block.dispatcher.inspect_asm(signature)
for label, loop in re.findall(r"^(\\.LBB\\w+):\\n((?:(?!\\.LBB).)*?)^\\tj\\w+\\t\\1$", code, re.MULTILINE | re.DOTALL):
    sums = loop.count("vfmadd")
    if sums >= 8:
        print(sums, len(re.findall(r"vmov\\w+\\s+%[xyz]mm\\d+, .*\\(%rsp\\)", loop)))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the machine code of x86-64")
@pytest.mark.parametrize(("processor", "width", "sums"), [("znver3", 32, 12), ("znver4", 64, 24), ("skylake-avx512", 64, 24)])
def test_the_sums_of_a_tile_stay_in_registers(processor, width, sums, tmp_path):
    """For processors of 16 and of 32 registers, whichever runs the test: the loop over p writes nothing to memory."""
    features = {32: "+avx2,+fma", 64: "+avx2,+fma,+avx512f,+avx512vl,+avx512dq,+avx512bw"}[width]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MANUALBP_VECTOR_BYTES": str(width),
        "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", TILE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loops = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert max(loops)[0] == sums
    assert not [loop for loop in loops if loop[1]]
