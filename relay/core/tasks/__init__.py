"""What is known about a task, its address, and what the answer to a poll means. Pure."""
