"""What a publisher decides: how much, where to go on, what outcomes mean, whose a fact is. Pure."""
