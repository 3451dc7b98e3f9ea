"""HTTP itself: the server, its limits, who may come in, and how answers and refusals look."""
