"""Stream's client API, as far as watching calls needs it: calls, custom events, guests.

What it does not answer itself goes through to Stream when `upstream` is configured.
"""
