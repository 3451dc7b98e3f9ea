"""What to do with a fact that the journal already knows.

Promise P4: a repetition is absorbed, a contradiction is published once. The journal looks the key up and asks
``judge``; nothing here reads or writes anything.
"""

from __future__ import annotations

from hashlib import blake2b

from relay.core.event import Draft, Event

KEY_BYTES = 16


def key_of(*parts: str) -> bytes:
    """The dedup key of a fact: 16 bytes that two different facts share with a probability below 2**-64."""
    return blake2b("\x1f".join(parts).encode(), digest_size=KEY_BYTES).digest()


def judge(draft: Draft, known: bytes) -> Draft | None:
    """A draft whose key is already in the journal with the fingerprint ``known``.

    ``None``: a duplicate. Else the draft of the contradiction to be appended instead, under a key of its own, so
    that the same contradiction is published once however often it is delivered. Its fingerprint is the key of what
    it contradicts.
    """
    if draft.conflict_type is None or draft.fingerprint == known:
        return None
    return draft._replace(
        event=contradicting(draft.event, draft.fingerprint, draft.conflict_type),
        key=statement_of(draft.key, draft.fingerprint),
        fingerprint=draft.key,
        conflict_type=None,
    )


def statement_of(key: bytes, fingerprint: bytes) -> bytes:
    """The key of one statement about a fact (16 bytes): it names the contradiction, where it is one."""
    return key_of("conflict", key.hex(), fingerprint.hex())


def contradicting(event: Event, fingerprint: bytes, conflict_type: str) -> Event:
    """The event as the contradiction that it turned out to be."""
    return event._replace(type=conflict_type, id=f"{event.subject}:conflicted:{fingerprint.hex()[:16]}")
