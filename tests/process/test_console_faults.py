"""The console's overview names what an operator kills, and says when it is over."""

import os
import signal
from pathlib import Path

import httpx2
from support.command import children_of, free_port, running, wait_until
from support.console import CONSOLE, EMPLOYEE
from support.html import Page
from support.mandrill import served_in_thread
from support.outages import Database, slugs, stage, workers_of

from gateway.dev.demo import PASSWORD
from gateway.dev.mandrill import API, StandIn
from gateway.monitoring import watcher

REPORTED = "select from gateway.figures"


class Operator:
    """A browser that stays signed in; admin ports of several workers answer it in turn."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def sign_in(self) -> None:
        page = Page(self._http.get(f"{CONSOLE}/sign-in").text)
        [token] = [
            field.attributes["value"]
            for field in page.root.all("input")
            if field.attributes.get("name") == "form"
        ]
        form = {"form": token, "email": EMPLOYEE, "password": PASSWORD}
        headers = {"sec-fetch-site": "same-origin"}
        answer = self._http.post(f"{CONSOLE}/sign-in", data=form, headers=headers)
        assert answer.status_code == 303, answer.text

    def overview(self) -> str:
        """The overview; empty if its worker was just killed."""
        try:
            answer = self._http.get(CONSOLE)
        except httpx2.NetworkError:
            return ""
        assert answer.status_code == 200, answer.text
        return answer.text

    def sees(self, text: str) -> None:
        wait_until(lambda: text in self.overview())


def test_overview_names_what_is_killed_and_says_when_it_is_over(
    server: Database, demo_tokens: dict[str, str], tmp_path: Path
) -> None:
    mail_port = free_port()
    changes = {
        "GATEWAY_DATABASE_URL": server.app_url,
        "GATEWAY_MANDRILL_URL": f"http://127.0.0.1:{mail_port}{API}",
        "GATEWAY_MANDRILL_API_KEY": "key",
    }
    with (
        running("serve", "--workers", "2", cwd=tmp_path, **changes) as command,
        httpx2.Client(base_url=command.admin(), timeout=20) as http,
    ):
        url = command.url()
        workers = workers_of(command, 2)
        operator = Operator(http)
        operator.sign_in()
        # A worker that has not said that it is there cannot be missed.
        wait_until(lambda: len(server.run(REPORTED)) == len(workers))
        operator.sees("All is well")

        os.kill(workers.pop(), signal.SIGKILL)
        operator.sees("A worker died")
        wait_until(lambda: len(children_of(command.process.pid)) == 2)
        operator.sees("All is well")

        server.take_away("killed")
        operator.sees("The database does not answer")
        server.restore()
        operator.sees("All is well")

        mail = {"json": stage(demo_tokens["employee"], event_slug="stage-changed")}
        assert slugs(url, mail) == ["mandrill-email-failed"]
        operator.sees("Mail fails")
        with served_in_thread(StandIn().app, mail_port):
            # The dispatcher tries again by itself.
            operator.sees("All is well")


def test_kill_is_seen_within_five_seconds() -> None:
    # The server closes the connection of a worker that dies; a worker that hangs takes longer.
    assert watcher.QUERY_TIMEOUT + watcher.QUERY_INTERVAL < 5
