"""Bugs that people write into backpropagation by hand, each as a patch of our sources that one line of text describes.

Most change one factor, one index or one sign, and leave every shape as it was: nothing crashes, the network merely learns
worse. A patch replaces ``old``, which occurs once in its file, by ``new``.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A bug: the file it is in, the text it replaces, what it is, and the tests that a layer's author would run."""

    file: str
    old: str
    new: str
    bug: str
    tests: tuple[str, ...]


def _layer(name):
    """Central differences on NumPy's definitions, of the cases of a layer."""
    return "test_layers.py::test_gradcheck", "-k", f"reference and {name}"


def _loss(name):
    return "test_losses.py::test_backward_is_the_derivative_of_forward", "-k", f"reference and {name}"


def _optimizer(name):
    return "test_optim.py::test_five_steps_by_the_formula", "-k", name


def _loops(name):
    """The compiled loops of a kernel beside its definition."""
    return (f"test_kernel.py::test_compiled_equals_definition[{name}-float64]",)


def _of(package, check, *bugs):
    """Mutations of one package; each bug is (file, name of what is checked, old, new, description)."""
    return [Mutation(f"{package}/{file}", old, new, bug, check(name)) for file, name, old, new, bug in bugs]


LAYERS = _of(
    "manualbp/layers", _layer,
    ("linear.py", "Linear", "matmul_nn(dx, dy, self.W, 0.0)  # (4)",
     "matmul_nn(dx, dy, self.W.T.reshape(self.W.shape), 0.0)  # (4)", "∂L/∂x with W read in the order of its transpose"),
    ("linear.py", "Linear", "matmul_nn(dx, dy, self.W, 0.0)  # (4)", "matmul_nn(dx, dy, abs(self.W), 0.0)  # (4)",
     "the sign of the weights is lost on the way back"),
    ("conv.py", "Conv2d", "conv2d_input_gradient(dx, dy, self.W, self.window)",
     "conv2d_input_gradient(dx, dy, self.W, self.window._replace(padding=(0, 0)))", "∂L/∂x forgets the padding"),
    ("conv.py", "Conv2d", "conv2d_input_gradient(dx, dy, self.W, self.window)",
     "conv2d_input_gradient(dx, dy, self.W[:, :, ::-1, ::-1], self.window)", "filters flipped in ∂L/∂x, as for a convolution "
     "proper"),
    ("conv.py", "Conv2d", "conv2d_backward_weights(self.dW, self.db, x, dy, self.window)  # (3) (4)\n        dx",
     "self.dW[...] = 0; conv2d_backward_weights(self.dW, self.db, x, dy, self.window)\n        dx",
     "the filters' gradient is overwritten, not accumulated"),
    ("conv.py", "Conv2d", "conv2d_backward_weights(self.dW, self.db, x, dy, self.window)  # (3) (4)\n        dx",
     "conv2d_backward_weights(self.dW, None, x, dy, self.window)\n        dx", "the bias gradient is forgotten"),
    ("conv.py", "Conv1d", "conv2d_backward_weights(self.dW[:, :, None], self.db, x, dy, self.window)",
     "self.db[...] = 0; conv2d_backward_weights(self.dW[:, :, None], self.db, x, dy, self.window)",
     "the bias gradient is overwritten, not accumulated"),
    ("conv.py", "Conv1d", "conv2d_input_gradient(dx, dy, self.W[:, :, None], self.window)",
     "conv2d_input_gradient(dx, dy, self.W[:, :, None], self.window._replace(dilation=(1, 1)))",
     "∂L/∂x forgets the dilation"),
    ("pool.py", "GlobalAvgPool2d", "avg_pool2d_backward(dx, dy[:, :, None, None], Window(shape[2:]), True)",
     "avg_pool2d_backward(dx, dy[:, :, None, None] * shape[3], Window(shape[2:]), True)", "1/H in place of 1/(H W)"),
    ("pool.py", "AvgPool2d", "avg_pool2d_backward(dx, dy, self.window, self.count_include_pad)",
     "avg_pool2d_backward(dx, dy, self.window, True)", "backward divides by the whole window at the border, forward does not"),
    ("shape.py", "LastStep", "put_step(dx, dy, shape[1] - 1)", "put_step(dx, dy, 0)",
     "the gradient of the last step goes to the first"),
    ("shape.py", "Flatten", "return dy.reshape(shape)  # (3)\n\n    def describe(self) -> str:\n        return \"\" if",
     "return dy.reshape(shape[::-1]).T  # (3)\n\n    def describe(self) -> str:\n        return \"\" if",
     "the gradient is unrolled in the other order"),
    ("dropout.py", "Dropout", "multiply(dx, dy, mask)", "multiply(dx, dy, dy * 0 + 1)",
     "the mask is not applied on the way back"),
    ("relu.py", "ELU", "elu(y, x, self.alpha, 1.0)  # (3)\n        self.cache = (x,)",
     "elu(y, x, self.alpha, 1.0)  # (3)\n        self.cache = (y,)", "y is cached where backward expects x"),
    ("relu.py", "ELU", "elu_backward(dx, dy, x, self.alpha, 1.0)", "elu_backward(dx, dy, x, 1.0, 1.0)",
     "backward takes α for 1"),
    ("relu.py", "SELU", "elu_backward(dx, dy, x, SELU_ALPHA, SELU_SCALE)", "elu_backward(dx, dy, x, SELU_ALPHA, 1.0)",
     "backward forgets the scale λ"),
    ("relu.py", "LeakyReLU", "leaky_relu_backward(dx, dy, x, self.negative_slope)", "leaky_relu_backward(dx, dy, x, 0.0)",
     "backward is that of a plain ReLU"),
    ("sigmoid.py", "Sigmoid", "sigmoid(y, x)  # (1)\n        self.cache = (y,)",
     "sigmoid(y, x)  # (1)\n        self.cache = (x,)", "x is cached where backward expects y"),
    ("sigmoid.py", "Tanh", "tanh_backward(dx, dy, y)  # (5)", "dx[...] = dy  # (5)", "no activation derivative at all"),
    ("gelu.py", "SiLU", "silu(y, x)  # (1)\n        self.cache = (x,)", "silu(y, x)  # (1)\n        self.cache = (y,)",
     "y is cached where backward expects x"),
    ("gelu.py", "GELU", "gelu_tanh_backward(dx, dy, x)  # (6)", "gelu_backward(dx, dy, x)  # (6)",
     "backward of the exact form behind the forward of the approximation"),
    ("softmax.py", "Softmax", "softmax_backward(dx.reshape(groups), dy.reshape(groups), y.reshape(groups))  # (3)",
     "log_softmax_backward(dx.reshape(groups), dy.reshape(groups), y.reshape(groups))  # (3)",
     "the backward of LogSoftmax behind the forward of Softmax"),
    ("rnn.py", "RNN", "before, _ = self.before_and_after(h)", "_, before = self.before_and_after(h)",
     "W_hh's gradient meets the state after the step, not the one before it"),
    ("rnn.py", "RNN", "add(self.db_hh, self.db_hh, db)", "pass", "the second bias gets no gradient"),
    ("rnn.py", "RNN", "matmul_tn(self.dW_hh, rows(dz), rows(before), 1.0)",
     "matmul_tn(self.dW_hh, dz[-1], before[-1], 1.0)", "W_hh's gradient is that of the last step alone"),
    ("lstm.py", "LSTM", "before, _ = self.before_and_after(h)", "before, _ = self.before_and_after(c)",
     "W_hh's gradient meets the memory c in place of the state h"),
    ("lstm.py", "LSTM", "matmul_tn(self.dW_ih, rows(dz), rows(x), 1.0)", "matmul_tn(self.dW_ih, rows(dz), rows(x), 0.0)",
     "W_ih's gradient is overwritten, not accumulated"),
    ("gru.py", "GRU", "sum_rows(self.db_hh, rows(da), 1.0)", "sum_rows(self.db_hh, rows(dz), 1.0)",
     "both biases get the same gradient, as in the LSTM"),
    ("gru.py", "GRU", "matmul_tn(self.dW_hh, rows(da), rows(before), 1.0)",
     "matmul_tn(self.dW_hh, rows(dz), rows(before), 1.0)",
     "W_hh's gradient forgets that the reset gate multiplies its product"),
    ("recurrent.py", "RNN", "add(dy, dxs[0], dxs[1])  # (2)", "copy(dy, dxs[0])  # (2)",
     "of two directions one hands its gradient back"),
    ("recurrent.py", "LSTM", "take_columns(half, dy, d * self.hidden_size)", "take_columns(half, dy, 0)",
     "both directions get the gradient of the first"),
    ("recurrent.py", "RNN", "dy = self.dropouts[k].backward(dy)", "self.dropouts[k].backward(dy)",
     "the dropout between layers is left out on the way back"),
)  # fmt: skip

