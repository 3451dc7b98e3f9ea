"""``relay demo``: a simulated upstream and relay on loopback, deliberate faults, and the resulting events.

Nothing is needed but this machine: no broker, no key, no file that stays. The events are read as a user would read
them, over the relay's own ``GET /v1/events``; what went wrong on purpose is read from the simulator's ledger.
"""

from relay.demo.run import run_demo

__all__ = ["run_demo"]
