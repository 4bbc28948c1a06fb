"""Data to learn from: the digits that come with the package, and files in MNIST's format or NumPy's.

Images are float32 (N, 1, H, W) from 0 (paper) to 1 (ink); labels are int64 (N,).
"""

from .dataset import Dataset, as_images, digits, enlarge, load
from .idx import read_idx

__all__ = ["Dataset", "as_images", "digits", "enlarge", "load", "read_idx"]
