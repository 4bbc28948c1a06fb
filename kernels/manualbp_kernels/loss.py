"""Losses ℓ of single elements with their slopes, and the targets of classification written as weights.

``s`` holds one number, Σ ℓ, added up in float64. ``g`` is what one element counts in the final loss: 1/n for a mean
over n, 1 for a sum.
"""

import numpy as np

from .cpu.flat import flat
from .cpu.functions import exp
from .cpu.jit import jit
from .cpu.like import like
from .cpu.pointwise import sum_of
from .kernel import kernel
from .softmax import put_powers

LOG_FLOOR = -100.0  # binary cross-entropy cuts its logarithms here, so that 0 · log 0 is 0 and log 0 is finite
VARIANCE_FLOOR = 1e-12  # and the p (1 − p) its slope divides by here


@kernel
def mse(l, s, y, t):
    """ℓ = (y − t)²;  s = Σ ℓ"""
    l[...] = (y - t) ** 2
    s[0] = l.sum(dtype=np.float64)


@mse.scalar(total=True)
def mse_scalar(y, t):
    return (y - t) * (y - t)


@kernel
def mse_backward(dy, y, t, g):
    """dy = g · 2 (y − t)"""
    dy[...] = 2 * g * (y - t)


@mse_backward.scalar(constants=1)
def mse_backward_scalar(y, t, g):
    return like(y, 2 * g) * (y - t)


@kernel
def l1(l, s, y, t):
    """ℓ = |y − t|;  s = Σ ℓ"""
    l[...] = np.abs(y - t)
    s[0] = l.sum(dtype=np.float64)


@l1.scalar(total=True)
def l1_scalar(y, t):
    return abs(y - t)


@kernel
def l1_backward(dy, y, t, g):
    """dy = g · sign(y − t)"""
    dy[...] = g * np.sign(y - t)


@l1_backward.scalar(constants=1)
def l1_backward_scalar(y, t, g):
    return like(y, g) * np.sign(y - t)


@kernel
def huber(l, s, y, t, delta, scale):
    """ℓ = c ½ d² if |d| < δ, else c δ (|d| − ½ δ),  d = y − t, c = scale;  s = Σ ℓ"""
    d = np.abs(y - t)
    l[...] = scale * np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))
    s[0] = l.sum(dtype=np.float64)


@huber.scalar(constants=2, total=True)
def huber_scalar(y, t, delta, scale):
    d, half, knee = abs(y - t), like(y, 0.5), like(y, delta)
    return like(y, scale) * (half * d * d if d < knee else knee * (d - half * knee))


@kernel
def huber_backward(dy, y, t, delta, g):
    """dy = g · (d if |d| < δ, else δ sign d),  d = y − t"""
    dy[...] = g * np.where(np.abs(y - t) < delta, y - t, delta * np.sign(y - t))


@huber_backward.scalar(constants=2)
def huber_backward_scalar(y, t, delta, g):
    d, knee = y - t, like(y, delta)
    return like(y, g) * (d if abs(d) < knee else knee * np.sign(d))


@kernel
def bce(l, s, y, t):
    """ℓ = −t log y − (1 − t) log(1 − y), each logarithm not below −100;  s = Σ ℓ"""
    with np.errstate(divide="ignore", invalid="ignore"):
        l[...] = -t * np.maximum(np.log(y), LOG_FLOOR) - (1 - t) * np.maximum(np.log1p(-y), LOG_FLOOR)
    s[0] = l.sum(dtype=np.float64)


@bce.scalar(total=True)
def bce_scalar(y, t):
    floor, one, yes, no = like(y, LOG_FLOOR), like(y, 1), np.log(y), np.log1p(-y)
    return -t * (floor if yes < floor else yes) - (one - t) * (floor if no < floor else no)


@kernel
def bce_backward(dy, y, t, g):
    """dy = g · (y − t) / (y (1 − y))"""
    dy[...] = g * (y - t) / np.maximum(y * (1 - y), VARIANCE_FLOOR)


