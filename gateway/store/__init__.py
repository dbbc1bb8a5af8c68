"""What lies in Redis: every key, every script, and all that reads and writes them.

    keys         every key: its name, type, and what it is for. Read it first
    scripts      the Lua scripts in `lua/`, each one atomic step, and calls of them as values
    entries      entries of the streams and their ids
    parcels      an event with its history, as parked deliveries and dead letters keep it
    format       the stored format: written once, looked at by everybody who comes later
    rates        how fast something comes, all processes together

    publishing   from the journal into the streams
    taking       from the streams to the workers of a subscriber, and back
    watching     what the feed reads
    states       the states of calls
    restoring    subscribers that Redis has lost are put back
    upkeep       bounds, sums, and moving to another engine

What survives what: a script's effects are all there or none; an append-only file synced every
second loses up to a second when the machine dies, and nothing when only the server does. What
was lost is published again from the journal, by position (`publishing`).
"""
