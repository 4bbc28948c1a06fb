"""How tests call the forms of a kernel and compare what they wrote."""

import numpy as np
from tolerances import assert_close


def copies(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def run(form, arguments):
    """The arguments after a call of ``form``; what it was given stays as it was."""
    after = copies(arguments)
    assert form(*after) is None
    return after


def assert_agree(kernel, case, arguments, form, whole):
    """A form writes what the definition does: to the bit on whole numbers wherever the operation is exact, else within
    K · eps · Σ|terms|. Neither changes an input."""
    expected, actual = run(kernel.definition, arguments), run(form, arguments)
    for given, one, other in zip(arguments[case.outputs :], expected[case.outputs :], actual[case.outputs :], strict=True):
        np.testing.assert_array_equal(one, given, err_msg=f"the definition of {kernel.name} changed an input")
        np.testing.assert_array_equal(other, given, err_msg=f"the other form of {kernel.name} changed an input")
    sums = _sums_of_terms(kernel, case, arguments, expected)
    for one, other, scale in zip(expected[: case.outputs], actual[: case.outputs], sums, strict=True):
        if one is None:
            continue
        assert not np.isnan(one).any(), "an element of the output was not written"
        if one.dtype.kind != "f" or (whole and case.exact):
            np.testing.assert_array_equal(other, one)
        else:
            assert_close(other, one, scale=scale)


def _sums_of_terms(kernel, case, arguments, expected):
    """Σ|terms| for each output where it is known: a linear kernel's definition, applied to |arguments|."""
    if case.total:
        return [None, max(1.0, float(np.abs(expected[0]).sum()))]
    if not case.linear:
        return [None] * case.outputs
    sizes = [abs(a) if isinstance(a, np.ndarray) else a for a in arguments]
    return run(kernel.definition, sizes)[: case.outputs]