@bce_backward.scalar(constants=1)
def bce_backward_scalar(y, t, g):
    return like(y, g) * (y - t) / max(y * (like(y, 1) - y), like(y, VARIANCE_FLOOR))


@kernel
def bce_logits(l, s, x, t, w):
    """ℓ = −w t log σ(x) − (1 − t) log(1 − σ(x)) = (1 − t) x + (1 + (w − 1) t) log(1 + e⁻ˣ);  s = Σ ℓ"""
    l[...] = (1 - t) * x + (1 + (w - 1) * t) * (np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0))
    s[0] = l.sum(dtype=np.float64)


@bce_logits.scalar(total=True)
def bce_logits_scalar(x, t, w):
    one, zero = like(x, 1), like(x, 0)
    return (one - t) * x + (one + (w - one) * t) * (np.log1p(exp(-abs(x))) + (-x if x < 0 else zero))


@kernel
def bce_logits_backward(dx, x, t, w, g):
    """dx = g · ((1 − t) − (1 + (w − 1) t) σ(−x)), which for w = 1 is g (σ(x) − t)"""
    e = np.exp(-np.abs(x))
    dx[...] = g * ((1 - t) - (1 + (w - 1) * t) * np.where(x >= 0, e, 1) / (1 + e))


@bce_logits_backward.scalar(constants=1)
def bce_logits_backward_scalar(x, t, w, g):
    one, e = like(x, 1), exp(-abs(x))
    return like(x, g) * ((one - t) - (one + (w - one) * t) * (e if x >= 0 else one) / (one + e))


@kernel
def kl_div(l, s, x, t, log_target):
    """ℓ = t (log t − x) with 0 log 0 = 0; if the target is a logarithm too, eᵗ (t − x);  s = Σ ℓ"""
    if log_target:
        l[...] = np.exp(t) * (t - x)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            l[...] = np.where(t == 0, 0, t * np.log(t)) - t * x
    s[0] = l.sum(dtype=np.float64)


@kl_div.scalar(constants=1, total=True)
def kl_div_scalar(x, t, log_target):
    if log_target:
        return exp(t) * (t - x)
    return (like(t, 0) if t == 0 else t * np.log(t)) - t * x


@kernel
def kl_div_backward(dx, t, log_target, g):
    """dx = −g t, or −g eᵗ"""
    dx[...] = -g * (np.exp(t) if log_target else t)


@kl_div_backward.scalar(constants=2)
def kl_div_backward_scalar(t, log_target, g):
    return like(t, -g) * (exp(t) if log_target else t)


@kernel
def class_targets(q, norm, t, weight, smoothing, ignore):
    """q[a,k,b] = w[k] ((1 − ε) [k = t[a,b]] + ε/K), 0 where t is ignored, NaN where it is no class; norm = Σ w[t]"""
    K = q.shape[1]
    classes = np.arange(K)[None, :, None]
    t = t[:, None, :]
    q[...] = weight[:, None] * ((1 - smoothing) * (classes == t) + smoothing / K)
    counted = t != ignore
    q[...] = np.where(counted, np.where((t >= 0) & (t < K), q, np.nan), 0)
    inside = np.where(counted, t, 0).clip(0, K - 1)
    norm[0] = np.where(counted, weight[inside], 0).sum(dtype=np.float64)


@class_targets.cpu
def class_targets_cpu(q, norm, t, weight, smoothing, ignore):
    outer, K, inner = q.shape
    share, rest = q.dtype.type(1 - smoothing), q.dtype.type(smoothing / K)
    norm[0] = 0.0
    for a in range(outer):
        for b in range(inner):
            c = t[a, b]
            for k in range(K):
                q[a, k, b] = 0 if c == ignore else weight[k] * rest
            if c == ignore:
                continue
            if 0 <= c < K:
                q[a, c, b] = weight[c] * (share + rest)
                norm[0] += weight[c]
            else:
                q[a, :, b] = np.nan
                norm[0] += weight[min(max(c, 0), K - 1)]


