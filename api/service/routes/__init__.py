"""One module per subject of the service: each parses, calls one use case, answers."""
