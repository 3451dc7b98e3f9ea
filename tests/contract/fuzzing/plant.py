"""``python -m tests.contract.fuzzing.plant serve ...``: the relay, with answers that break the contract."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from relay.cli import main
from relay.edge.api.guard import DEFAULT_LIMIT
from tests.faults.harness.places import Function, replace


def wrong_type() -> None:
    """A count is given as a string."""

    def wrap(shown: Function) -> Function:
        return lambda row: {**shown(row), "polls": str(row.polls)}

    replace("relay.edge.api.tasks:shown_task", wrap)


def undocumented_status() -> None:
    """A missing dead letter is answered with a status that the document does not have."""

    def wrap(_: Function) -> Function:
        async def gone(*_: Any) -> web.Response:
            return web.Response(status=410)

        return gone

    replace("relay.edge.api.dead_letters:DeadLetterRoutes.show", wrap)


def server_error() -> None:
    """A filter of pages ends in a traceback."""

    def wrap(_: Function) -> Function:
        def fails(_: Any) -> Any:
            raise KeyError("topic")

        return fails

    replace("relay.edge.api.events:_filter", wrap)


def accepts_anything() -> None:
    """What is not a number is taken for the default."""

    def wrap(_: Function) -> Function:
        return lambda _: DEFAULT_LIMIT

    replace("relay.edge.api.dead_letters:page_limit", wrap)


if __name__ == "__main__":
    for plant in (wrong_type, undocumented_status, server_error, accepts_anything):
        plant()
    main()
