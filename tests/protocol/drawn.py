"""Tensors that hypothesis draws: any datatype, any shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from torpor.protocol.tensors import DATATYPES

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NESTED = hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)


def arrays(datatype: str, shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES) -> st.SearchStrategy[Any]:
    """Draw arrays; BYTES hold `str`."""
    dtype = DATATYPES[datatype]
    if datatype == "BF16":  # hypothesis does not know it: any 16 bits are one
        return hnp.arrays(np.uint16, shapes).map(lambda array: array.view(dtype))
    return hnp.arrays(dtype, shapes, elements=TEXT if dtype.kind == "O" else None, fill=st.nothing())
