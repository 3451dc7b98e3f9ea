"""A Kubernetes of two nodes without any engine: etcd, control plane, and for each node containerd, kubelet, kube-proxy
and a controller for NetworkPolicies. Runs in namespaces of its own (``isolation``), with which all of it ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from deploy.cluster import cgroups
from deploy.cluster.access import Access, ask
from deploy.cluster.network import CONTROL, NODES, PODS, SERVICES, address, connect, inside, pods

SANDBOX = "localhost/relay-pause:cluster"
START_TIMEOUT = 90.0
_ETCD, _ETCD_PEERS = "http://127.0.0.1:2379", "http://127.0.0.1:2380"


class Cluster:
    """``home``: a folder for its data and logs. ``programs``: of ``tests/setup/kubernetes.py``. ``images``: archives.

    ``group``: how the names of its cgroups begin; ``groups_of`` lists them.
    """

    def __init__(self, home: Path, programs: Path, images: list[Path], group: str) -> None:
        self.home, self._programs, self._images, self._group = home, programs, images, group
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (home / "logs").mkdir()
        self.access = Access(home)

    def up(self) -> None:
        """Returns when both nodes are ready. Raises ``TimeoutError`` or ``RuntimeError`` when they do not get so."""
        connect()
        self._start_control_plane()
        for node in NODES:
            self._start_node(node)
        self._start("dns", sys.executable, "-m", "deploy.cluster.dns", self.access.admin, CONTROL)
        self._until(self._nodes_are_ready, "the nodes are ready")
        # kube-proxy ends when its node's addresses change, so it comes after the node is registered.
        for node in NODES:
            self._start(f"proxy{node}", self._program("kube-proxy"), "--config", self._proxy_config(node), node=node)
            admin = str(self.access.kubeconfig("admin"))
            self._start(f"policy{node}", self._program("policy"), admin, f"node{node}", SERVICES, node=node)

    def program(self, name: str) -> str:
        """The path of kubectl or Helm."""
        return self._program(name)

    def containerd(self, node: int) -> tuple[str, ...]:
        """``ctr`` of one node: the command's beginning."""
        return ("ctr", "--address", self._socket(node), "--namespace", "k8s.io")

    def down(self) -> None:
        """Ends the kubelets first, so that nobody starts anything again; the rest ends with the namespaces."""
        for process in self.processes.values():
            process.kill()

    def check_alive(self) -> None:
        """Raises ``RuntimeError`` if a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = (self.home / "logs" / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} has ended with {process.returncode}:\n{log[-3000:]}")

    def _start_control_plane(self) -> None:
        self._start(
            *("etcd", self._program("etcd"), "--data-dir", str(self.home / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD, "--listen-peer-urls", _ETCD_PEERS),
            *("--initial-advertise-peer-urls", _ETCD_PEERS, "--initial-cluster", f"default={_ETCD_PEERS}"),
        )
        key = str(self.home / "accounts.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True, timeout=60)
        self._start(
            *("apiserver", self._program("kube-apiserver"), f"--etcd-servers={_ETCD}", "--bind-address=0.0.0.0"),
            *(f"--advertise-address={CONTROL}", "--secure-port=6443", f"--cert-dir={self.home / 'certificates'}"),
            *(f"--service-cluster-ip-range={SERVICES}", "--service-account-issuer=https://kubernetes.default.svc"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *(f"--token-auth-file={self.access.tokens}", "--authorization-mode=Node,RBAC"),
            *("--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"),
            "--kubelet-preferred-address-types=InternalIP",
        )
        self._until(self._api_is_ready, "the API server is ready")
        admin = ("--kubeconfig", str(self.access.kubeconfig("admin")))
        alone = ("--leader-elect=false", "--bind-address=127.0.0.1")
        authority = str(self.home / "certificates" / "apiserver.crt")
        accounts = (f"--service-account-private-key-file={key}", f"--root-ca-file={authority}")
        self._start("controllers", self._program("kube-controller-manager"), *admin, *alone, *accounts)
        self._start("scheduler", self._program("kube-scheduler"), *admin, *alone)

    def _start_node(self, node: int) -> None:
        folder = self._folder(node)
        (folder / "cni").mkdir(parents=True)
        (folder / "cni" / "10-bridge.conflist").write_text(json.dumps(_cni(node, folder)))
        (folder / "containerd.toml").write_text(_containerd(folder, self._socket(node)))
        cgroup = groups_of(self._group)[node - 1]
        cgroups.make(cgroup)
        (folder / "resolv.conf").write_text(f"nameserver {CONTROL}\n")
        kubelet = _kubelet(folder, self._socket(node), f"/{cgroup}")
        (folder / "kubelet.yaml").write_text(yaml.safe_dump(kubelet))
        self._start(f"containerd{node}", "containerd", "--config", str(folder / "containerd.toml"), node=node)
        self._until(lambda: Path(self._socket(node)).is_socket(), "containerd answers")
        for image in self._images:
            load = [*self.containerd(node), "images", "import", str(image)]
            subprocess.run(load, check=True, capture_output=True, timeout=120)
        self._start(
            *(f"kubelet{node}", self._program("kubelet"), "--config", str(folder / "kubelet.yaml")),
            *("--kubeconfig", str(self.access.kubeconfig(f"node{node}")), "--root-dir", str(folder / "kubelet")),
            *("--cert-dir", str(folder / "pki"), "--hostname-override", f"node{node}", "--node-ip", address(node)),
            node=node,
        )

    def _proxy_config(self, node: int) -> str:
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.access.kubeconfig("proxy"))},
            "clusterCIDR": PODS,
            "hostnameOverride": f"node{node}",
            "conntrack": {"maxPerCore": 0},  # a setting of the whole machine, which is not ours
        }
        path = self._folder(node) / "proxy.yaml"
        path.write_text(json.dumps(config))
        return str(path)

    def _api_is_ready(self) -> bool:
        return self._ask("/readyz") == b"ok"

    def _nodes_are_ready(self) -> bool:
        nodes: list[Any] = json.loads(self._ask("/api/v1/nodes") or b'{"items": []}')["items"]
        conditions = [each for node in nodes for each in node["status"].get("conditions", ())]
        ready: int = sum(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        return ready == len(NODES)

    def _ask(self, path: str) -> bytes:
        """Empty where there is no answer yet."""
        try:
            return ask(path, self.access.admin)
        except OSError:
            return b""

    def _start(self, name: str, *command: str, node: int = 1) -> None:
        with (self.home / "logs" / f"{name}.log").open("wb") as log:
            full = [*inside(node), *command]
            self.processes[name] = subprocess.Popen(full, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {START_TIMEOUT:.0f} s: {what}")
            time.sleep(0.1)

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _folder(self, node: int) -> Path:
        return self.home / f"node{node}"

    def _socket(self, node: int) -> str:
        return f"/run/relay-node{node}/containerd.sock"


def groups_of(group: str) -> list[str]:
    """The cgroup of each node."""
    return [f"{group}-node{node}" for node in NODES]


def _cni(node: int, folder: Path) -> dict[str, Any]:
    ranges = {"ranges": [[{"subnet": pods(node)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    addresses = {"type": "host-local", "dataDir": str(folder / "addresses"), **ranges}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _containerd(folder: Path, socket: str) -> str:
    """Without what needs the capability CAP_SYS_RESOURCE, AppArmor or a file system that is not there."""
    unused = [f"io.containerd.snapshotter.v1.{each}" for each in ("aufs", "btrfs", "zfs", "devmapper")]
    return f"""\
version = 2
root = "{folder}/containerd"
state = "{Path(socket).parent}/containerd"
disabled_plugins = {json.dumps([*unused, "io.containerd.internal.v1.opt"])}
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def _kubelet(folder: Path, socket: str, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        # It may not change what belongs to the whole machine, and has no need to.
        "featureGates": {"KubeletInUserNamespace": True},
        "oomScoreAdj": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [CONTROL],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{socket}",
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "plugins"),
    }
