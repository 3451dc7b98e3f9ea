"""As much of the Kubernetes API as a template's ``lookup`` asks for: the StatefulSets that a cluster runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.tests.manifests import Manifest

_GROUP = "/apis/apps/v1"
_KNOWN = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "apps/v1",
    "resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True, "verbs": ["get"]}],
}
_MISSING = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextmanager
def cluster_with(*stateful_sets: Manifest, namespace: str = "default") -> Iterator[tuple[str, ...]]:
    """Serves these; yields the arguments with which ``helm template`` renders for this cluster."""
    found: dict[str, Manifest] = {_GROUP: _KNOWN}
    for each in stateful_sets:
        found[f"{_GROUP}/namespaces/{namespace}/statefulsets/{each['metadata']['name']}"] = each

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = found.get(self.path.partition("?")[0])
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer or _MISSING).encode())

        def log_message(self, *_: object) -> None:
            """Nothing: tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield "--dry-run=server", "--kube-apiserver", f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
