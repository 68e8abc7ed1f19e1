"""The chart's pods run with the image: what `helm template` renders, played by podman.

podman is not Kubernetes: it gives no pod a network or a probe as the kubelet does, and its version
in Debian neither decodes nor renames the keys of a Secret. So the pods use this machine's network,
the test asks the probes, and the secret is a folder.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import renderings
import yaml
from helm_chart import CHART
from support.command import OK, wait_until
from support.containers import Container, free_port, podman, wait_until_ready

HELM = str(Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-deploy") / "bin" / "helm")
GATEWAY_ID = 10001


def rendered(kind: str) -> dict[str, Any]:
    """A resource of the smallest chart, with the image of this machine."""
    image = "image.repository=localhost/plano-gateway,image.tag=test,image.pullPolicy=Never"
    text = renderings.render(HELM, CHART / "values/minimal.yaml", "--set", f"replicas=1,{image}")
    [found] = [document for document in yaml.safe_load_all(text) if document["kind"] == kind]
    resource: dict[str, Any] = found
    return resource


def playable(pod: dict[str, Any], secret: Path, **changes: str) -> dict[str, Any]:
    """A pod that podman can play."""
    [container] = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container.pop("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if probe in container:
            assert container.pop(probe)["httpGet"]["port"] in ports
    container["env"] += [{"name": name, "value": value} for name, value in changes.items()]
    for volume in pod["volumes"]:
        if volume.pop("secret", None):
            volume["hostPath"] = {"path": str(secret), "type": "Directory"}
    # Otherwise podman starts a container again that ended, before the test sees its exit code.
    return {**pod, "hostNetwork": True, "restartPolicy": "Never"}


@pytest.fixture
def secret(tcp_database: str, tmp_path: Path) -> Path:
    """A folder as the kubelet mounts the Secret: the pod's group may read the file."""
    folder = tmp_path / "database-url"
    folder.mkdir(mode=0o755)
    file = folder / "value"
    file.write_text(tcp_database)
    file.chmod(0o440)
    os.chown(file, 0, GATEWAY_ID)
    return folder


@contextlib.contextmanager
def played(name: str, pod: dict[str, Any], folder: Path) -> Iterator[Container]:
    """Play a pod for the length of the block; yields its container."""
    manifest = folder / f"{name}.yaml"
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
    manifest.write_text(json.dumps(document))
    try:
        podman("kube", "play", "--network=host", str(manifest))
        yield Container(f"{name}-{pod['containers'][0]['name']}")
    finally:
        podman("pod", "kill", name, expected=None)
        podman("pod", "rm", "--force", name)


def test_pods_of_the_chart_migrate_apply_serve_and_stop(secret: Path, tmp_path: Path) -> None:
    job = rendered("Job")["spec"]["template"]["spec"]
    with played("plano-test-migrate", playable(job, secret), tmp_path) as migrate:
        assert migrate.wait() == 0, migrate.logs()
        assert "migrations applied" in migrate.logs()
        assert "+ route order_stages.create" in migrate.logs()
    pod = rendered("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    paths = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness")}
    paths.add(container["readinessProbe"]["httpGet"]["path"])
    port = free_port()
    changes = {"GATEWAY_PORT": str(port), "GATEWAY_ADMIN_PORT": str(free_port())}
    with played("plano-test", playable(pod, secret, **changes), tmp_path) as gateway:
        wait_until_ready(port)
        for path in paths:
            assert httpx2.get(f"http://127.0.0.1:{port}{path}").status_code == OK
        status = gateway.execute("cat", "/proc/self/status")
        rights = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert rights["Uid"].split()[0] == str(GATEWAY_ID)
        assert int(rights["CapBnd"], 16) == 0
        assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")
        gateway.execute("touch", "/app/anything", expected=1)
        wait_until(lambda: "registry.snapshot" in gateway.execute("ls", "/var/lib/plano-gateway"))
        gateway.signal("TERM")
        assert gateway.wait() == 0
