"""Where everything of the cluster is reached: two nodes on one wire, without a way out.

The addresses are those that RFC 5737 and RFC 2544 set aside for documentation and tests. This process runs in the
network namespace of the first node, which also has the control plane and the brokers.
"""

from __future__ import annotations

import subprocess

NODES = (1, 2)
CONTROL = "192.0.2.11"
"""The first node, and what the pods see as API server, DNS server and brokers."""
SERVICES = "198.19.0.0/24"
PODS = "198.18.0.0/16"
_WIRE, _NOWHERE = 24, "192.0.2.1"
_SECOND = "relay-node2"


def address(node: int) -> str:
    """A node's own."""
    return f"192.0.2.1{node}"


def pods(node: int) -> str:
    """The range of a node's pods."""
    return f"198.18.{node}.0/24"


def inside(node: int) -> tuple[str, ...]:
    """Before a command: run it in this node's network."""
    return () if node == 1 else ("nsenter", f"--net=/run/netns/{_SECOND}", "--")


def connect() -> None:
    """Two network namespaces, a bridge between them, and the routes to each other's pods."""
    _run("ip", "netns", "add", _SECOND)
    _run("ip", "link", "add", "eth0", "type", "bridge")
    _run("ip", "link", "add", "wire2", "type", "veth", "peer", "name", "eth0", "netns", _SECOND)
    _run("ip", "link", "set", "wire2", "master", "eth0", "up")
    for node, other in (NODES, reversed(NODES)):
        _run(*inside(node), "ip", "link", "set", "lo", "up")
        _run(*inside(node), "ip", "link", "set", "eth0", "up")
        _run(*inside(node), "ip", "address", "add", f"{address(node)}/{_WIRE}", "dev", "eth0")
        _run(*inside(node), "ip", "route", "add", "default", "via", _NOWHERE, "dev", "eth0")
        _run(*inside(node), "ip", "route", "add", pods(other), "via", address(other))
        # What crosses a bridge between two pods of a node has to pass the rules for Services and policies, too.
        for switch in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):
            _run(*inside(node), "sh", "-c", f"echo 1 > /proc/sys/net/{switch}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=20)
