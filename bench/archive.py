"""What it costs to archive outputs, against ``curl`` and an upload of the same files.

``make bench-archive``: nginx serves files of three sizes, whose links come to relay in webhooks; it archives them in a
folder, then in a bucket of SeaweedFS. The other side is a shell that does the same with ``curl``, as many at once.
Both have one core; nginx, SeaweedFS and the sender have another. ``--share F`` for fewer files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._under_test import TOKEN, Server
from bench.drain import ALONE, LONGEST, Acks
from bench.webhooks import LOAD_CORE, SERVER_CORE
from tests.services.nginx import Nginx
from tests.services.ports import free_port
from tests.services.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

SIZES = {"50 KB": (50_000, 2000), "5 MB": (5_000_000, 100), "50 MB": (50_000_000, 10)}
AT_ONCE = 4
"""``archive.concurrency``, and as many curls."""
PER_TASK = 5
WITHOUT_OUTPUTS = ("0", "TASK_STATUS_FAILED")
"""What the deliveries beside are about."""
PNG = b"\x89PNG\r\n\x1a\n"
_SITE = """
  server {{
    listen 127.0.0.1:{port};
    sendfile on;
    location / {{ root {root}; }}
  }}
"""


@dataclass(frozen=True)
class Run:
    """One way to keep some files: seconds, CPU seconds, and MB of memory where there is one process."""

    seconds: float
    cpu: float
    memory: float | None = None


def files_in(root: Path, name: str, size: int, count: int) -> list[str]:
    """Makes the files; their paths in URLs."""
    folder = root / name.replace(" ", "-")
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.png").write_bytes(PNG + os.urandom(size - len(PNG)))
    return [f"/{folder.name}/{number}.png" for number in range(count)]


def by_curl(urls: list[str], keep: str) -> Run:
    """``keep``: what a shell does with ``$u``, the URL, and ``$n``, its number."""
    lines = "".join(f"{number} {url}\n" for number, url in enumerate(urls))
    script = f"n=$1 u=$2; {keep}"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        ["taskset", "-c", str(SERVER_CORE), "xargs", "-P", str(AT_ONCE), "-n", "2", "sh", "-ec", script, "sh"],
        input=lines,
        text=True,
        check=True,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextmanager
def relaying(directory: Path, archive: dict[str, Any]) -> Iterator[Server]:
    """A relay on its core that archives."""
    port, admin = free_port(), free_port()
    config = {
        "server": {"port": port},
        "admin": {"port": admin},
        "journal": {"path": str(directory / "relay.db")},
        "webhooks": {"novita": {"tokens": [TOKEN]}},
        "reconcile": {"enabled": False},
        "identity": "bench",
        "archive": {**archive, "concurrency": AT_ONCE, "max_rate": 1e6},
    }
    file = directory / "relay.json"
    file.write_text(json.dumps(config))
    server = Server("relay", ["relay", str(file)], port, admin)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def by_relay(urls: list[str], directory: Path, archive: dict[str, Any]) -> Run:
    """From the first webhook until all are archived."""
    with relaying(directory, archive) as server:
        used, began = server.cpu_seconds(), time.perf_counter()
        archived(server, urls, directory.name)
        return Run(time.perf_counter() - began, server.cpu_seconds() - used, server.rss_mb())


def archived(server: Server, urls: list[str], task: str) -> None:
    """Returns when all are archived."""
    for number in range(0, len(urls), PER_TASK):
        deliver(server.url, f"{task}-{number}", urls[number : number + PER_TASK])
    while (ended := server.metric("relay_outputs_total")) < len(urls):
        time.sleep(0.05)
    assert ended == len(urls)


def acknowledged(urls: list[str], directory: Path, archive: dict[str, Any]) -> None:
    """Prints what acknowledgements take before outputs are archived, and meanwhile."""
    with relaying(directory, archive) as server:
        print(f"- nothing is archived: ack {Acks(server, ALONE, *WITHOUT_OUTPUTS).wait()}", flush=True)
        acks = Acks(server, LONGEST, *WITHOUT_OUTPUTS)
        try:
            archived(server, urls, directory.name)
        finally:
            print(f"- while outputs are archived: ack {acks.end()}", flush=True)


def deliver(url: str, task: str, links: list[str]) -> None:
    images = [{"image_url": link, "image_url_ttl": "3600", "image_type": "png"} for link in links]
    payload = {"task": {"task_id": task, "status": "TASK_STATUS_SUCCEED"}, "images": images}
    body = json.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": payload}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def row(store: str, name: str, size: int, count: int, runs: dict[str, Run]) -> None:
    """Prints a line for each side; the last column is relay's rate by curl's."""
    for side, run in runs.items():
        rate, mb = count / run.seconds, size * count / 1e6
        ratio = f"{runs['curl'].seconds / run.seconds:.2f}" if side == "relay" else ""
        memory = f"{run.memory:.0f}" if run.memory else ""
        cpu = run.cpu / mb * 1e3
        print(f"| {store} | {name} | {side} | {rate:,.0f} | {mb / run.seconds:,.0f} | {cpu:.1f} | {memory} | {ratio} |")


async def compare(directory: Path, share: float) -> None:
    site, root = free_port(), directory / "files"
    root.mkdir(mode=0o755)
    nginx = Nginx(directory / "nginx", site=_SITE.format(port=site, root=root), port=site)
    store = SeaweedFS(directory / "weed")
    options = {
        name: value for name, value in store.options.items() if name not in ("access_key_id", "secret_access_key")
    }
    secrets = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    signed = f"curl -sSf -o /dev/null --user {ACCESS_KEY}:{SECRET_KEY} --aws-sigv4 aws:amz:us-east-1:s3"
    await store.start()
    try:
        async with nginx:
            print(
                "| store | size | by | outputs/s | MB/s | CPU ms per MB | RSS MB | of curl |",
                "|---" * 8 + "|",
                sep="\n",
            )
            for name, (size, most) in SIZES.items():
                count = max(AT_ONCE, round(most * share))
                urls = [nginx.url + path for path in files_in(root, name, size, count)]
                tag = name.replace(" ", "")
                sides: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
                    "folder": (
                        f'curl -sSf -o {directory}/curl/{tag}-$n "$u"; sync {directory}/curl/{tag}-$n',
                        lambda place: {"url": (place / "kept").as_uri()},
                    ),
                    "bucket": (
                        f'curl -sSf -o {directory}/part-$n "$u"; '
                        f"{signed} -T {directory}/part-$n {store.url}/outputs/curl/{tag}-$n; rm {directory}/part-$n",
                        lambda place: {"url": f"s3://outputs/{place.name}", "options": options, "secrets": secrets},
                    ),
                }
                (directory / "curl").mkdir(exist_ok=True)
                for kind, (keep, archive) in sides.items():
                    place = directory / f"{kind}-{tag}"
                    place.mkdir()
                    runs = {
                        "curl": by_curl(urls, keep),
                        "relay": by_relay(urls, place, {**archive(place), "allow_hosts": [nginx.url]}),
                    }
                    row(kind, name, size, count, runs)
            place = directory / "acknowledged"
            place.mkdir()
            large = [f"{url}?again={n}" for n in range(5) for url in urls]
            acknowledged(large, place, {**archive(place), "allow_hosts": [nginx.url]})
    finally:
        await store.kill()


def main() -> None:
    """Compares both, for both stores and all sizes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--share", type=float, default=1.0, help="of the files")
    chosen = options.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})  # what is started from here inherits it
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx' worker is another user
        print(f"load {os.getloadavg()[0]:.1f}")
        asyncio.run(compare(directory, chosen.share))


if __name__ == "__main__":
    main()
