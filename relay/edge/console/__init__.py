"""The console: a page for people at ``GET /``, and its files.

It holds no data, so everybody who reaches the listener may load it; what it shows comes from ``/v1``, with the token
that its user enters. ``static/`` is what the browser runs, only joined when relay starts: no build step, nothing from
elsewhere.
"""

from relay.edge.console.routes import Console

__all__ = ["Console"]
