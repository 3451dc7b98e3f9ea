"""Why an output could not be fetched, or not be stored."""

from __future__ import annotations

from relay.core.errors import RelayError


class FetchError(RelayError):
    """The source did not give the output. ``code`` is from a bounded set, the message holds no query of a link.

    ``retriable``: the same link may work later. ``fresh_link``: a link that is signed again may work now.
    """

    def __init__(self, code: str, message: str, *, retriable: bool = False, fresh_link: bool = False) -> None:
        super().__init__(code, message, retriable=retriable)
        self.fresh_link = fresh_link


class StoreError(RelayError):
    """The store did not take the output: ``retriable`` unless another object has its key.

    ``code``: ``store_unreachable``, ``store_denied``, ``store_full``, ``store_failed``, ``different_object``.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", retriable: bool = True) -> None:
        super().__init__(code, message, hint=hint, retriable=retriable)
