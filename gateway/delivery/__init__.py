"""Delivery: from the streams to the subscribers, with retries, in order where order is promised.

    service    a worker for each subscriber
    sharing    which shards are whose, among all processes that deliver
    worker     one subscriber over all shards: the loop, pausing, draining
    rounds     all that a worker says to Redis, one round trip at a time
    leases     the right to work on a shard: acquiring, renewing, losing
    read_ahead how much of it is to be in memory
    claim      the hold on one shard: lease, what was read, what is to be settled
    triage     what was read: to be attempted, unmatched, or buried because too much waits
    matching   which events a subscriber wants
    sequencer  who is next: order within calls, the share of the lanes
    attempts   hands events to the subscriber, and acts on what `settlement` says
    settlement what becomes of an event after an attempt
    lanes      when it is tried again
    backlog    what to bury when too much waits

A worker holds a lease on each (subscriber, shard) that it reads. It starts an attempt only
while the lease is certain, and every script that reads or settles checks the lease's token: a
worker that was frozen or cut off settles nothing and starts nothing when it comes back. What is
read and not settled stays in the group's pending list, so nothing waits only in memory.
"""
