"""Array types of the package: one name for each kind of column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
AnyFloatArray = npt.NDArray[np.floating]
"""Of either width: a load series is stored as 32-bit and computed with as 64-bit floats."""
IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.intp]
"""Places in another array, as `argsort`, `nonzero` and `searchsorted` give them."""
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
ObjectArray = npt.NDArray[np.object_]
RecordArray = npt.NDArray[np.void]
"""A structured array, with named columns."""
AnyArray = npt.NDArray[Any]
