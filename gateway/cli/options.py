"""Options and arguments that several verbs have."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when every live worker serves it.")]
Timeout = Annotated[float, typer.Option(help="Seconds that --wait waits at most.")]
Message = Annotated[str, typer.Option(help="Why, for the history.")]
Actor = Annotated[str, typer.Option(help="Who; else the name of the system's user.")]

_MAX_ID = 2**63 - 1
Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=_MAX_ID, help="Of the list.")]
Ids = Annotated[
    list[int] | None, typer.Argument(metavar="ID", min=1, max=_MAX_ID, help="Of the list.")
]
