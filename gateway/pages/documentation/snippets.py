"""The example call of a route as a command, and as a program in Python and in JavaScript."""

import json
import shlex
from typing import NamedTuple

from gateway.pages.documentation.examples import IDEMPOTENCY_KEY, Example


class Snippet(NamedTuple):
    """A piece of code that works when it is pasted; the variable TOKEN holds the token."""

    title: str
    code: str


def snippets(example: Example, origin: str) -> tuple[Snippet, ...]:
    """The call of a gateway at `origin`, such as `https://api.example.com`, in three languages."""
    return (
        Snippet("curl", _curl(example, origin)),
        Snippet("Python", _python(example, origin)),
        Snippet("JavaScript", _javascript(example, origin)),
    )


def _is_base64(example: Example) -> bool:
    return example.content_type == "text/plain"


def _curl(example: Example, origin: str) -> str:
    options = [f"curl -s -X {example.method} {shlex.quote(origin + example.target)}"]
    if example.needs_token:
        options.append('-H "Authorization: Bearer $TOKEN"')
    if example.needs_key:
        options.append(f"-H 'Idempotency-Key: {IDEMPOTENCY_KEY}'")
    if example.content_type:
        options.append(f"-H 'Content-Type: {example.content_type}'")
    if not example.content_type:
        return " \\\n  ".join(options)
    body = shlex.quote(_json(example.body))
    if _is_base64(example):
        command = " \\\n  ".join([*options, "--data-binary @-"])
        return f"printf %s {body} \\\n  | base64 \\\n  | {command}"
    return " \\\n  ".join([*options, f"-d {body}"])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _headers(example: Example, token: str) -> list[str]:
    """The headers as lines of an object literal; `token` is the expression of the first one."""
    lines = [f'"Authorization": {token}'] if example.needs_token else []
    if example.needs_key:
        lines.append(f'"Idempotency-Key": "{IDEMPOTENCY_KEY}"')
    return lines


def _python(example: Example, origin: str) -> str:
    is_base64 = _is_base64(example)
    headers = _headers(example, "f\"Bearer {os.environ['TOKEN']}\"")
    if is_base64:
        headers.append('"Content-Type": "text/plain"')
    imports = ["base64", "json"] if is_base64 else []
    imports += ["os"] if example.needs_token else []
    lines = [*(f"import {name}" for name in imports), *([""] if imports else [])]
    lines += ["import httpx2", ""]
    arguments = [f'"{example.method}"', f'"{origin}{example.target}"']
    if headers:
        arguments.append(f"headers={{{', '.join(headers)}}}")
    if example.content_type:
        lines.append(f"params = {example.body!r}")
        sent = "content=base64.b64encode(json.dumps(params).encode())"
        arguments.append(sent if is_base64 else "json=params")
    body = "".join(f"    {argument},\n" for argument in arguments)
    return "\n".join([*lines, f"answer = httpx2.request(\n{body})", "print(answer.json())"])


_JAVASCRIPT_BODIES = {
    False: "JSON.stringify(params)",
    True: 'Buffer.from(JSON.stringify(params)).toString("base64")',
}


def _javascript(example: Example, origin: str) -> str:
    headers = _headers(example, "`Bearer ${process.env.TOKEN}`")
    if example.content_type:
        headers.append(f'"Content-Type": "{example.content_type}"')
    options = [f'method: "{example.method}"']
    if headers:
        options.append(f"headers: {{{', '.join(headers)}}}")
    lines = []
    if example.content_type:
        lines.append(f"const params = {_json(example.body)};")
        options.append(f"body: {_JAVASCRIPT_BODIES[_is_base64(example)]}")
    inner = "".join(f"  {option},\n" for option in options)
    lines.append(f'const answer = await fetch("{origin}{example.target}", {{\n{inner}}});')
    lines.append("console.log(await answer.json());")
    return "\n".join(lines)