@kernel
def probability_targets(q, t, weight, smoothing):
    """q[a,k,b] = w[k] ((1 − ε) t[a,k,b] + ε/K)"""
    q[...] = weight[:, None] * ((1 - smoothing) * t + smoothing / q.shape[1])


@probability_targets.cpu
def probability_targets_cpu(q, t, weight, smoothing):
    outer, K, inner = q.shape
    share, rest = q.dtype.type(1 - smoothing), q.dtype.type(smoothing / K)
    for a in range(outer):
        for k in range(K):
            for b in range(inner):
                q[a, k, b] = weight[k] * (share * t[a, k, b] + rest)


@jit
def product_or_zero(q, logp):
    """q · log p, and 0 where q = 0 even if log p = −∞."""
    return q - q if q == 0 else q * logp


@kernel
def nll(l, s, logp, q):
    """ℓ[a,b] = −Σ_k q[a,k,b] logp[a,k,b]   (a term with q = 0 is 0);  s = Σ ℓ"""
    with np.errstate(invalid="ignore"):
        l[...] = -np.where(q == 0, 0, q * logp).sum(axis=1)
    s[0] = l.sum(dtype=np.float64)


@nll.cpu
def nll_cpu(l, s, logp, q):
    outer, K, inner = q.shape
    total = 0.0
    for a in range(outer):
        for b in range(inner):
            term = q.dtype.type(0)
            for k in range(K):
                term -= product_or_zero(q[a, k, b], logp[a, k, b])
            l[a, b] = term
            total += term
    s[0] = total


@kernel
def nll_backward(dx, q, norm):
    """dx = −q / norm"""
    dx[...] = -q / norm.astype(q.dtype)


@nll_backward.cpu
def nll_backward_cpu(dx, q, norm):
    dx, q = flat(dx), flat(q)
    n = q.dtype.type(norm[0])
    for i in range(q.size):
        dx[i] = -q[i] / n


@kernel
def cross_entropy_backward(dx, logp, q, norm):
    """dx[a,k,b] = (p[a,k,b] Σ_j q[a,j,b] − q[a,k,b]) / norm,  p = e^logp"""
    dx[...] = (np.exp(logp) * q.sum(axis=1, keepdims=True) - q) / norm.astype(q.dtype)


@cross_entropy_backward.cpu
def cross_entropy_backward_cpu(dx, logp, q, norm):
    outer, K, inner = q.shape
    n = q.dtype.type(norm[0])
    if inner == 1:
        cross_entropy_backward_rows(flat(dx), flat(logp), flat(q), n, K)
        return
    for a in range(outer):
        for b in range(inner):
            mass = q.dtype.type(0)
            for k in range(K):
                mass += q[a, k, b]
            for k in range(K):
                dx[a, k, b] = (exp(logp[a, k, b]) * mass - q[a, k, b]) / n


@jit
def cross_entropy_backward_rows(dx, logp, q, n, K):
    """``cross_entropy_backward`` of the rows of K numbers of flat arrays."""
    put_powers(dx, logp)
    for r in range(0, q.size, K):
        row, result = q[r : r + K], dx[r : r + K]
        mass = sum_of(row)
        for k in range(K):
            result[k] = (result[k] * mass - row[k]) / n


@kernel
def note_loss(losses, sums, step, position, alarm, s, norm, samples):
    """L = s / norm, NaN if norm = 0;  losses[step mod their number] = L;  sums += samples · L;  step += 1, position += samples;
    alarm = 1 if L is NaN"""
    value = s[0] / norm[0] if norm[0] != 0 else np.nan
    losses[step[0] % len(losses)] = value
    sums[0] += samples * value
    step[0] += 1
    position[0] += samples
    if value != value:
        alarm[0] = 1


@note_loss.cpu
@jit(exact=True)
def note_loss_cpu(losses, sums, step, position, alarm, s, norm, samples):
    value = s[0] / norm[0] if norm[0] != 0 else np.nan
    losses[step[0] % len(losses)] = value
    sums[0] += samples * value
    step[0] += 1
    position[0] += samples
    if value != value:
        alarm[0] = 1.0
