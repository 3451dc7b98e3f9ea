"""The one error type that crosses layers: what is wrong, whether to retry, and what to do."""

from __future__ import annotations


class RelayError(Exception):
    """A failure with a stable code.

    ``code`` is from a bounded set (it becomes a metric label and the ``code`` of a problem document),
    ``message`` says what is wrong, ``hint`` what to do about it. Neither may hold a secret.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", retriable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retriable = retriable

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
