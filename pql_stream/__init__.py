"""
pql-stream: product events in, lead scores and qualified leads out.

The facade is the pure core and the errors. Importing it imports no Faust, opens nothing and reads no environment.
"""

__version__ = "0.1.0"
