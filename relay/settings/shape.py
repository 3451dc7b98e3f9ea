"""Which keys are valid where, derived from the models: for the environment, for secrets in files, for hints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from relay.core.sink import SinkConfig
from relay.settings.errors import KeyPath

FILE_SUFFIX = "_file"

Kind = Literal["section", "mapping", "list", "choice", "scalar", "anything"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What may be written at one place.

    ``keys`` of a section; ``item`` of a mapping or a list; ``choices`` by the value of the key ``type``;
    ``nullable``: a scalar that may be null. ``anything`` is what is inside something unknown.
    """

    kind: Kind
    keys: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    choices: Mapping[str, Shape] = field(default_factory=dict)
    secret: bool = False
    nullable: bool = False

    @property
    def holds_secrets(self) -> bool:
        """A secret, or a list or a mapping of them: what can be given as ``<key>_file``."""
        return self.secret or (self.kind in ("list", "mapping") and self.item is not None and self.item.secret)

    @property
    def is_container(self) -> bool:
        """Whether YAML or JSON is expected here, and nothing at all means empty."""
        return self.kind in ("section", "mapping", "list", "choice")

    def for_value(self, value: object) -> Shape:
        """This shape, or the one that the value's own ``type`` chooses."""
        if self.kind != "choice":
            return self
        chosen = value.get("type") if isinstance(value, Mapping) else None
        return self.choices.get(chosen, ANYTHING) if isinstance(chosen, str) else ANYTHING

    def key(self, name: str) -> Shape | None:
        """What a key of a section takes; ``tokens_file`` is one where ``tokens`` holds secrets."""
        known = self.keys.get(name)
        if known is None and name.endswith(FILE_SUFFIX):
            base = self.keys.get(name.removesuffix(FILE_SUFFIX))
            return SCALAR if base is not None and base.holds_secrets else None
        return known

    def names(self) -> list[str]:
        """All keys that a section takes."""
        files = [name + FILE_SUFFIX for name, shape in self.keys.items() if shape.holds_secrets]
        return [*self.keys, *files]


SCALAR = Shape("scalar")
ANYTHING = Shape("anything")


def shape_of(annotation: Any, sinks: Mapping[str, type[SinkConfig]]) -> Shape:
    """The shape of a model, or of the annotation of one of its fields."""
    annotation, nullable = _bare(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is SinkConfig:
        return Shape("choice", choices={name: shape_of(config, sinks) for name, config in sinks.items()})
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        keys = {name: shape_of(known.annotation, sinks) for name, known in annotation.model_fields.items()}
        return Shape("section", keys=keys)
    if origin in (tuple, list, set, frozenset, Sequence):
        return Shape("list", item=shape_of(arguments[0], sinks))
    if origin in (dict, Mapping):
        return Shape("mapping", item=shape_of(arguments[1], sinks))
    return Shape("scalar", secret=annotation in (SecretStr, SecretBytes), nullable=nullable)


def _bare(annotation: Any) -> tuple[Any, bool]:
    """An annotation without ``Annotated`` and ``| None``, and whether it had the latter."""
    nullable = False
    while True:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = arguments[0]
        elif origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
            annotation = next(argument for argument in arguments if argument is not NoneType)
            nullable = True
        else:
            return annotation, nullable


def sections(value: Any, shape: Shape, path: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any], Shape]]:
    """Every section that was written, outermost first, with its shape. What has another form is passed over."""
    shape = shape.for_value(value)
    if shape.kind == "section" and isinstance(value, dict):
        yield path, value, shape
        for key, child in list(value.items()):
            if key in shape.keys:
                yield from sections(child, shape.keys[key], (*path, key))
    elif shape.kind == "mapping" and isinstance(value, dict) and shape.item:
        for key, child in value.items():
            yield from sections(child, shape.item, (*path, key))
    elif shape.kind == "list" and isinstance(value, list) and shape.item:
        for index, child in enumerate(value):
            yield from sections(child, shape.item, (*path, index))
