"""The journal: where an event is safe before its webhook is answered.

An append-only run of bytes, cut into segment files. A *position* is a place in that run: it
only ever grows, survives restarts, and names a record for ever, whatever file holds it.

`records` is the codec; `segment` one file; `disk` the only code that touches the file system;
`journal` appends, reads and forgets; `syncer` runs fdatasync on a thread of its own; `recovery`
finds the ends after a crash, and `overlaps` what two files claim at one place. `ownership` says
whose the journal is and under which name it is published, `watermarks` how far. Published
segments are kept for a while, so that an engine that lost its newest entries is healed from here.
"""
