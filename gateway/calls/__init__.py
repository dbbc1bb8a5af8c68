"""What a call is and who may see it.

Who somebody is, and what he may do:

    tokens        who somebody is, as an app's secret vouches for it
    jws           compact signed tokens, HS256 and nothing else
    exposure      what is open to strangers, and how that is told
    access        who may watch a call, and send events to it
    errors        what is refused, in Stream's own codes
    rates         how much a user may say, and how much all together in one call
    allowance     that counted, here and with all other processes

What a call is:

    state         as webhooks tell it, event by event
    state_batch   from a batch of entries to the next states of their calls
    keeper        reads every event for what it says about a call
    known_calls   calls as of now, with what the keeper has not taken in yet
    sweeper       forgets calls that nothing has been heard of for long
    users         a user, as answers and events show one
    times         Stream's two ways to write a time

What is made here, and what is asked:

    new_call      a call that is made here
    custom_events events that are made here
    query         QueryCalls: which calls fit a filter, a page at a time
    filters       its conditions
    sorting       its order
    query_turns   how much of a process it may take
"""
