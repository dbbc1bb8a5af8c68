"""The admin door: metrics, health and the ledger, on a listener of their own.

Whoever reaches it can read everything, so it is loopback unless asked otherwise, it changes
nothing, and `guard` keeps out web pages that a browser on this machine has open.
"""
