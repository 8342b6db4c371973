"""`python -m pql_stream` is `pql-stream`."""

from pql_stream.ops.cli import main

main()
