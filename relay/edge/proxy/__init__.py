"""What is passed through to the upstream, for whom, and the tasks that are recorded on the way."""
