"""The admin door: metrics, health and the ledger, on a listener of their own.

    server       the listener and its routes
    guard        who may ask: no web page that a browser on this machine has open
    ledger       the journals' side and the streams' side, compared
    connections  how many there may be, and that none of their answers tells what gives it
    engine_files what was cut off the embedded engine's files

Whoever reaches it can read everything, so it is loopback unless asked otherwise, and it changes
nothing.
"""
