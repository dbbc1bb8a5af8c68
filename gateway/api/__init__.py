"""Stream's client API, as far as watching calls needs it: calls, custom events, guests.

    service           the endpoints, and who answers each: we, or Stream behind us
    asking            what every request says: who asks, and about which call
    answering         how every endpoint answers
    calls             GetCall, GetOrCreateCall, JoinCall
    shown             a call's state, as an answer shows it to somebody
    query             QueryCalls
    send_event        SendCallEvent
    guests            a token for who has none
    upstream          Stream's own API, asked with the caller's credentials
    upstream_calls    requests that Stream answers, and the watch that its answer permits
    upstream_messages what of a request goes on to Stream, and what comes back

What it does not answer itself goes through to Stream when `upstream` is configured.
"""
