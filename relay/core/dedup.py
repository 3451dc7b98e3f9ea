"""What to do with a fact that the journal already knows.

Promise P4: a repetition is absorbed, a contradiction is published once. The journal looks the key up and asks
``judge``; nothing here reads or writes anything.
"""

from __future__ import annotations

from hashlib import blake2b

from relay.core.event import Draft

KEY_BYTES = 16


def key_of(*parts: str) -> bytes:
    """The dedup key of a fact: 16 bytes that two different facts share with a probability below 2**-64."""
    return blake2b("\x1f".join(parts).encode(), digest_size=KEY_BYTES).digest()


def judge(draft: Draft, known: bytes) -> Draft | None:
    """A draft whose key is already in the journal with the fingerprint ``known``.

    ``None``: a duplicate. Else the draft of the contradiction to be appended instead, under a key of its own, so
    that the same contradiction is published once however often it is delivered.
    """
    if draft.conflict_type is None or draft.fingerprint == known:
        return None
    stated = draft.fingerprint.hex()[:16]
    event = draft.event
    return draft._replace(
        event=event._replace(type=draft.conflict_type, id=f"{event.subject}:conflicted:{stated}"),
        key=key_of("conflict", draft.key.hex(), draft.fingerprint.hex()),
        fingerprint=b"",
        conflict_type=None,
    )
