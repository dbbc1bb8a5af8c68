"""From the streams to the workers of a subscriber, and back.

    subscriptions  the subscribers that Redis knows: active, paused, or being forgotten
    holders        who delivers, and to whom: processes, each for as long as it says so
    doorbell       one blocking read for a process, which tells the shards that have news
    consumer_group one subscriber on one shard: its lease, and what it reads
    settling       what became of deliveries, as one call
    parked         deliveries whose next attempt is minutes or hours away
    dead_letters   events that no further attempt will be made for

Whoever reads holds a lease, and every script that reads or settles compares its token first.
"""
