"""What passes through to the upstream, for which clients, and the tasks that are recorded on the way."""
