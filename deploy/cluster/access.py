"""Who may ask the API server, and how: static tokens, since nobody else is on this network.

Its certificate is made when it starts, and not checked, for the same reason.
"""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from deploy.cluster.network import CONTROL, NODES

API = f"https://{CONTROL}:6443"


class Access:
    """Writes into ``folder`` the API server's list of tokens, and a kubeconfig for each of its users."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tokens = folder / "tokens.csv"
        self.admin = secrets.token_hex(16)
        users = {"admin": 'admin,1,"system:masters"', "proxy": "system:kube-proxy,2"}
        users |= {f"node{node}": f'system:node:node{node},n{node},"system:nodes"' for node in NODES}
        rows = []
        for name, user in users.items():
            token = self.admin if name == "admin" else secrets.token_hex(16)
            rows.append(f"{token},{user}\n")
            self.kubeconfig(name).write_text(json.dumps(_kubeconfig(token)))
        self.tokens.write_text("".join(rows))

    def kubeconfig(self, user: str) -> Path:
        """Of ``admin``, ``proxy`` or ``node1``."""
        return self._folder / f"{user}.yaml"


def ask(path: str, token: str) -> bytes:
    """What the API server answers. Raises ``OSError`` where it does not, or refuses."""
    request = urllib.request.Request(API + path, headers={"Authorization": f"Bearer {token}"})
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=5, context=unchecked) as answer:
        return bytes(answer.read())


def _kubeconfig(token: str) -> dict[str, Any]:
    server = {"server": API, "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "relay", "cluster": server}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "user"}}],
        "current-context": "relay",
    }
