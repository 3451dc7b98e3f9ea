"""The HTTP edge: what senders, clients and operators reach. Requests become deliveries, refusals become problems."""
