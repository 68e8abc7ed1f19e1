"""Other programs in front of the same service: nginx, HAProxy, FastAPI and Fastify."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / "baselines"
NODE = FOLDER / "fastify"

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream service {{ server 127.0.0.1:{upstream}; keepalive 128; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
HAPROXY = """\
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend calls
    bind 127.0.0.1:{port}
    default_backend service
backend service
    server one 127.0.0.1:{upstream}
"""


class Peer(NamedTuple):
    """What a peer is started with: the service's port, a folder, a Python, a token, a secret."""

    upstream: int
    folder: Path
    python: str
    token: str
    secret: str


def _commands(name: str, peer: Peer, port: int) -> list[str] | None:
    """The command of a peer; None if it is not installed."""
    if name in {"nginx", "HAProxy"}:
        program = shutil.which(name.lower(), path="/usr/sbin:/usr/bin:/usr/local/bin")
        text = (NGINX if name == "nginx" else HAPROXY).format(
            folder=peer.folder, port=port, upstream=peer.upstream
        )
        file = peer.folder / f"{name}.conf"
        file.write_text(text)
        flags = ["-c"] if name == "nginx" else ["-f"]
        return [program, *flags, str(file)] if program else None
    if name == "FastAPI + httpx2":
        python = os.path.abspath(peer.python)  # noqa: PTH100 - a link must stay one
        check = [python, "-c", "import fastapi, httpx2, uvloop"]
        is_there = subprocess.run(check, capture_output=True, check=False).returncode == 0
        return [python, str(FOLDER / "fastapi_proxy.py")] if is_there else None
    has_undici = (NODE / "node_modules" / "undici").is_dir()
    return ["node", "proxy.js"] if has_undici and shutil.which("node") else None


PEERS = ("nginx", "HAProxy", "FastAPI + httpx2", "Fastify + undici")


@contextlib.contextmanager
def peer_running(name: str, peer: Peer) -> Iterator[tuple[int, int] | None]:
    """A peer's process and port, for the length of the block; None if it is not installed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = _commands(name, peer, port)
    if command is None:
        print(f"{name} is not installed: left out")
        yield None
        return
    environment = {
        **os.environ,
        "PORT": str(port),
        "UPSTREAM": f"http://127.0.0.1:{peer.upstream}",
        "TOKEN": peer.token,
        "TOURS_SECRET": peer.secret,
    }
    cores = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    process = subprocess.Popen([*cores, *command], cwd=NODE, env=environment)
    try:
        yield _worker(process.pid, port), port
    finally:
        process.terminate()
        process.wait()


def _worker(pid: int, port: int) -> int:
    """The process that does the work, once the port is open: nginx has a child for it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    else:
        raise RuntimeError("a peer did not open its port within 20 s")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid
