"""Fixtures shared by all tests: real brokers on loopback, started when the first test asks for them."""

import gc

from hypothesis import settings

pytest_plugins = [
    "tests.forks",
    "tests.validation.plugin",
    "tests.services.kafka",
    "tests.services.redis",
    "tests.services.registry",
    "tests.faults.harness.matrix",
]

# Beside other work an example may take longer than 200 ms, and again less: how fast code is, benchmarks say.
settings.register_profile("whole", settings(deadline=None))
settings.register_profile("quick", settings(deadline=None, max_examples=20))  # `make check`, before each commit
settings.load_profile("whole")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: no garbage collection of a test has to walk through it again.

    Tests that look for cycles collect dozens of times, beside hundreds of thousands of objects of the 4,500 others.
    """
    gc.collect()
    gc.freeze()
