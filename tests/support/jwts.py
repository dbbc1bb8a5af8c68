"""PyJWT for tests: the secrets of tests are short, about which it would warn."""

import functools
import warnings

import jwt
from jwt.warnings import InsecureKeyLengthWarning


def _quiet(function):
    @functools.wraps(function)
    def quiet(*args, **more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            return function(*args, **more)

    return quiet


encode, decode = _quiet(jwt.encode), _quiet(jwt.decode)
