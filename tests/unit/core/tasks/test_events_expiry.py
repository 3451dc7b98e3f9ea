from __future__ import annotations

import orjson

from relay.core.clock import rfc3339
from relay.core.event import Draft, Event
from relay.core.source import Delivery
from relay.core.tasks.events import first_expiry
from relay.sources.novita_task import NovitaTask
from tests.unit.drafts import draft

AT = 1_700_000_000_000


def event(*ttls: int | None, **more: object) -> Event:
    images = [{"image_url": "https://x/a", **({} if ttl is None else {"image_url_ttl": ttl})} for ttl in ttls]
    body = {"task": {"task_id": "t1", "status": "TASK_STATUS_SUCCEED"}, "images": images, **more}
    made = NovitaTask().normalize(Delivery(orjson.dumps(body), AT))
    assert isinstance(made, Draft)
    return made.event


def test_the_first_of_several_outputs_counts() -> None:
    """A picture would be gone while the alarm waits for the last one."""
    assert first_expiry(event(3600, 60, None)) == AT + 60_000


def test_what_has_no_known_end_has_none() -> None:
    """Tasks without outputs would raise the alarm, or break the scrape."""
    assert first_expiry(event()) is None
    assert first_expiry(event(None)) is None
    assert first_expiry(event(0)) is None
    assert first_expiry(draft().event) is None


def test_only_tasks_have_outputs() -> None:
    """A chat that mentions expiry would be taken for a task."""
    data = orjson.dumps({"outputs": [{"expires_at": rfc3339(AT)}]})
    assert first_expiry(draft().event._replace(topic="chat", data=data)) is None
    assert first_expiry(draft().event._replace(data=data)) == AT


def test_a_text_that_looks_like_an_expiry_is_ignored() -> None:
    """The upstream's own fields would be read as the relay's."""
    assert first_expiry(event(extra={"expires_at": "tomorrow"})) is None
