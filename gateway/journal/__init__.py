"""The journal: where an event is safe before its webhook is answered.

    journal     append, read, forget: one for each worker
    records     the codec of a record
    stretch     events on their way into the journal, and out of it
    segment     one file: a header, then records back to back
    files       the files, oldest first
    recent      the newest in memory, so that a publisher that keeps up never reads a file
    reading     the rest from its files, in bounded pieces, past any damage
    syncer      fdatasync, on a thread of its own
    watermarks  up to where each shard has it
    recovery    the ends, found again after any end
    overlaps    what two files claim at one place
    ownership   whose the journal is, and under which name it is published
    peek        a look at a journal that this process has not open
    disk        the only code that touches the file system

An append-only run of bytes, cut into segment files. A *position* is a place in that run: it only
ever grows, survives restarts, and names a record for ever, whatever file holds it. Published
segments are kept for a while, so that an engine that lost its newest entries is healed from here.
"""
