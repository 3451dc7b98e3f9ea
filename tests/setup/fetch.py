"""``python -m tests.setup.fetch PURPOSE...``: fetches what tests would else fetch in the middle of their run.

Into ``.cache``, once; where all of it is there this takes a second. Ends with 1, and says for each thing that could not
be fetched where it comes from and how a mirror is named.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.docs.generator import generator
from tests.e2e.consumers import examples
from tests.e2e.sdks.install import node_modules, python_packages
from tests.faults.harness.targets import KAFKA_VERSIONS
from tests.services import kafka_install, oidc, registry, seaweedfs, valkey_install
from tests.setup import kubernetes
from tests.setup.cache import ROOT, NotFetchedError, cached, offer, pip_install, run_installer
from tests.setup.toolchains import GO, NODE

SIDE_BY_SIDE = 4
NOTICEABLE = 2.0
"""Seconds; what takes less was there already."""
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

PYPI = "PyPI (a mirror: PIP_INDEX_URL)"
NPM = "the npm registry (a mirror: npm_config_registry)"
MAVEN = "Maven Central (a mirror: ~/.m2/settings.xml)"
DEBIAN = f"{valkey_install.MIRROR}, bookworm-backports"
GO_PROXY = "the Go module proxy (a mirror: GOPROXY)"


@dataclass(frozen=True)
class Download:
    """Something that ``fetch`` puts into ``.cache`` unless it is there already; ``source`` is where it comes from."""

    what: str
    source: str
    fetch: Callable[[], object]

    def failure(self) -> str | None:
        """Fetches it, and says so if that took a while. Answers why it failed, or nothing."""
        began = time.monotonic()
        try:
            self.fetch()
        except NotFetchedError as error:
            return f"{self.what} could not be fetched from {self.source}:\n{textwrap.indent(str(error).strip(), '  ')}"
        if (took := time.monotonic() - began) > NOTICEABLE:
            print(f"Fetched in {took:.0f} s: {self.what}", file=sys.stderr, flush=True)
        return None


TOOLCHAINS = (Download("Go", PYPI, GO.fetch), Download("Node.js", PYPI, NODE.fetch))
"""First: others are fetched and built with them."""


def downloads(purpose: str) -> Iterator[Download]:
    """What is needed for ``test``, ``faults``, ``deploy``, ``cluster`` or ``release``."""
    yield from _OF[purpose]()


def _of_tests() -> Iterator[Download]:
    yield _kafka(kafka_install.VERSION)
    yield Download("the schema registry", MAVEN, registry.unpacked)
    yield Download("Valkey 8", DEBIAN, valkey_install.valkey_server)
    for sdk in ("openai-1", "openai-2", "openai-3", "anthropic-0", "anthropic-2", "pydantic-ai-2", "novita-client"):
        yield Download(f"the SDK {sdk}", PYPI, partial(python_packages, sdk))
    yield Download("the SDKs for JavaScript", NPM, node_modules)
    yield Download("the accessibility checks", NPM, partial(node_modules, ROOT / "tests/e2e/axe", "axe"))
    yield Download("the OIDC provider", NPM, oidc.modules)
    yield Download("the parser of AsyncAPI", NPM, partial(node_modules, ROOT / "tests/contract/asyncapi", "asyncapi"))
    yield Download("what builds the site", PYPI, generator)
    for language, source in {"python": PYPI, "node": NPM, "go": GO_PROXY, "java": MAVEN}.items():
        yield Download(f"what docs/consumers/{language} needs", source, partial(examples.installed, language))


def _of_faults() -> Iterator[Download]:
    yield Download("Valkey 8", DEBIAN, valkey_install.valkey_server)
    yield Download("SeaweedFS", GO_PROXY, seaweedfs.weed)
    for version in KAFKA_VERSIONS.values():
        yield _kafka(version or kafka_install.VERSION)


def _of_deployment() -> Iterator[Download]:
    yield Download("the linters", PYPI, partial(_locked, "deploy"))
    yield from _of_release()
    yield Download("Grafana's types", NPM, partial(node_modules, ROOT / "deploy/tests/grafana", "grafana"))
    for module in (HELM, ACTIONLINT):
        yield Download(module, GO_PROXY, partial(_go_install, module))


def _of_cluster() -> Iterator[Download]:
    yield _kafka(kafka_install.VERSION)
    yield Download(f"Kubernetes {kubernetes.VERSION}", GO_PROXY, kubernetes.build)


def _of_release() -> Iterator[Download]:
    yield Download("what lists the materials of a release", PYPI, partial(_locked, "release"))


def _kafka(version: str) -> Download:
    return Download(f"Kafka {version}", MAVEN, partial(kafka_install.jars, version))


def _locked(name: str) -> None:
    """Installs what a file in ``requirements`` locks. pip would take seconds to see that it is there."""
    lock, installed = ROOT / "requirements" / f"{name}.txt", Path(sys.prefix) / f".installed-{name}"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        pip_install(lock)
        installed.write_bytes(lock.read_bytes())


def _go_install(module: str) -> None:
    """Builds a program, and puts it into ``.cache/bin``. Helm takes a few minutes."""
    program = module.partition("@")[0].rpartition("/")[2]
    folder = cached(
        f"programs/{program}",
        module.encode(),
        lambda folder: run_installer(["env", f"GOBIN={folder}", "go", "install", module], folder),
    )
    offer(program, folder / program)


_OF = {
    "test": _of_tests,
    "faults": _of_faults,
    "deploy": _of_deployment,
    "cluster": _of_cluster,
    "release": _of_release,
}


def main(purposes: Sequence[str]) -> int:
    """Fetches all of it, some side by side. Answers the exit code."""
    wanted = {each.what: each for purpose in purposes for each in downloads(purpose)}
    failures = _failures(TOOLCHAINS) or _failures(wanted.values())
    for each in failures:
        print(f"{each}\n", file=sys.stderr)
    if failures:
        print("Nothing was tested. Is there a network? What was fetched is kept: start again.", file=sys.stderr)
    return 1 if failures else 0


def _failures(wanted: Iterable[Download]) -> list[str]:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        return [failure for failure in threads.map(Download.failure, wanted) if failure]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.setup.fetch", description="Fills .cache.")
    parser.add_argument("purposes", nargs="+", choices=_OF, help="what it is for")
    sys.exit(main(parser.parse_args().purposes))
