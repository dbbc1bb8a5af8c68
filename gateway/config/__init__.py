"""The configuration: a YAML file and the environment in, checked `gateway.options` out.

    loading     one file through every step; raises with all that is wrong
    reading     a YAML file as plain values, each with its place
    source      those values, and what is wrong with them
    scalars     what a single word means, variables filled in
    models      the shape: which keys there are, and what each may hold
    values      the kinds of single values
    addresses   hosts, ports, paths, URLs, networks
    measures    how long, how big, how many
    files       what lies in files: secrets, certificates
    names       names, patterns and other words
    processors  how many processors this process may use
    findings    the words for what does not fit the shape
    checks      what takes more than one key to judge
    description what a configuration does, in a few lines
    reference   the page of all keys, made of `models`

Every mistake is found in one pass and told as `file:line:col: what is wrong and what would be
right`; nothing is ever half accepted, and no text here shows a secret.
"""

from gateway.config.description import describe
from gateway.config.loading import json_schema, load

__all__ = ["describe", "json_schema", "load"]
