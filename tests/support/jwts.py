"""PyJWT for tests: the secrets of tests are short, about which it would warn."""

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jwt
from jwt.warnings import InsecureKeyLengthWarning

P = ParamSpec("P")
R = TypeVar("R")


def _quiet(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def quiet(*args: P.args, **more: P.kwargs) -> R:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            return function(*args, **more)

    return quiet


encode, decode = _quiet(jwt.encode), _quiet(jwt.decode)
