"""``relay demo``: a simulated upstream and a relay on loopback, trouble on the way, and the events that come out.

Nothing is needed but this machine: no broker, no key, no file that stays. The events are read as a user would read
them, over the relay's own ``GET /v1/events``; what went wrong on purpose is read from the simulator's ledger.
"""

from relay.demo.run import run_demo

__all__ = ["run_demo"]
