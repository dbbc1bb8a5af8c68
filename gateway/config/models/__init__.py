"""The shape of the configuration: which keys there are, what each means, and what it may hold.

    section     what every section has in common, and a key's meaning, unit and example
    document    the file as a whole
    incoming    apps, ingest and sources
    storage     journal, Redis, retention
    subscribers subscribers of every kind
    watching    the feed, and Stream's API
    listeners   the public port, the admin listener, the log

`gateway.options` is what comes out; docs/configuration.md is made of what is said here.
"""

from gateway.config.models.document import Document
from gateway.config.models.incoming import SOURCE_ONLY_FOR, Source
from gateway.config.models.section import Section
from gateway.config.models.subscribers import ONLY_FOR, Subscriber

__all__ = ["ONLY_FOR", "SOURCE_ONLY_FOR", "Document", "Section", "Source", "Subscriber"]
