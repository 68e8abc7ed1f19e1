"""The verbs of the command; each is imported when it runs.

The lines of help stand here as well as in the verbs, so that `gateway --help` and the shell's
completion import none of them.
"""

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Verb(NamedTuple):
    """A command in a module of `gateway.cli`; `help` is the first line of its docstring."""

    module: str
    command: str
    help: str
    exit_codes: str = "Exit codes: 0 done, 1 an error."


class Group(NamedTuple):
    """Verbs behind a common word, as in `gateway token create`."""

    help: str
    verbs: dict[str, Verb]


TOKEN_VERBS = {
    "create": Verb(
        "tokens", "create_token", "Create a token and print it once: only its hash is stored."
    ),
    "list": Verb(
        "tokens",
        "list_tokens",
        "List application tokens, including revoked ones; the tokens themselves are not shown.",
    ),
    "revoke": Verb(
        "tokens",
        "revoke_token",
        "Revoke an application token, or end all sessions of a user; workers learn of it at once.",
    ),
}
APPLICATION_VERBS = {
    "list": Verb(
        "applications",
        "list_applications",
        "List applications with the numbers of their live tokens and sessions.",
    ),
    "show": Verb(
        "applications",
        "show_application",
        "Show an application: title, roles, namespace, tokens, number of live sessions.",
    ),
}
USER_VERBS = {
    "create": Verb(
        "users", "create_user", "Create a user without a password, with roles and permissions."
    ),
    "list": Verb(
        "users",
        "list_users",
        "List users by id, with roles, permissions, state and the number of live sessions.",
    ),
    "show": Verb(
        "users",
        "show_user",
        "Show a user: roles, permissions, live sessions, and since when it is disabled.",
    ),
    "grant": Verb(
        "users", "grant", "Grant roles and permissions; running workers learn of it at once."
    ),
    "revoke": Verb(
        "users", "revoke", "Revoke roles and permissions; running workers learn of it at once."
    ),
    "disable": Verb(
        "users",
        "disable",
        "Disable a user: refuse log-ins, and end all sessions in all workers at once.",
    ),
    "enable": Verb(
        "users", "enable", "Let a disabled user log in again; sessions that were ended stay ended."
    ),
    "password": Verb(
        "users",
        "set_password",
        "Set a user's password and end the user's sessions, or mail a password reset link.",
    ),
}
OUTBOX_VERBS = {
    "list": Verb(
        "outbox",
        "list_messages",
        "List messages that are not sent: waiting for the next attempt, or parked.",
    ),
    "show": Verb(
        "outbox", "show_message", "Show one message with its content, attempts and last error."
    ),
    "retry": Verb(
        "outbox", "retry", "Retry messages now: a worker picks them up within two seconds."
    ),
    "discard": Verb(
        "outbox",
        "discard",
        "Discard messages: they are never sent, and stay listed until they are 30 days old.",
    ),
}
NOTIFICATION_VERBS = {
    "list": Verb(
        "notifications",
        "list_notifications",
        "List open notifications: each problem once, with how often it occurred.",
    ),
    "resolve": Verb(
        "notifications",
        "resolve",
        "Resolve notifications by hand; a problem that occurs again opens a new one.",
    ),
}
VERBS: dict[str, Verb | Group] = {
    "init": Verb(
        "scaffold",
        "init",
        "Write an application to begin with: a service with route, schemas and tests.",
    ),
    "new": Verb(
        "scaffold",
        "new",
        "Add an action to the application: code, schemas, route and test; overwrite nothing.",
    ),
    "dev": Verb(
        "serve",
        "dev",
        "Serve with an embedded PostgreSQL and demo data; apply the manifest again on each save.",
        "Exit codes: 0 stopped by a signal, 130 stopped while it starts, 1 an error.",
    ),
    "serve": Verb("serve", "serve", "Serve the registry in GATEWAY_DATABASE_URL until SIGTERM."),
    "migrate": Verb(
        "migrate",
        "run_migrations",
        "Create or update the gateway's tables: apply the migrations that are not applied yet.",
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
        "Validate a manifest and its schemas offline; report every error at once.",
    ),
    "plan": Verb(
        "manifest",
        "plan_manifest",
        "Show what apply would change and which changes break callers; exit 2 on any change.",
    ),
    "apply": Verb(
        "manifest",
        "apply_manifest",
        "Write a manifest to the registry in one transaction; running workers pick it up.",
    ),
    "schema": Verb(
        "manifest",
        "print_schema",
        "Print the JSON Schema of a manifest or of params; editors use it to complete and check.",
    ),
    "dump": Verb(
        "manifest", "dump_registry", "Print the registry as YAML, one document per namespace."
    ),
    "history": Verb(
        "revisions",
        "show_history",
        "List revisions with author, reason and source, or show what one revision changed.",
    ),
    "rollback": Verb(
        "revisions",
        "roll_back",
        "Restore the whole registry to an earlier revision, as a new revision.",
    ),
    "routes": Verb(
        "routes", "list_routes", "List the registry's routes, and whether each can answer."
    ),
    "explain": Verb(
        "routes", "explain", "Explain why a request would be matched, refused or not found."
    ),
    "services": Verb(
        "services",
        "list_services",
        "List services and their endpoints, as all live workers see them.",
    ),
    "openapi": Verb(
        "openapi",
        "print_openapi",
        "Print the OpenAPI document of a manifest offline, or what broke callers since a revision.",
    ),
    "application": Group(
        "List and show the applications that manifests have declared.", APPLICATION_VERBS
    ),
    "user": Group("Create users, and change their roles, permissions and passwords.", USER_VERBS),
    "token": Group("Create, list and revoke tokens.", TOKEN_VERBS),
    "outbox": Group("List, retry and discard mail and webhooks that are not sent.", OUTBOX_VERBS),
    "notifications": Group("Problems that need an operator.", NOTIFICATION_VERBS),
}

_EXAMPLE = re.compile(r"^Example: `(.*)`$", re.MULTILINE)


class LazyCommand(click.Command):
    """A verb's name and line of help, until it runs and its module is imported."""

    def __init__(self, name: str, verb: Verb) -> None:
        # Given as short_help too, the line is not cut off in the list of verbs.
        super().__init__(name, help=verb.help, short_help=verb.help)
        self._verb = verb

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as in the base class
    ) -> click.Context:
        """The context of the imported verb, with which click goes on instead of this command."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> click.Command:
        """Import the verb."""
        module = import_module(f"gateway.cli.{self._verb.module}")
        command: click.Command = getattr(module, self._verb.command)
        if "Exit codes:" not in (command.help or ""):
            command.epilog = self._verb.exit_codes
        # The example is there to be copied: a paragraph that begins with \b is not filled again.
        command.help = _EXAMPLE.sub("\b\\nExample:\\n  \\1", inspect.cleandoc(command.help or ""))
        return command


class VerbGroup(click.Group):
    """A group that lists its verbs in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of the verbs."""
        return list(self.commands)


def build_group(name: str, line: str, verbs: Mapping[str, Verb | Group]) -> VerbGroup:
    """The command of a group, with all its verbs; `line` is its help."""
    commands = [
        build_group(inner, entry.help, entry.verbs)
        if isinstance(entry, Group)
        else LazyCommand(inner, entry)
        for inner, entry in verbs.items()
    ]
    return VerbGroup(
        name,
        commands=commands,
        help=line,
        short_help=line,
        no_args_is_help=True,
        epilog="Exit codes: 0 done, 1 an error, 2 changes of a plan, 130 interrupted.",
    )
