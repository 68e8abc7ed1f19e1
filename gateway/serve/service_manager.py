"""Messages to systemd (`Type=notify`): that the gateway serves, stops, and is alive.

A message is a datagram to the UNIX socket in NOTIFY_SOCKET, as `sd_notify(3)` describes.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """Tells the service manager about this process; `address` is of its socket."""

    def __init__(self, address: str, *, has_watchdog: bool) -> None:
        # An @ stands for the zero byte of an address in the abstract namespace.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._has_watchdog = has_watchdog
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # The event loop must not wait for a service manager that is late.
        self._socket.setblocking(False)  # noqa: FBT003 - positional only

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> "ServiceManager | None":
        """The manager that started this process, if there is one.

        Its variables are removed, so that no child takes itself for the service.
        """
        address = environment.pop(_SOCKET, "")
        interval = environment.pop(_WATCHDOG, "")
        pid = environment.pop(_WATCHDOG_PID, "") or str(os.getpid())
        if not address.startswith(("/", "@")):
            return None
        return cls(address, has_watchdog=bool(interval) and pid == str(os.getpid()))

    def report_ready(self) -> None:
        """Tell that the gateway serves."""
        self._send("READY=1")

    def report_stopping(self) -> None:
        """Tell that the gateway stops; from then on no sign of life is needed."""
        self._send("STOPPING=1")

    def report_alive(self) -> None:
        """Tell that the gateway is alive, if the manager has a watchdog."""
        if self._has_watchdog:
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode(), self._address)
