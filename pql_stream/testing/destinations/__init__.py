"""Stateful fakes of the destinations, with fault scripts and a journal of what they accepted."""
