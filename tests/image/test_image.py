"""The image of deploy/Dockerfile serves a PostgreSQL, hardened as deploy/compose.yaml runs it."""

import json
from pathlib import Path

import httpx2
from support.command import wait_until
from support.containers import (
    HARDENED,
    IMAGE,
    container,
    free_port,
    is_ready,
    once,
    over_tcp,
    podman,
    settings,
    volume,
    wait_until_ready,
)

FOLDER = "/var/lib/plano-gateway"


def options(database: str, port: int, *more: str, **changes: str) -> list[str]:
    ports = {"GATEWAY_PORT": str(port), "GATEWAY_ADMIN_PORT": "0"}
    values = {"GATEWAY_DATABASE_URL": database, **ports, **changes}
    return [*HARDENED, "--tmpfs=/tmp", *more, *settings(**values)]


def call(port: int) -> httpx2.Response:
    return httpx2.post(f"http://127.0.0.1:{port}/api/v1/order_stages/create")


def test_image_serves_and_ends_with_0_after_the_drain(applied: str) -> None:
    port = free_port()
    with container(*options(applied, port, GATEWAY_DRAIN_DELAY="3")) as served:
        wait_until_ready(port)
        assert call(port).json()["status"] == "missing-param"
        served.signal("TERM")
        wait_until(lambda: not is_ready(port))
        assert call(port).headers["connection"] == "close", "it accepts calls during the drain"
        assert served.wait() == 0


def test_image_runs_without_rights_and_writes_only_the_snapshot(applied: str) -> None:
    port = free_port()
    with volume() as name, container(*options(applied, port, f"--volume={name}:{FOLDER}")) as it:
        wait_until_ready(port)
        assert it.execute("id", "--user").strip() == "10001"
        status = it.execute("cat", "/proc/self/status")
        rights = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        assert int(rights["CapEff"], 16) == 0
        assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")
        it.execute("touch", "/app/anything", expected=1)
        # It is written soon after the first calls are served.
        wait_until(lambda: it.execute("ls", FOLDER).strip())
        assert it.execute("find", FOLDER, "-type", "f").split() == [f"{FOLDER}/registry.snapshot"]


def test_image_starts_from_the_snapshot_in_its_volume_without_the_database(
    empty_database: str,
) -> None:
    port, key = free_port(), {"GATEWAY_SNAPSHOT_KEY": "a key of this test"}
    with volume() as name:
        mount = f"--volume={name}:{FOLDER}"
        with over_tcp(empty_database) as database:
            once(database, "gateway", "migrate")
            once(database, "gateway", "apply")
            with container(*options(database, port, mount, **key)) as served:
                wait_until_ready(port)
                wait_until(lambda: served.execute("ls", FOLDER).strip())
        with container(*options(database, port, mount, **key)):
            wait_until_ready(port)
            url = f"http://127.0.0.1:{port}/-/ready"
            wait_until(lambda: httpx2.get(url).json()["database"] is False)
            assert is_ready(port)
            assert call(port).json()["status"] == "missing-param"


def test_image_has_a_health_check_that_passes(applied: str) -> None:
    port = free_port()
    with container(*options(applied, port)) as served:
        wait_until_ready(port)
        podman("healthcheck", "run", served.name)


def test_image_has_its_folder_and_no_installer_and_says_how_to_run_and_stop_it() -> None:
    with container("--read-only", "--workdir=/", command=["sleep", "60"]) as it:
        it.execute("python", "-c", "import pip", expected=1)
        # A runtime creates the working directory only if the root is not read-only.
        assert it.execute("ls", "--directory", "/app").strip() == "/app"
    [details] = json.loads(podman("image", "inspect", IMAGE))
    assert details["Config"]["User"] == "10001:10001"
    assert details["Config"]["StopSignal"] == "SIGTERM"


def test_image_reads_a_secret_that_only_its_group_may_read(applied: str, tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text(applied)
    secret.chmod(0o440)
    port = free_port()
    values = {"GATEWAY_DATABASE_URL_FILE": "/run/database_url", "GATEWAY_PORT": str(port)}
    mounted = (f"--volume={secret}:/run/database_url:ro", f"--group-add={secret.stat().st_gid}")
    variables = settings(**values, GATEWAY_ADMIN_PORT="0")
    with container(*HARDENED, "--tmpfs=/tmp", *mounted, *variables):
        wait_until_ready(port)
