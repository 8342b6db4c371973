"""One module per input form: JSON object in, the contract's fields out."""
