"""As much of the Kubernetes API as ``lookup`` in a template and a few commands of kubectl need."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploy.tests.manifests import Manifest

_KINDS = {
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
}
_VERBS = ["create", "delete", "get", "list", "patch"]


@dataclass
class KubeApi:
    """The objects of one cluster by their paths, and the requests that changed them: (method, path, body)."""

    objects: dict[str, Manifest] = field(default_factory=dict)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    def add(self, manifest: Manifest) -> None:
        self.objects[_path(manifest)] = manifest

    @property
    def rendering(self) -> tuple[str, ...]:
        """The arguments with which ``helm template`` renders for this cluster."""
        return "--dry-run=server", "--kube-apiserver", self.url

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Manifest]:
        """What the API answers to one request."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if method == "GET":
            return self._read(path, query)
        self.changes.append((method, path, body))
        if method == "POST":
            self.add(body)
            return 201, body
        if method == "DELETE":
            return 200, self.objects.pop(path)
        _merge(self.objects[path], body)
        return 200, self.objects[path]

    def _read(self, path: str, query: dict[str, list[str]]) -> tuple[int, Manifest]:
        if found := (self.objects.get(path) or _discovery().get(path)):
            return 200, found
        if path.rpartition("/")[2] in {plural for _, plural in _KINDS.values()}:
            wanted = set(query.get("labelSelector", [""])[0].split(",")) - {""}
            items = [each for at, each in self.objects.items() if at.startswith(f"{path}/") and wanted <= _labels(each)]
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
        return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def _path(manifest: Manifest) -> str:
    group, plural = _KINDS[manifest["kind"]]
    namespace = manifest["metadata"].get("namespace")
    return f"{group}/{f'namespaces/{namespace}/' if namespace else ''}{plural}/{manifest['metadata']['name']}"


def _labels(manifest: Manifest) -> set[str]:
    return {f"{key}={value}" for key, value in manifest["metadata"].get("labels", {}).items()}


def _merge(target: Manifest, patch: Manifest) -> None:
    """A JSON merge patch (RFC 7396) that removes nothing."""
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def _discovery() -> dict[str, Manifest]:
    """Which kinds there are."""
    versions = sorted({group.removeprefix("/apis/") for group, _ in _KINDS.values() if group != "/api/v1"})
    groups = [
        {"name": each.partition("/")[0], "versions": [_version(each)], "preferredVersion": _version(each)}
        for each in versions
    ]
    found: dict[str, Manifest] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for kind, (group, plural) in _KINDS.items():
        version = group.removeprefix("/apis/").removeprefix("/api/")
        resource = {"name": plural, "kind": kind, "namespaced": kind != "StorageClass", "verbs": _VERBS}
        empty: Manifest = {"kind": "APIResourceList", "groupVersion": version, "resources": []}
        found.setdefault(group, empty)["resources"].append(resource)
    return found


def _version(group_version: str) -> dict[str, str]:
    return {"groupVersion": group_version, "version": group_version.partition("/")[2]}


@contextmanager
def cluster_with(*manifests: Manifest) -> Iterator[KubeApi]:
    """Serves these objects on loopback."""
    api = KubeApi()
    for manifest in manifests:
        api.add(manifest)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = api.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            """Nothing: tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            server.shutdown()
