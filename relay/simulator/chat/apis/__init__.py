"""The APIs of conversations that the simulator speaks: one file each, written from the vendors' pages alone."""

from __future__ import annotations

from relay.simulator.chat.apis.api import Api
from relay.simulator.chat.apis.chat_completions import CHAT_COMPLETIONS
from relay.simulator.chat.apis.completions import COMPLETIONS
from relay.simulator.chat.apis.messages import MESSAGES
from relay.simulator.chat.apis.responses import RESPONSES

APIS: tuple[Api, ...] = (CHAT_COMPLETIONS, COMPLETIONS, MESSAGES, RESPONSES)
