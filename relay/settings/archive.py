"""The settings of the archive of outputs."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, field_validator

from relay.core.archive.address import Hosts
from relay.core.archive.key import check_template
from relay.core.units import Duration, Size
from relay.settings.tls import Section
from relay.settings.values import Secret, StoreUrl

_OptionName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
_PositiveDuration = Annotated[Duration, Field(gt=0)]
_SECRET_OPTION: Final = re.compile(
    r"secret|password|sas_key|token$|account_key$|storage_access_key$|service_account_key$"
)


class ArchiveSettings(Section):
    """Where the outputs of tasks are stored before their links end. ``url`` of ``None``: nowhere.

    ``options`` are obstore's, for the store, and ``secrets`` those of them that are secret. ``max_rate`` is outputs per
    second, ``max_bandwidth`` bytes per second of all together. ``give_up_after``: how long an output is tried for whose
    link may be renewed.
    """

    url: StoreUrl | None = None
    key: Annotated[str, AfterValidator(check_template)] = "{date}/{task_id}/{index}.{ext}"
    # Pydantic copies them, so that no two configurations share them.
    options: dict[_OptionName, str] = {}  # noqa: RUF012
    secrets: dict[_OptionName, Secret] = {}  # noqa: RUF012
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    max_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    max_bandwidth: Annotated[Size, Field(ge=1 << 16)] | None = None
    max_size: Annotated[Size, Field(ge=1)] = 2 << 30
    timeout: _PositiveDuration = 900.0
    give_up_after: _PositiveDuration = 86_400.0
    allow_hosts: tuple[str, ...] = ()

    @field_validator("options")
    @classmethod
    def _are_no_secrets(cls, options: dict[str, str]) -> dict[str, str]:
        for name in options:
            if _SECRET_OPTION.search(name):
                raise ValueError(f"{name} is a secret: move it to archive.secrets, or into the file of secrets_file")
        return options

    @field_validator("allow_hosts")
    @classmethod
    def _are_hosts(cls, allow_hosts: tuple[str, ...]) -> tuple[str, ...]:
        Hosts.of(allow_hosts)
        return allow_hosts

    @property
    def store_options(self) -> dict[str, str]:
        """All options of the store, in clear."""
        return {**self.options, **{name: value.get_secret_value() for name, value in self.secrets.items()}}
