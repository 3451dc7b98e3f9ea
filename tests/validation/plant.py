"""``python -m tests.validation.plant serve ...``: the relay, with events that break the contract."""

from __future__ import annotations

from relay.cli import main
from tests.faults.harness.places import Function, replace


def seed_as_number() -> None:
    """The seed of a task is published as a number, where its schema has a string."""

    def wrap(task_data: Function) -> Function:
        return lambda *parts, **raw: {**task_data(*parts, **raw), "seed": 41}

    replace("relay.sources.novita_task:_task_data", wrap)


if __name__ == "__main__":
    seed_as_number()
    main()
