"""Fixtures shared by all tests: real brokers on loopback, started when the first test asks for them."""

pytest_plugins = ["tests.services.kafka", "tests.services.redis", "tests.faults.matrix"]
