"""The pure core: events in, changes out. No clock, no I/O, no Faust."""
