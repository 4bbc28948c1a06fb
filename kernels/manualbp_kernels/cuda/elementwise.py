"""Plain traffic between arrays. What is done element by element comes from its formula: see ``pointwise.py``."""

from __future__ import annotations

from ..elementwise import put_columns, put_step, swap_axes, take_columns, take_rows, take_step
from .device import cover, cuda, grid


@grid
def swap_grid(y, x):
    I, D = y.shape[1], y.shape[2]
    for k in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        j, i, d = k // (I * D), k // D % I, k % D
        y[j, i, d] = x[i, j, d]


@swap_axes.cuda
def swap_axes_cuda(y, x):
    swap_grid[cover(y.size)](y, x)


@grid
def columns_grid(y, x, y_start, x_start, D):
    """y[r, y_start + d] = x[r, x_start + d]"""
    for k in range(cuda.grid(1), y.shape[0] * D, cuda.gridsize(1)):
        r, d = k // D, k % D
        y[r, y_start + d] = x[r, x_start + d]


@put_columns.cuda
def put_columns_cuda(y, x, start):
    rows = x.shape[0] * x.shape[1]
    columns_grid[cover(x.size)](y.reshape(rows, -1), x.reshape(rows, -1), start, 0, x.shape[2])


@take_columns.cuda
def take_columns_cuda(y, x, start):
    rows = y.shape[0] * y.shape[1]
    columns_grid[cover(y.size)](y.reshape(rows, -1), x.reshape(rows, -1), 0, start, y.shape[2])


@take_step.cuda
def take_step_cuda(y, x, t):
    N, D = y.shape
    columns_grid[cover(y.size)](y, x.reshape(N, -1), 0, t * D, D)


@grid
def put_step_grid(y, x, t):
    T, D = y.shape[1], y.shape[2]
    for k in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, step, d = k // (T * D), k // D % T, k % D
        y[n, step, d] = x[n, d] if step == t else 0


@put_step.cuda
def put_step_cuda(y, x, t):
    put_step_grid[cover(y.size)](y, x, t)


@grid
def take_rows_grid(y, x, order, position):
    D = y.shape[1]
    for k in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        i, d = k // D, k % D
        y[i, d] = x[order[(position[0] + i) % order.size], d]


@take_rows.cuda
def take_rows_cuda(y, x, order, position):
    take_rows_grid[cover(y.size)](y, x, order, position)