KERNELS = _of(
    "manualbp_kernels", _layer,
    ("matmul.py", "Linear", "dW += dy.T @ x", "dW += (x.T @ dy).reshape(dW.shape)", "the outer product the wrong way round"),
    ("matmul.py", "Linear", "dW += dy.T @ x", "dW += dy.T @ x / len(x)", "an average over the batch that the loss has taken "
     "already"),
    ("matmul.py", "Linear", "dW += dy.T @ x", "dW[...] = dy.T @ x", "the weights' gradient is overwritten, not accumulated"),
    ("matmul.py", "Linear", "db += dy.sum(axis=0)", "db += dy[0]", "the bias gradient is that of the first sample"),
    ("matmul.py", "Linear", "db += dy.sum(axis=0)", "db += dy.mean(axis=0)", "the bias gradient is an average"),
    ("matmul.py", "RNN", "else beta * C + A.T @ B", "else A.T @ B", "a product that forgets β: nothing accumulates"),
    ("conv.py", "Conv2d", "\"ngohw,ngcijhw->gocij\", by_group, patches, optimize=True).reshape(dW.shape)",
     "\"ngohw,ngcijhw->gocij\", by_group, patches, optimize=True).reshape(dW.shape) / len(x)",
     "filters' gradient averaged over "
     "the batch"),
    ("conv.py", "Conv2d", "\"gocij,ngohw->ngcijhw\", filters,", "\"gocij,ngohw->ngcijhw\", np.roll(filters, 1, axis=-1),",
     "∂L/∂x is off by one column of the filter"),
    ("conv.py", "Conv2d", "_by_group(unfold(x, window, dy.shape[2:]), dW)",
     "_by_group(unfold(np.roll(x, 1, axis=3), window, dy.shape[2:]), dW)", "filters' gradient is off by one pixel"),
    ("conv.py", "Conv2d", "beta * s + x.sum(axis=(0, 2, 3))", "beta * s + x.mean(axis=(0, 2, 3))",
     "the bias gradient is an average over pixels"),
    ("window.py", "Conv2d", "padded[:, :, i * dh :, j * dw :][:, :, : Ho * sh : sh, : Wo * sw : sw] += patches[:, :, i, j]",
     "padded[:, :, i * dh :, j * dw :][:, :, : Ho * sh : sh, : Wo * sw : sw] = patches[:, :, i, j]",
     "where windows overlap, the last one overwrites the gradient of the others"),
    ("window.py", "Conv2d", "return padded[:, :, ph : ph + H, pw : pw + W]", "return padded[:, :, :H, :W]",
     "the gradient of the padding is handed to the image"),
    ("pool.py", "AvgPool2d", "share = (dy / _sizes(dx, window, dy, count_padding)).astype(dx.dtype)", "share = dy",
     "an average that hands its whole gradient to each pixel"),
    ("pool.py", "MaxPool2d", "np.add.at(planes, (np.arange(N * C)[:, None], argmax.reshape(N * C, -1)), dy.reshape(N * C, -1))",
     "planes[np.arange(N * C)[:, None], argmax.reshape(N * C, -1)] = dy.reshape(N * C, -1)",
     "a pixel that wins in two windows gets the gradient of one"),
    ("pool.py", "MaxPool2d", "argmax[...] = np.take_along_axis(np.broadcast_to(pixels, values.shape), first, axis=2)[:, :, 0]",
     "argmax[...] = first[:, :, 0]", "the place of the maximum is kept relative to its window, and read as a pixel"),
    ("relu.py", "ReLU", "dx[...] = np.where(x <= 0, 0, dy)", "dx[...] = np.where(x >= 0, 0, dy)", "the wrong side passes"),
    ("relu.py", "ReLU", "dx[...] = np.where(x <= 0, 0, dy)", "dx[...] = np.where(dy <= 0, 0, dy)",
     "the sign of the gradient is looked at in place of the sign of x"),
    ("relu.py", "LeakyReLU", "np.where(x > 0, dy, slope * dy)", "np.where(x > 0, dy, slope)",
     "the chain rule ends at the slope"),
    ("relu.py", "ELU", "np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))",
     "np.where(x > 0, 1, alpha * np.expm1(np.minimum(x, 0)))", "f in place of f′ on the negative side"),
    ("sigmoid.py", "Sigmoid", "dx[...] = dy * y * (1 - y)", "dx[...] = dy * (1 - y)", "y (1 − y) without y"),
    ("sigmoid.py", "Tanh", "dx[...] = dy * (1 - y * y)", "dx[...] = dy * (1 - y)", "1 − y in place of 1 − y²"),
    ("sigmoid.py", "Tanh", "dx[...] = dy * (1 - y * y)", "dx[...] = dy * y * (1 - y)", "the derivative of the sigmoid"),
    ("sigmoid.py", "Softplus", "dx[...] = dy * np.where(beta * x > threshold",
     "dx[...] = dy / beta * np.where(beta * x > threshold", "forward's 1/β is kept in the derivative, where β cancels it"),
    ("gelu.py", "SiLU", "dx[...] = dy * s * (1 + x * (1 - s))", "dx[...] = dy * s", "half of the product rule"),
    ("gelu.py", "GELU", "0.5 * (1 + _erf(x * SQRT_1_2)) + x * SQRT_1_2PI", "0.5 * (1 + _erf(x * SQRT_1_2)) + SQRT_1_2PI",
     "φ(x) in place of x φ(x)"),
    ("gelu.py", "GELU", "(1 + 3 * CUBIC * x * x))", "(1 + CUBIC * x * x))", "the inner derivative of x³ without its 3"),
    ("softmax.py", "Softmax", "dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))", "dx[...] = y * (1 - y) * dy",
     "the diagonal of the Jacobian alone, as for a sigmoid"),
    ("softmax.py", "Softmax", "dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))", "dx[...] = y * dy", "no sum at all"),
    ("softmax.py", "Softmax", "dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))",
     "dx[...] = y * (dy - dy.sum(axis=1, keepdims=True))", "the sum without its weights y"),
    ("softmax.py", "LogSoftmax", "dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)",
     "dx[...] = dy - y * dy.sum(axis=1, keepdims=True)", "the logarithm of the probability in place of the probability"),
    ("random.py", "Dropout", "np.multiply(mask, x, out=y)", "np.multiply(mask, x, out=y)\n    mask[...] = mask != 0",
     "backward forgets the factor 1/(1 − p)"),
    ("elementwise.py", "LastStep", "y[...] = 0\n    y[:, t] = x", "y[...] = x[:, None]",
     "steps that did not reach the output get its gradient"),
    ("recurrent.py", "RNN", "dz[t] = (dy[t] + dh0) * slope", "dz[t] = dy[t] * slope", "time is cut off after one step"),
    ("recurrent.py", "RNN", "slope = h[after] > 0 if relu else 1 - h[after] ** 2",
     "slope = h[after] > 0 if relu else 1 - h[after]",
     "1 − h in place of 1 − h²"),
    ("recurrent.py", "RNN", "for t, _, after in reversed(order(len(dz), reverse)):",
     "for t, after, _ in reversed(order(len(dz), reverse)):", "the activation derivative of the wrong step"),
    ("recurrent.py", "RNN", "for t, _, after in reversed(order(len(dz), reverse)):",
     "for t, _, after in order(len(dz), reverse):",
     "backward goes through time first step first"),
    ("recurrent.py", "RNN", "dz[t] = (dy[t] + dh0) * slope\n        dh0[...] = dz[t] @ W",
     "dz[t] = (dy[t] + dh0) * slope\n        dh0[...] = dz[t] @ W.T", "W_hh in place of its transpose through time"),
    ("recurrent.py", "RNN", "dz[t] = (dy[t] + dh0) * slope\n        dh0[...] = dz[t] @ W",
     "dz[t] = (dy[t] + dh0) * slope\n        dh0[...] += dz[t] @ W",
     "the carried gradient is added to what was carried before"),
    ("recurrent.py", "LSTM", "dc * c[before] * f * (1 - f)", "dc * c[after] * f * (1 - f)",
     "the forget gate meets the new memory, not the one it forgot"),
    ("recurrent.py", "LSTM", "dc = dc0 + dh * o * (1 - u * u)", "dc = dh * o * (1 - u * u)",
     "the gradient along the memory is cut"),
    ("recurrent.py", "LSTM", "dc = dc0 + dh * o * (1 - u * u)", "dc = dc0 + dh * o", "no derivative of the tanh around c"),
    ("recurrent.py", "LSTM", "dc0[...] = dc * f", "dc0[...] = dc",
     "the memory's gradient is not multiplied by the forget gate"),
    ("recurrent.py", "LSTM", "dh * u * o * (1 - o)", "dh * c[after] * o * (1 - o)", "c in place of tanh c at the output gate"),
    ("recurrent.py", "LSTM", "dc * i * (1 - g * g)", "dc * i * g * (1 - g)", "the candidate's tanh taken for a sigmoid"),
    ("recurrent.py", "LSTM", "dc * g * i * (1 - i)", "dc * i * (1 - i)", "the input gate does not know what it let in"),
    ("recurrent.py", "GRU", "du = dh * (h[before] - n) * u * (1 - u)", "du = dh * (n - h[before]) * u * (1 - u)",
     "the update gate's sign, after its other convention"),
    ("recurrent.py", "GRU", "dn = dh * (1 - u) * (1 - n * n)", "dn = dh * u * (1 - n * n)", "u and 1 − u change places"),
    ("recurrent.py", "GRU", "dh0[...] = dh * u + da[t] @ W", "dh0[...] = da[t] @ W",
     "the direct way from state to state is lost"),
    ("recurrent.py", "GRU", "da[t] = np.concatenate([dr, du, dn * r], axis=1)", "da[t] = np.concatenate([dr, du, dn], axis=1)",
     "the candidate's gradient does not pass the reset gate"),
    ("recurrent.py", "GRU", "dr = dn * inner[t] * r * (1 - r)", "dr = dn * n * r * (1 - r)",
     "the reset gate meets the candidate in place of the product that it gates"),
)  # fmt: skip

