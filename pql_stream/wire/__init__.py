"""Bytes and table rows to core values and back; one file per record, one per input form."""
