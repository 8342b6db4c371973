"""What events are replayed from. A topic is not here: what reads it lives in `ops`."""
