"""What careless and hostile clients and upstreams send, and what each may cost at most."""
