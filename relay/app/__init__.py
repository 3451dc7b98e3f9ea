"""The one place that builds, starts and stops the parts."""

from relay.app.plugins import sink_configs, sink_plugins
from relay.app.process import run
from relay.app.relay import Relay

__all__ = ["Relay", "run", "sink_configs", "sink_plugins"]
