"""Scalar helpers inside compiled loops. Imported together with Numba, by the first compilation."""

from numba.extending import overload

from .like import like


@overload(like)
def _like(x, constant):
    cast = x  # a Numba type, which is also the conversion to it

    def convert(x, constant):
        return cast(constant)

    return convert
