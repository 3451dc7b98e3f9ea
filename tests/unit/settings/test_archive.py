"""The settings of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from relay.settings import Settings, load, secrets_of, take_over


def archive(**chosen: Any) -> Settings:
    return Settings.model_validate({"archive": chosen})


@pytest.mark.parametrize(
    "url", ["s3://outputs", "s3://outputs/a/b=c", "gs://my-outputs/x", "az://container/p", "file:///var/lib/outputs"]
)
def test_every_kind_of_store_is_taken(url: str) -> None:
    """A team could not use the store that it has."""
    assert archive(url=url + "/").archive.url == url


@pytest.mark.parametrize(
    ("chosen", "advice"),
    [
        ({"url": "https://bucket.s3.amazonaws.com"}, "must be s3://"),
        ({"url": "s3://key:secret@bucket/x"}, "must be s3://"),
        ({"url": "s3://bucket/../other"}, "must be s3://"),
        ({"url": "s3://bucket?region=x"}, "must be s3://"),
        ({"url": "file://host/x"}, "must be s3://"),
        ({"url": "file:relative"}, "must be s3://"),
        ({"url": "file:///"}, "must be s3://"),
        ({"key": "{date}/{index}"}, "needs {task_id}"),
        ({"options": {"secret_access_key": "x"}}, "is a secret: move it to archive.secrets"),
        ({"options": {"session_token": "x"}}, "is a secret"),
        ({"options": {"azure_storage_account_key": "x"}}, "is a secret"),
        ({"options": {"Region": "x"}}, "String should match pattern"),
        ({"allow_hosts": ["https://a.example/path"]}, "is not an origin"),
        ({"allow_hosts": ["a b"]}, "is not a name"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"max_rate": 0}, "greater than 0"),
        ({"max_bandwidth": "1KiB"}, "greater than or equal to"),
    ],
)
def test_what_cannot_work_is_refused(chosen: dict[str, Any], advice: str) -> None:
    """It would show when the first output is lost; or a secret be shown where settings are."""
    with pytest.raises(ValidationError, match=advice.replace("{", r"\{").replace("}", r"\}")):
        archive(**chosen)


def test_secrets_of_the_store_are_secrets_and_its_options_are_not(tmp_path: Path) -> None:
    """A key would be in an event; or each region in an address be hidden as if it were one."""
    file = tmp_path / "secrets"
    file.write_text("access_key_id = AKIAEXAMPLE\n\nsecret_access_key=hush=hush\n")
    config = tmp_path / "relay.yaml"
    config.write_text(
        f"archive: {{options: {{region: eu-west-1}}, secrets: {{session_token: more-hush}}, secrets_file: {file}}}"
    )
    settings = load(config, {}, {})
    assert settings.archive.store_options == {
        "region": "eu-west-1",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "hush=hush",
        "session_token": "more-hush",
    }
    assert secrets_of(settings) == {"AKIAEXAMPLE", "hush=hush", "more-hush"}
    assert "hush" not in repr(settings)
    assert settings.secret_files == (file,)
    file.write_text("secret_access_key=rotated-hush\n")
    reloaded = take_over(settings, load(config, {}, {}))
    assert (reloaded.changed, reloaded.waiting) == (("archive.secrets",), ())
    assert reloaded.settings.archive.store_options["secret_access_key"] == "rotated-hush"


def test_a_file_that_is_not_made_of_names_and_values_is_named(tmp_path: Path) -> None:
    """A key in the wrong form would be an option that nobody knows, quoted in the log."""
    file = tmp_path / "secrets"
    file.write_text("hush-hush\n")
    config = tmp_path / "relay.yaml"
    config.write_text(f"archive: {{secrets_file: {file}}}")
    with pytest.raises(Exception, match="a line that is not name=value") as caught:
        load(config, {}, {})
    assert "hush" not in str(caught.value)
