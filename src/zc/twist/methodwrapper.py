"""Bound special methods of types written in C, such as `tree.__setitem__`.

They have their own type, which is neither `types.MethodType` nor `types.BuiltinMethodType`.
"""

import types
from typing import Any

#: The type of `[].__len__` and `tree.__setitem__`, for adapter registrations.
METHOD_WRAPPER_TYPE = types.MethodWrapperType


def get_self(method_wrapper: types.MethodWrapperType) -> Any:
    """Return the object to which `method_wrapper` is bound."""
    return method_wrapper.__self__