LOSSES = _of(
    "manualbp", _loss,
    ("losses/regression.py", "MSELoss", "mse_backward(dy, y, t, self.weight_of_a_term(y.size))",
     "mse_backward(dy, y, t, self.weight_of_a_term(len(y)))", "a mean over samples behind a mean over elements"),
    ("losses/regression.py", "SmoothL1Loss", "huber_backward(dy, y, t, self.beta, g / self.beta)",
     "huber_backward(dy, y, t, self.beta, g)", "Huber's gradient, not divided by β"),
    ("losses/loss.py", "MSELoss", "return 1.0 / count if self.reduction in (\"mean\", \"batchmean\") else 1.0",
     "return 1.0 / count", "a sum is differentiated as a mean"),
    ("losses/loss.py", "MSELoss", "return 1.0 / count if self.reduction in (\"mean\", \"batchmean\") else 1.0", "return 1.0",
     "a mean is differentiated as a sum"),
    ("losses/binary.py", "BCEWithLogitsLoss", "bce_logits_backward(dx, x, t, self._weight(x), ",
     "bce_logits_backward(dx, x, t, self._weight(x) * 0 + 1, ", "the weight of positive targets is forgotten"),
    ("losses/divergence.py", "KLDivLoss", "self.weight_of_a_term(self._count(t))", "self.weight_of_a_term(t.size)",
     "forward divides by the samples, backward by the elements"),
    ("losses/classes.py", "NLLLoss", "return self._norm if self.reduction == \"mean\" else self._one", "return self._one",
     "a mean is differentiated as a sum"),
) + _of(
    "manualbp_kernels", _loss,
    ("loss.py", "MSELoss", "dy[...] = 2 * g * (y - t)", "dy[...] = g * (y - t)", "1/n in place of 2/n"),
    ("loss.py", "MSELoss", "dy[...] = 2 * g * (y - t)", "dy[...] = 2 * g * (t - y)", "target minus prediction"),
    ("loss.py", "L1Loss", "dy[...] = g * np.sign(y - t)", "dy[...] = g * (y - t)", "the derivative of half a square"),
    ("loss.py", "HuberLoss", "y - t, delta * np.sign(y - t))", "y - t, np.sign(y - t))", "the linear part without δ"),
    ("loss.py", "BCELoss", "dy[...] = g * (y - t) / np.maximum(y * (1 - y), VARIANCE_FLOOR)", "dy[...] = g * (y - t)",
     "the gradient by the logit, not by the probability"),
    ("loss.py", "BCEWithLogitsLoss", "np.where(x >= 0, e, 1) / (1 + e))", "np.where(x >= 0, 1, e) / (1 + e))",
     "σ(x) in place of σ(−x)"),
    ("loss.py", "KLDivLoss", "dx[...] = -g * (np.exp(t) if log_target else t)", "dx[...] = -g * t",
     "a target in logarithms is taken for probabilities"),
    ("loss.py", "NLLLoss", "dx[...] = -q / norm.astype(q.dtype)", "dx[...] = q / norm.astype(q.dtype)", "a missing minus sign"),
    ("loss.py", "CrossEntropyLoss", "(np.exp(logp) * q.sum(axis=1, keepdims=True) - q) / norm", "(np.exp(logp) - q) / norm",
     "p − q without Σ q: right only without class weights and ignored targets"),
    ("loss.py", "CrossEntropyLoss", "(np.exp(logp) * q.sum(axis=1, keepdims=True) - q) / norm",
     "(logp * q.sum(axis=1, keepdims=True) - q) / norm", "log p in place of p"),
)  # fmt: skip

