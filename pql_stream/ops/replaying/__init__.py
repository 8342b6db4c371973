"""What a replay needs from the outside: topics as a source, and the options that choose a source."""
