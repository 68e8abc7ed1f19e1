"""Fills the files of `deploy/ha`, as `envsubst` does, with the addresses of the test's machines."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from failover.network import NETWORK

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "ha"
NUMBERS = {
    **{f"db{number}": 10 + number for number in (1, 2, 3)},
    **{f"gateway{number}": 20 + number for number in (1, 2)},
    **{f"balancer{number}": 30 + number for number in (1, 2)},
}
"""The last number of each machine's address."""

CALLERS_ADDRESS = f"{NETWORK}.30"


def read_environment(text: str) -> dict[str, str]:
    """The variables of a file of `NAME=value` lines."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def variables(name: str, folder: Path, programs: Path) -> dict[str, str]:
    """What `cluster.env` says on one machine of the test, with its folder and PostgreSQL's."""
    documented = read_environment((FOLDER / "cluster.env").read_text())
    addresses = {one.upper(): f"{NETWORK}.{number}" for one, number in NUMBERS.items()}
    changed = {
        **addresses,
        "NETWORK": f"{NETWORK}.0/24",
        "CALLERS_ADDRESS": CALLERS_ADDRESS,
        "NAME": name,
        "ADDRESS": addresses[name.upper()],
        "POSTGRES_PROGRAMS": str(programs),
        "POSTGRES_DATA": str(folder / "data"),
        "POSTGRES_SOCKETS": str(folder),
        "ETCD_DATA": str(folder / "etcd"),
        "PGBOUNCER_USERS": str(folder / "userlist.txt"),
    }
    if unknown := changed.keys() - documented:
        raise KeyError(f"cluster.env does not have {sorted(unknown)}")
    return documented | changed


def fill(file: str, values: Mapping[str, str]) -> str:
    """A file of `deploy/ha` with its variables filled in. Raises KeyError for an unknown one."""
    return Template((FOLDER / file).read_text()).substitute(values)
