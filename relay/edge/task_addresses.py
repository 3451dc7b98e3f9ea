"""The webhook addresses that relay gives to submitted tasks: each is valid for one task only."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from relay.clocks import steady_ms
from relay.core.tasks.address import RANDOM, Keys, nonce, nonce_of, secret_of, shared_key
from relay.journal.journal import Projected
from relay.journal.projections.task_addresses import Addresses, Binding

REMEMBERED: Final = 16_384
"""Addresses whose task is known without asking the journal: some 5 MB. Older ones cost a look-up."""


class Given(NamedTuple):
    """An address for one submission. ``url`` is a secret of its task."""

    url: str
    nonce: bytes


class TaskAddresses:
    """Gives addresses, and says which task one is good for.

    ``base``: where deliveries reach this relay, ``None`` where that is not known. ``life``: seconds for which an
    address is taken, at least as long as a task may take.
    """

    def __init__(
        self, bound: Projected[Addresses], life: float, base: str | None = None, tokens: Iterable[str] = ()
    ) -> None:
        self._bound, self._life = bound, int(life)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self.reconfigure(base, tokens)

    def reconfigure(self, base: str | None, tokens: Iterable[str]) -> None:
        """Gives addresses that all replicas with the first of these tokens know, and knows those of any of them."""
        self._base = base
        self._keys = Keys(self._bound.table.key, tuple(shared_key(token) for token in tokens))

    def new(self) -> Given | None:
        """An address for a task that is about to be submitted."""
        if self._base is None:
            return None
        made = nonce(secrets.token_bytes(RANDOM), steady_ms() // 1000)
        return Given(f"{self._base}/{secret_of(made, self._keys)}", made)

    def nonce_of(self, secret: str) -> bytes | None:
        """The nonce in a genuine address's last segment; ``None`` for anything else."""
        return nonce_of(secret, self._keys, steady_ms() // 1000, self._life)

    def is_known(self, nonce: bytes, task_id: str) -> bool:
        """Whether the address is this task's, as far as that is known at once."""
        return self._known.get(nonce) == task_id

    def assign(self, nonce: bytes, task_id: str) -> bool:
        """The upstream has named the task that got the address: on disk with the event that is appended next.

        ``False``: a delivery had used the address for another task. The upstream's answer counts.
        """
        before = self._known.get(nonce, task_id)
        self._bind(nonce, Binding(task_id, given=True))
        return before == task_id

    async def admits(self, nonce: bytes, task_id: str) -> bool:
        """Whether a delivery by this address may report on this task; the first one decides where nothing is known.

        A task that was given an address here takes none that is not known here. Raises ``JournalUnavailable`` or
        ``JournalBroken``.
        """
        known = self._known.get(nonce)
        if known is None:
            # Not asked of a reader: the delivery would wait for all who page, and so it does for the commits only.
            found = await self._bound.execute(Addresses.find, nonce, task_id)
            known = self._known.get(nonce, found.task_id)  # another delivery may have come first
            if known is not None:
                self._remember(nonce, known)
            elif found.other:
                return False
            else:
                self._bind(nonce, Binding(task_id, given=False))
                return True
        return known == task_id

    def _bind(self, nonce: bytes, binding: Binding) -> None:
        self._bound.table.bind(nonce, binding)
        self._remember(nonce, binding.task_id)

    def _remember(self, nonce: bytes, task_id: str) -> None:
        self._known[nonce] = task_id
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
