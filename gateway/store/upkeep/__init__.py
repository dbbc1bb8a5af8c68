"""What is done for the store as a whole: bounds, sums, and moving to another engine.

    retention     the janitor: streams and dead letters within their bounds
    yielding      what gives way when memory is nearly full
    memory_report what holds the memory, in words
    ledger        per subscriber, everything published since it started is somewhere
    holdings      what an engine still holds for somebody
    activity      whether anybody still works on an engine
    copying       one key, copied to another engine
    moving        everything that is ours goes to another engine

All of it is safe to do twice, and by several at once.
"""
