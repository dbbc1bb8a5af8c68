"""What takes more than one key to judge: names that clash, keys that need one another.

    sound       the parts of a file that nothing is wrong with
    whole       what holds for the process as a whole
    entries     what entries of several lists have in common
    sources     each source
    subscribers each subscriber

Runs over the plain values beside `models`, not after it, so that one run shows every mistake:
each check looks only at parts that are sound, and leaves the others alone.
"""

from gateway.config.checks import sources, subscribers, whole
from gateway.config.checks.sound import Sound
from gateway.config.source import Source


def check(source: Source) -> None:
    """Report to `source` what is wrong between keys."""
    sound = Sound(source)
    for judge in (*whole.CHECKS, sources.check, subscribers.check):
        judge(sound)
