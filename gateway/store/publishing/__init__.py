"""From the journal into the streams, by position.

    source       the journal, as far as it is seen here
    publisher    the loop: reads the journal, sends batches, tells how far it is
    shard_writer all shards, as the publisher writes to them
    shard_state  what is known of each shard, as its hash in Redis tells
    digests      which sets of digests tell whether an event was seen before
    batches      from a piece of the journal to one batch for each shard
    packing      from batches to the commands that publish them
    positions    how far each shard is, and what it means when that is not what it was
    names        whose a journal's name is: nobody else publishes under it
    accounts     what was written and what was taken add up, or why not

A batch that does not follow the position that its shard has is refused, and a shard that has
less than it had is given the rest again. So recovery needs no guess.
"""