OPTIMIZERS = _of(
    "manualbp_kernels", _optimizer,
    ("update.py", "SGD", "    p -= lr * g", "    p += lr * g", "the step goes uphill"),
    ("update.py", "SGD", "else momentum * v + keep * g", "else keep * g - momentum * v", "momentum's sign"),
    ("update.py", "SGD", "v[...] = g if step[0] == 1 else momentum", "v[...] = momentum", "dampening in the first step too"),
    ("update.py", "SGD", "g = g + momentum * v if nesterov else v", "g = v + momentum * g if nesterov else v",
     "Nesterov with gradient and velocity exchanged"),
    ("update.py", "Adam", "rate, root = lr / (1 - beta1 ** step[0]), math.sqrt(1 - beta2 ** step[0])",
     "rate, root = lr, math.sqrt(1 - beta2 ** step[0])", "the first moment without its bias correction"),
    ("update.py", "Adam", "rate, root = lr / (1 - beta1 ** step[0]), math.sqrt(1 - beta2 ** step[0])",
     "rate, root = lr / (1 - beta1 ** (step[0] - 1 or 1)), math.sqrt(1 - beta2 ** (step[0] - 1 or 1))",
     "the bias correction counts steps from 0"),
    ("update.py", "Adam", "v[...] = beta2 * v + slow2 * g * g", "v[...] = beta2 * v + slow2 * g", "g in place of g²"),
    ("update.py", "Adam", "p -= rate * (m / (np.sqrt(v) / root + eps))", "p -= rate * (m / np.sqrt(v / root**2 + eps))",
     "ε under the root"),
    ("update.py", "AdamW", "        p *= shrink\n", "        g = g + decay * p\n", "AdamW's weight decay inside the gradient"),
    ("update.py", "RMSprop", "np.sqrt(s - mean * mean)", "np.sqrt(s - mean)", "centered: the mean without its square"),
    ("update.py", "RMSprop", "s[...] = alpha * s + keep * g * g", "s[...] = keep * s + alpha * g * g",
     "α and 1 − α change places"),
    ("update.py", "Adagrad", "s += g * g\n", "s[...] = g * g\n", "the sum of squares is overwritten, not accumulated"),
    ("update.py", "Adagrad", "lr / (1 + (step[0] - 1) * lr_decay)", "lr / (1 + step[0] * lr_decay)",
     "the learning rate decays one step early"),
)  # fmt: skip

