"""The schemas as a Confluent-compatible schema registry holds them. Pure: `relay register-schemas` sends them there.

One subject for each kind of ``data``, since the topic of chats carries two kinds: what Confluent calls the record name
strategy (https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html).
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from relay.contract.schemas import Schema, schemas

DRAFT_07: Final = "http://json-schema.org/draft-07/schema#"
"""The newest dialect that registries can compare: Apicurio, for one, takes 2020-12 and fails at the next version."""


def subjects(prefix: str) -> dict[str, str]:
    """The text of each schema under its subject, such as ``relay.task``; the same text for the same schema."""
    return {
        prefix + name: orjson.dumps(in_draft_07(schema), option=orjson.OPT_INDENT_2).decode()
        for name, schema in schemas().items()
    }


def in_draft_07(schema: Schema) -> Schema:
    """A schema of ours, which is 2020-12, in draft-07; it takes and refuses the same.

    What the models use is in both, under other names. Beside a ``$ref`` draft-07 ignores all else: there it is a
    description. Source: https://json-schema.org/draft/2019-09/release-notes
    """
    return {**_renamed(schema), "$schema": DRAFT_07}


def _renamed(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            "definitions" if key == "$defs" else key: _pointer(value) if key == "$ref" else _renamed(value)
            for key, value in part.items()
        }
    return [_renamed(item) for item in part] if isinstance(part, list) else part


def _pointer(reference: str) -> str:
    return reference.replace("#/$defs/", "#/definitions/")
