"""HTTP itself: the server, its limits, authentication, and the format of answers and errors."""
