"""The kernels for a GPU, compiled and read without one.

record.py     which grids are launched with which arguments, blocks and threads
assemble.py   from a grid to machine code: NVVM, ptxas, nvdisasm
sass.py       that code: loops, and what they are made of
roofline.py   GPUs, their limits, and what these allow a kernel
report.py     the tables of docs/cuda.md

``python -m bench.cuda`` (``make cuda-compile``) does all of it, and fails where a kernel spills registers.
"""