LOOPS = _of(
    "manualbp_kernels", _loops,
    ("matmul.py", "matmul_nn", "product(m, n, k, c, n, a, k, 1, b, n, 1, start, c)",
     "product(m, n, k, c, n, a, k, 1, b, 1, k, start, c)", "B is read as if it were stored transposed"),
    ("matmul.py", "matmul_nn", "if beta == 0 and m * n * k <= TINIEST:", "if m * n * k <= TINIEST:",
     "the form for tiny matrices forgets β"),
    ("matmul.py", "matmul_nn", "for p in range(whole, k):", "for p in range(whole, k - 1):",
     "rows are added four at a time, and the last of those left over is not"),
    ("matmul.py", "matmul_nt", "for j in range(0, n, 4):", "for j in range(0, n - 3, 4):",
     "columns are made four at a time, and those left over are not"),
    ("matmul.py", "matmul_tn", "b, n, 1, begin(c, beta), c)", "b, n, 1, ZERO, c)", "a product that forgets β"),
    ("matmul.py", "linear_backward_weights", "db[j] += d[i * n + j]", "db[j] = d[i * n + j]",
     "the bias gradient is that of the last sample"),
    ("matmul.py", "sum_rows", "for i in range(A.shape[0]):", "for i in range(1, A.shape[0]):", "the first row is not summed"),
    ("cpu/gemm.py", "matmul_nn", "for i in range(0, m, ROWS):", "for i in range(0, m - m % ROWS, ROWS):",
     "a last tile that is not full is not computed"),
    ("conv.py", "conv2d", "(c * Hp + i * dh) * Wp + j * dw", "(c * Hp + i * dh) * Wp + j", "taps lie side by side whatever the "
     "dilation"),
    ("conv.py", "conv2d", "for k in range(whole, K):", "for k in range(whole, K - 1):",
     "depthwise, three taps at a time, and the last of those left over is not added"),
    ("conv.py", "conv2d", "for w in range(0, width, step):", "for w in range(0, width - width % step, step):",
     "the last vector of a row, where it is not full, is not copied"),
    ("conv.py", "conv2d_input_gradient", "k // taps * K + taps - 1 - k % taps", "k // taps * K + k % taps",
     "the filters are not turned by 180°"),
    ("conv.py", "conv2d_input_gradient", "padded[to + w * window[3]] += patches[of + w]",
     "padded[to + w * window[3]] = patches[of + w]", "where windows overlap, the last one overwrites the others"),
    ("conv.py", "conv2d_weight_gradient", "p // Wo * window[2] * Wp + p % Wo * window[3]",
     "p // Wo * window[2] * Wp + p % Wo", "windows lie side by side whatever the stride"),
    ("conv.py", "sum_channels", "s[c] += sum_plane(planes[n, c])", "s[c] = sum_plane(planes[n, c])",
     "the bias gradient is that of the last image"),
    ("pool.py", "max_pool2d", "wins = (value > best)", "wins = (value >= best)", "the last of equals in place of the first"),
    ("pool.py", "max_pool2d_backward", "dx[p, argmax[p, i]] += dy[p, i]", "dx[p, argmax[p, i]] = dy[p, i]",
     "a pixel that wins in two windows gets the gradient of one"),
    ("pool.py", "avg_pool2d_backward", "share = dy[n, c, h, w] / dy.dtype.type(size)",
     "share = dy[n, c, h, w] / dy.dtype.type(kh * kw)", "at the border it divides by the whole window"),
    ("softmax.py", "softmax_backward", "dot += dy[a, k, b] * y[a, k, b]", "dot += dy[a, k, b]",
     "the sum without its weights y"),
    ("softmax.py", "log_softmax", "total += exp(y[a, k, b])", "total += exp(x[a, k, b])",
     "the largest is subtracted from the result and not from the sum"),
    ("random.py", "dropout", "mask[i] = 0 if words[lane] < limit else kept", "mask[i] = 0 if words[0] < limit else kept",
     "four neighbours share one random number"),
    ("random.py", "dropout", "state[1] += np.uint64((x.size + 3) // 4)", "state[1] += np.uint64(x.size // 4)",
     "the counter stops before the last block, where it is not full"),
    ("recurrent.py", "rnn", "return (T - 1 - s, T - s, T - 1 - s) if reverse",
     "return (T - 1 - s, T - 1 - s, T - s) if reverse",
     "from right to left, the states before and after are exchanged"),
    ("recurrent.py", "lstm_backward", "            for k in range(H):\n                dc_n[k] *= f[k]\n", "",
     "the memory's gradient is not multiplied by the forget gate"),
    ("update.py", "adam", "m[i] += slow1 * (d - m[i])", "m[i] += slow1 * d", "an average that forgets to forget"),
)  # fmt: skip

MUTATIONS = LAYERS + KERNELS + LOSSES + OPTIMIZERS + LOOPS
