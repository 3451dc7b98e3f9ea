"""The services of the tests that these use, too."""

pytest_plugins = ["tests.services.redis"]
