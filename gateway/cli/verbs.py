"""The verbs of the command; each is imported when it runs.

The lines of help stand here as well as in the verbs, so that `gateway --help` and the shell's
completion import none of them.
"""

import inspect
import re
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Verb(NamedTuple):
    """A function in a module of `gateway.cli`; `help` is the first line of its docstring."""

    module: str
    function: str
    help: str


class Group(NamedTuple):
    """Verbs behind a common word, as in `gateway token create`."""

    help: str
    verbs: dict[str, Verb]


TOKEN_VERBS = {
    "create": Verb(
        "tokens",
        "create_token",
        "Make a token and print it; it is stored nowhere and cannot be shown again.",
    ),
    "list": Verb(
        "tokens",
        "list_tokens",
        "List the tokens of applications, the revoked ones too; never the tokens themselves.",
    ),
    "revoke": Verb(
        "tokens",
        "revoke_token",
        "Revoke a token of an application, or end all sessions of a user; "
        "workers hear of it at once.",
    ),
}
OUTBOX_VERBS = {
    "list": Verb(
        "outbox",
        "list_messages",
        "List the messages that are not sent: waiting for the next attempt, or parked.",
    ),
    "show": Verb(
        "outbox", "show_message", "Show one message with its content, attempts and last error."
    ),
    "retry": Verb(
        "outbox",
        "retry",
        "Try messages again at once: a worker takes them up within a second or two.",
    ),
    "discard": Verb(
        "outbox",
        "discard",
        "Give messages up for good: they are never sent, and stay listed until they are "
        "30 days old.",
    ),
}
NOTIFICATION_VERBS = {
    "list": Verb(
        "notifications",
        "list_notifications",
        "List the notifications that are open: each fault once, with how often it was met.",
    ),
    "resolve": Verb(
        "notifications",
        "resolve",
        "Resolve notifications by hand; if the fault comes back, a new one is raised.",
    ),
}
VERBS: dict[str, Verb | Group] = {
    "dev": Verb(
        "serve",
        "dev",
        "Serve with an embedded PostgreSQL and demo data, and re-apply the routes on save.",
    ),
    "serve": Verb("serve", "serve", "Serve the registry of GATEWAY_DATABASE_URL until SIGTERM."),
    "migrate": Verb(
        "migrate",
        "run_migrations",
        "Bring the database's tables up to date; what was applied before is left alone.",
    ),
    "statuses": Verb(
        "statuses",
        "list_statuses",
        "List every status that the gateway can answer, in the order of the pipeline.",
    ),
    "config": Verb(
        "settings", "show_settings", "Show every setting with its value; secrets are masked."
    ),
    "check": Verb(
        "manifest",
        "check_manifest",
        "Judge a manifest and its schemas without a database; tells all that is wrong at once.",
    ),
    "plan": Verb(
        "manifest",
        "plan_manifest",
        "Show what apply would change and what of it breaks callers. Exit 0: nothing; 2: changes.",
    ),
    "apply": Verb(
        "manifest",
        "apply_manifest",
        "Write a manifest to the registry in one transaction; running workers follow.",
    ),
    "dump": Verb(
        "manifest",
        "dump_registry",
        "Print the registry as YAML, one document a namespace; its plan is empty.",
    ),
    "history": Verb(
        "revisions",
        "show_history",
        "List the revisions: who, when, why, from which file; or show what one changed.",
    ),
    "rollback": Verb(
        "revisions",
        "roll_back",
        "Make the whole registry what it was at a revision; this is a new revision itself.",
    ),
    "routes": Verb(
        "routes",
        "list_routes",
        "List the routes that the registry holds, and whether each can answer.",
    ),
    "explain": Verb(
        "routes", "explain", "Say why a request would be matched, refused or not found."
    ),
    "token": Group("Make, list and revoke tokens.", TOKEN_VERBS),
    "outbox": Group("Mail and webhooks on their way.", OUTBOX_VERBS),
    "notifications": Group("Faults that somebody has to mend.", NOTIFICATION_VERBS),
}

_EXAMPLE = re.compile(r"^Example: `(.*)`$", re.MULTILINE)


class _LazyCommand(TyperCommand):
    """A verb's name and line of help, until it runs and its module is imported."""

    def __init__(self, name: str, verb: Verb) -> None:
        # Given as short_help too, the line is not cut off in the list of verbs.
        super().__init__(name, help=verb.help, short_help=verb.help, rich_markup_mode=None)
        self._verb = verb

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - as in the base class
        """The context of the verb itself: its options, its help and its code are used from here."""
        return self._load().make_context(*args, **extra)

    def _load(self) -> Any:  # noqa: ANN401 - a command of click's, of which Typer has a copy
        module = import_module(f"gateway.cli.{self._verb.module}")
        function = getattr(module, self._verb.function)
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name, help=help_text(function))(function)
        return typer.main.get_command(app)


class Gateway(TyperGroup):
    """The command `gateway` with all its verbs."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - as in the base class
        super().__init__(**attributes)
        for name, entry in VERBS.items():
            command = _LazyCommand(name, entry) if isinstance(entry, Verb) else _group(name, entry)
            self.add_command(command)


def _group(name: str, group: Group) -> TyperGroup:
    command = TyperGroup(
        name=name,
        help=group.help,
        short_help=group.help,
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for verb_name, verb in group.verbs.items():
        command.add_command(_LazyCommand(verb_name, verb))
    return command


def help_text(function: Any) -> str:  # noqa: ANN401 - any function
    """A verb's docstring for a terminal: its example, to be copied, is a line of its own."""
    # A paragraph that begins with \b is not filled again.
    return _EXAMPLE.sub(r"\b\nExample:\n  \1", inspect.getdoc(function) or "")
