"""Bound special methods of types written in C, such as `tree.__setitem__`.

They are of a type of their own: neither `types.MethodType` nor `types.BuiltinMethodType`.
"""

import types
from typing import Any

#: The type of `[].__len__` and `tree.__setitem__`, for adapter registrations.
METHOD_WRAPPER_TYPE = types.MethodWrapperType


def get_self(method_wrapper: types.MethodWrapperType) -> Any:
    """Return the object that `method_wrapper` is bound to."""
    return method_wrapper.__self__
