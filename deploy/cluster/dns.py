"""A DNS server for the cluster: the addresses of Services, of headless ones and of their pods.

As https://github.com/kubernetes/dns/blob/master/docs/specification.md says, as far as a relay and the chart's test ask:
A records. Arguments: a token for the API server, the address to listen on. Runs until it is killed.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from typing import Any

from deploy.cluster.access import ask

EVERY = 0.5
"""Seconds between two looks at the API server, so much may an answer be out of date."""
_DOMAIN = "svc.cluster.local"
_A, _NO_SUCH_NAME = 1, 3

Names = dict[str, list[str]]


def names(services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> Names:
    """Every name of the cluster with its addresses."""
    known: Names = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        known[_name(service, service["metadata"]["name"])] = [address] if address not in (None, "", "None") else []
    headless = {name for name, addresses in known.items() if not addresses}
    for each in slices:
        name = _name(each, each["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        if name not in headless:
            continue
        for endpoint in each.get("endpoints") or ():
            if endpoint.get("conditions", {}).get("ready") is not False:
                known[name] += endpoint["addresses"]
                known.setdefault(f"{endpoint.get('hostname')}.{name}", []).extend(endpoint["addresses"])
    return known


def answer(query: bytes, known: Names) -> bytes:
    """To a question for an A record its addresses, to any other nothing, or that there is no such name."""
    (ident,) = struct.unpack_from(">H", query)
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode())
        at += size + 1
    question = query[12 : at + 5]
    (kind,) = struct.unpack_from(">H", query, at + 1)
    found = known.get(".".join(labels).lower())
    addresses = found if found and kind == _A else []
    code = _NO_SUCH_NAME if found is None else 0
    head = struct.pack(">6H", ident, 0x8580 | code, 1, len(addresses), 0, 0)
    records = (struct.pack(">HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(each) for each in addresses)
    return head + question + b"".join(records)


def _name(document: dict[str, Any], service: str) -> str:
    return f"{service}.{document['metadata']['namespace']}.{_DOMAIN}"


class Server:
    """Answers from what it last saw at the API server."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._known: Names = {}

    def watch(self) -> None:
        """Forever."""
        while True:
            try:
                services, slices = "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"
                self._known = names(self._items(services), self._items(slices))
            except OSError as error:
                print(f"the API server does not answer: {error}", flush=True)
            time.sleep(EVERY)

    def serve(self, listener: socket.socket) -> None:
        """Forever."""
        while True:
            query, peer = listener.recvfrom(4096)
            try:
                listener.sendto(answer(query, self._known), peer)
            except (IndexError, struct.error, UnicodeDecodeError, OSError) as error:
                print(f"no answer to {peer}: {error}", flush=True)

    def _items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(ask(path, self._token))["items"]
        return found


def main(token: str, address: str) -> None:
    """See the module."""
    server = Server(token)
    threading.Thread(target=server.watch, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((address, 53))
        server.serve(listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
