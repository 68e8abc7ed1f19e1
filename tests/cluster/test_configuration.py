"""The files of `deploy/ha`, filled by `envsubst` and judged by the programs that read them.

`make cluster-smoke` installs these programs. A missing one is a failure.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from failover import configuration
from failover.configuration import FOLDER, fill, read_environment
from support.harness import ROOT

from gateway.dev.postgres import programs

DOCUMENTED = (FOLDER / "cluster.env").read_text()
FILES = sorted(file.name for file in FOLDER.iterdir() if file.suffix in {".cfg", ".ini", ".yml"})
FILES += ["etcd.env", "gateway.env", "keepalived.conf"]
MACHINE = """
set -e
ip link set lo up
ip link add eth0 type veth peer name other
for number in 11 12 13; do ip address add 10.0.0.$number dev lo; done
"""
"""A machine with the interface and the addresses that `cluster.env` has."""

ETCD = """
etcd --data-dir {folder}/etcd --listen-client-urls http://0.0.0.0:2379 \\
  --advertise-client-urls http://10.0.0.11:2379 > {folder}/etcd.log 2>&1 &
until (: < /dev/tcp/10.0.0.11/2379) 2> /dev/null; do sleep 0.1; done
"""
"""Patroni looks whether it can reach etcd."""


def run(*command: str, **environment: str) -> str:
    """The output of a command, which must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_in_namespaces(command: str) -> str:
    """The output of a shell command on a machine on which no other program listens."""
    path = ":".join({str(Path(shutil.which(name) or "").parent) for name in ("patroni", "etcd")})
    inside = str(ROOT / "tools" / "in-namespaces")
    return run(
        inside, "bash", "-c", f"{MACHINE}{command}", PATH=f"{path}:/usr/sbin:/usr/bin:/sbin:/bin"
    )


def program(name: str) -> str:
    """The path of a program."""
    path = shutil.which(name)
    assert path, f"{name} is not on the PATH; `make cluster-smoke` installs it"
    return path


def filled(file: str, folder: Path, **changes: str) -> Path:
    """A file of `deploy/ha`, filled in a folder."""
    copy = folder / file
    copy.write_text(fill(file, read_environment(DOCUMENTED) | changes))
    return copy


@pytest.mark.parametrize("file", FILES)
def test_ha_file_is_filled_alike_by_envsubst(file: str) -> None:
    values = read_environment(DOCUMENTED)
    command = f'exec "{program("envsubst")}" < "{FOLDER / file}"'
    assert run("bash", "-c", command, **values) == fill(file, values)


def test_ha_variables_are_all_used() -> None:
    used = {
        name for file in FILES for name in re.findall(r"\$\{(\w+)}", (FOLDER / file).read_text())
    }
    assert used == set(read_environment(DOCUMENTED))


def test_ha_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text()
    assert [file for file in [*FILES, "cluster.env"] if f"`{file}`" not in text] == []


@pytest.mark.parametrize("file", ["haproxy-postgres.cfg", "haproxy-gateways.cfg"])
def test_ha_haproxy_accepts_its_file(file: str, tmp_path: Path) -> None:
    run(program("haproxy"), "-c", "-f", str(filled(file, tmp_path)))


def test_ha_patroni_accepts_its_file(tmp_path: Path) -> None:
    file = filled(
        "patroni.yml",
        tmp_path,
        POSTGRES_PROGRAMS=str(programs.find_binaries()),
        POSTGRES_DATA=str(tmp_path / "data"),
    )
    passwords = "PATRONI_SUPERUSER_PASSWORD=one PATRONI_REPLICATION_PASSWORD=two"
    check = f"{passwords} {program('patroni')} --validate-config {file}"
    assert run_in_namespaces(f"{ETCD.format(folder=tmp_path)}{check}") == ""


def test_ha_keepalived_accepts_its_file(tmp_path: Path) -> None:
    file = filled("keepalived.conf", tmp_path)
    assert run_in_namespaces(f"{program('keepalived')} -t -f {file}") == ""


def test_ha_numbers_of_machines_are_those_of_the_file() -> None:
    documented = read_environment(DOCUMENTED)
    numbers = {name: documented[name.upper()].rpartition(".")[2] for name in configuration.NUMBERS}
    assert numbers == {name: str(number) for name, number in configuration.NUMBERS.items()}


def test_unit_passes_verification(tmp_path: Path) -> None:
    # systemd-analyze checks that the program exists: use one that does.
    text = (ROOT / "deploy" / "gateway.service").read_text()
    copy = tmp_path / "gateway.service"
    copy.write_text(text.replace("/opt/plano-gateway/bin/gateway", sys.executable))
    assert run(program("systemd-analyze"), "--man=no", "verify", str(copy)) == ""
