"""What is known about a task, its webhook address, and what the answer to a poll means. Pure."""
