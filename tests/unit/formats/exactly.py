"""Equality that tells types apart, and knows NaN."""

import math
from typing import Any


def exactly(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if type(left) is dict:
        return left.keys() == right.keys() and all(exactly(left[name], right[name]) for name in left)
    if type(left) is list:
        return len(left) == len(right) and all(map(exactly, left, right))
    if type(left) is float:
        return (math.isnan(left) and math.isnan(right)) or str(left) == str(right)
    return bool(left == right)
