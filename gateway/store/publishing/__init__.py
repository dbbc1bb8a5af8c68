"""From the journal into the streams, by position."""
