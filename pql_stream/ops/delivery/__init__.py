"""The operator's side of delivery: the settings file with sinks and routes, and what is made of it."""
