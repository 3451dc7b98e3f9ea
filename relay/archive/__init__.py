"""The archive: fetches the outputs of tasks before their links end, and stores them."""
