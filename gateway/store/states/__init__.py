"""The states of calls, and how far they have been kept."""
