"""The commands, a module each; `gateway.cli` imports the one that is called for.

A command finds out what to do, does it, and tells it in text for people or, with `--json`, for
programs. What is told goes to standard output, everything else to standard error. A name or an
id that does not exist is told before anything is changed.
"""
