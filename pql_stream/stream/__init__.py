"""The only Faust code: the app, its agent, its table, the batch transport. Importing this package imports no Faust."""
