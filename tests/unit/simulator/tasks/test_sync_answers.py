from __future__ import annotations

import base64
from random import Random

import pytest

from relay.simulator.tasks.sync_answers import object_name, shape_of


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v3beta/flux-1-schnell", {"images", "task"}),
        ("/v3/seedream-3-0-txt2img", {"image_urls", "binary_data_base64"}),
        ("/v3/seedream-4.0", {"images"}),
        ("/v3/seedream-4.5", {"images"}),
        ("/v3/remove-background", {"image_file", "image_type"}),
        ("/v3/replace-background", {"image_file", "image_type"}),
        ("/v3/img2prompt", {"prompt"}),
        ("/v3/hf/some/model", {"video"}),
        ("/v3/minimax-speech-02-hd", {"audio"}),
    ],
)
def test_each_endpoint_answers_in_its_own_shape(path: str, keys: set[str]) -> None:
    """A relay that expects a task id of every submission would never meet an answer without one."""
    shape = shape_of(path)
    assert shape is not None
    assert set(shape(Random(1), 0, "https://outputs.example")) == keys


def test_a_path_that_is_not_known_has_no_shape() -> None:
    """An unrouted path would be answered as if it existed."""
    assert shape_of("/v3/nothing-here") is None


def test_the_file_in_an_answer_is_an_image() -> None:
    """A client that decodes it would fail on the simulator only."""
    shape = shape_of("/v3/remove-background")
    assert shape is not None
    assert base64.b64decode(shape(Random(1), 0, "https://outputs.example")["image_file"]).startswith(b"\x89PNG")


def test_names_are_uuids_that_the_random_numbers_decide() -> None:
    """Task ids would differ from run to run, or collide."""
    assert object_name(Random(1)) == object_name(Random(1)) != object_name(Random(2))
    assert object_name(Random(1))[14] == "4"
