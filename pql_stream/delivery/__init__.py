"""What happens to a change after scoring: routes, retries, rate limits, the ledger. No Faust, no destination."""
