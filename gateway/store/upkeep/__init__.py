"""Bounds, sums and moves: what is done for the store as a whole."""
