"""What a publisher decides: batches, where to resume, what outcomes mean, which replica publishes a fact. Pure."""
