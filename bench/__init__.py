"""How fast manualbp is, beside PyTorch, JAX, scikit-learn and NumPy.

works.py      what is timed: every work once, with its data and its initial weights
engines/      how each engine does it, one file each
turns.py      the fair clock: one process per engine, one at work while the others sleep
worker.py     … the inside of such a process
startup.py    what a fresh process costs: import, first step, memory
curves.py     times against sizes, and their pictures
report.py     results.json → docs/benchmarks.md and the table of the README
test_works.py the same works and engines under pytest-benchmark
test_cuda.py  training steps and products on a GPU, beside PyTorch
cuda/         the kernels for a GPU, compiled and read without one

``python -m bench`` measures, ``python -m bench --help`` says what else it does.
"""
