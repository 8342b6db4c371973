"""The demo: the whole pipeline on real input, on a broker of its own."""
