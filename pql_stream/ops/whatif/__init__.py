"""`pql-stream whatif` for people: sources, routes, and the comparison as text, as JSON and as a page."""
