"""From the bytes of a chat to its events. Pure. Begin with ``tap.py``."""
