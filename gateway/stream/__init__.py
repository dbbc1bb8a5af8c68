"""Redis: the only code that speaks it.

`keys` names everything that is stored; `connection` and `link` are the two ways to talk
(commands and scripts; the publisher's packed batches); `lua/` holds the scripts, each one atomic
step with its contract on top; the other modules call them.

What survives what: a script's effects are all there or none; an append-only file synced every
second loses up to a second when the machine dies, and nothing when only the server does. What
was lost is published again from the journal, by position (`publisher`).
"""
