"""Redis: the only code that speaks it.

`keys` names everything that is stored; `connection` and `lines` are the two ways to talk
(commands and scripts, over `links` that are lent; packed batches on connections of one's own,
each a `link`); below them `resp` is the protocol, and `connecting` how a connection comes to be.
`lua/` holds the scripts, each one atomic step with its contract on top; the other modules call
them.

Where the servers are: `places` reads the URL, `topology` says who has a key, and has it asked for
anew when somebody doubts it (`sentinel`, `cluster`, by `asking`; `replies` tells when to). Who
talks never decides that by itself.

A journal on its way: `publisher` sends batches through `shard_writer`, by `positions`; `owning`
sees to it that nobody else publishes under its name, `accounts` that what it wrote and what was
taken of it add up. Should Redis have lost whom it knew, `restoring` puts the subscribers back
before anything is published again: `known` remembers them, `lives` tells an emptied shard from
one that lost its tail, `putting_back` makes the groups. What gives way when memory runs short is
`yielding`'s; `held` says who holds it.

What survives what: a script's effects are all there or none; an append-only file synced every
second loses up to a second when the machine dies, and nothing when only the server does. What
was lost is published again from the journal, by position (`publisher`).
"""
