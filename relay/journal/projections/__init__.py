"""Tables that follow the events, updated in the same transaction. To add one, write it and put it into the list."""

from __future__ import annotations

from typing import Final

from relay.journal.projection import Projection
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.history import History
from relay.journal.projections.outputs import Outputs
from relay.journal.projections.task_addresses import Addresses
from relay.journal.projections.tasks import Tasks

PROJECTIONS: Final[tuple[type[Projection], ...]] = (DeadLetters, Chats, Tasks, Addresses, Outputs, History)
"""In the order in which they follow a group."""
