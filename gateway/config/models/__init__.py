"""The shape of the configuration: which keys there are, what each may hold, and what it means.

Meanings are told here once, for editors' schema and docs/configuration.md. What takes several
keys to judge is `checks`' business, the words for what does not fit are `findings`'. Read
`section` first, what a section is; then `document`, the whole file, and what it is made of:
`listeners`, `incoming`, `storage`, `subscribers` and `watching`.
"""

from gateway.config.models.document import Document
from gateway.config.models.incoming import SOURCE_ONLY_FOR, Source
from gateway.config.models.section import Section
from gateway.config.models.subscribers import ONLY_FOR, Subscriber

__all__ = ["ONLY_FOR", "SOURCE_ONLY_FOR", "Document", "Section", "Source", "Subscriber"]
