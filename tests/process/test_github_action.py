"""The GitHub action: its file, and its steps as they stand, against a real registry."""

import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from support.github import Comments, Job, job_environment, serving_comments
from support.harness import ROOT, execute

ACTION = ROOT / "deploy" / "github" / "action.yml"
BIN = Path(sys.executable).parent
TOKEN = {"token": "t0ken"}
MARK = "<!-- plan of the Plano gateway -->"
MANIFEST = """\
version: 1
namespace: shop
services:
  orders: {kind: python, deployed: true, title: Orders}
routes:
  orders.create: {method: POST, deployed: true, title: Create, auth: [session], params: {}}
"""


@pytest.fixture
def comments() -> Iterator[Comments]:
    with serving_comments() as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "routes.yaml").write_text(MANIFEST)
    return folder


@pytest.fixture
def job(comments: Comments, repository: Path) -> Job:
    return Job(ACTION, repository, job_environment(comments, BIN))


def plan(job: Job, registry: str, **inputs: str) -> str:
    done = job.run("plan", {"database-url": registry, **inputs})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_action_finds_the_manifest_of_an_application_in_a_folder(
    job: Job, repository: Path
) -> None:
    folder = repository / "apps" / "shop"
    folder.mkdir(parents=True)
    (repository / "routes.yaml").rename(folder / "routes.yaml")
    done = job.run("check", {"application": "apps/shop"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "routes.yaml is valid" in done.stdout + done.stderr


def test_action_file_follows_the_schema_of_github() -> None:
    checker = BIN / "check-jsonschema"
    subprocess.run([checker, "--builtin-schema", "vendor.github-actions", ACTION], check=True)


def test_action_puts_no_expression_into_a_script() -> None:
    steps = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    assert [step["id"] for step in steps] == ["install", "check", "plan", "comment", "apply"]
    assert not any("${{" in step["run"] for step in steps)


def test_action_comments_on_pull_requests_and_applies_only_if_asked(job: Job) -> None:
    conditions = {name: step["if"] for name, step in job.steps.items() if "if" in step}
    assert conditions == {
        "comment": "inputs.comment == 'true' && github.event_name == 'pull_request'",
        "apply": "inputs.apply == 'true' && steps.plan.outputs.changes == 'true'",
    }


def test_action_check_annotates_the_line_of_an_error(job: Job, repository: Path) -> None:
    assert job.run("check").returncode == 0
    (repository / "routes.yaml").write_text(MANIFEST.replace("[session]", "everybody"))
    done = job.run("check")
    assert done.returncode == 1
    assert "::error file=routes.yaml,line=6::routes: orders.create: auth: must be" in done.stdout


def test_action_plans_then_applies_the_pinned_plan(
    job: Job, registry: str, repository: Path
) -> None:
    shown = plan(job, registry)
    assert "| add route `orders.create` |" in shown
    assert (job.temporary / "github_step_summary").read_text() == shown
    assert job.output() == {"changes": "true", "plan": str(job.temporary / "plan.json")}
    # What is applied is the plan, not the file.
    (repository / "routes.yaml").unlink()
    done = job.run("apply", {"database-url": registry})
    assert (done.returncode, done.stderr) == (0, "")
    assert "namespace shop is at revision 1" in done.stdout


async def test_action_apply_names_actor_and_commit_in_the_history(job: Job, registry: str) -> None:
    plan(job, registry)
    assert job.run("apply", {"database-url": registry}).returncode == 0
    [row] = await execute(registry, "select applied_by, message from gateway.revisions")
    assert tuple(row) == ("ada", "shop/routes@4f1c2d9e")


def test_action_plan_without_changes_says_so(job: Job, registry: str) -> None:
    plan(job, registry)
    job.run("apply", {"database-url": registry})
    assert "nothing to change" in plan(job, registry)
    assert job.output()["changes"] == "false"


@pytest.fixture
async def read_only(registry: str) -> AsyncIterator[str]:
    """The registry's address for a role that may only read it."""
    role = f"reader_{uuid.uuid4().hex}"
    await execute(registry, f"create role {role} login password '{role}'")
    await execute(registry, f"grant usage on schema gateway to {role}")
    await execute(registry, f"grant select on all tables in schema gateway to {role}")
    parts = urlsplit(registry)
    yield parts._replace(netloc=f"{role}:{role}@{parts.netloc.rpartition('@')[2]}").geturl()
    await execute(registry, f"drop owned by {role}")
    await execute(registry, f"drop role {role}")


async def test_action_plan_needs_a_role_that_may_only_read(job: Job, read_only: str) -> None:
    assert "| add route `orders.create` |" in plan(job, read_only)
    done = job.run("apply", {"database-url": read_only})
    assert done.returncode == 1
    assert "permission denied" in done.stderr


def test_action_plan_fails_on_an_error(job: Job, registry: str) -> None:
    unreachable = re.sub(r"/[^/?]*($|\?)", r"/no_such_database\1", registry)
    done = job.run("plan", {"database-url": unreachable})
    assert done.returncode == 1
    assert "no_such_database" in done.stderr
    assert job.output() == {}


def test_action_apply_refuses_what_breaks_callers_unless_it_is_allowed(
    job: Job, registry: str, repository: Path
) -> None:
    plan(job, registry)
    job.run("apply", {"database-url": registry})
    (repository / "routes.yaml").write_text(MANIFEST.replace("POST", "PUT"))
    assert "`method changes from POST to PUT`" in plan(job, registry)
    assert job.run("apply", {"database-url": registry}).returncode == 1
    assert job.run("apply", {"database-url": registry, "allow-breaking": "true"}).returncode == 0


def test_action_prunes_only_if_asked(job: Job, registry: str, repository: Path) -> None:
    more = MANIFEST + MANIFEST.splitlines()[-1].replace("create:", "read:") + "\n"
    (repository / "routes.yaml").write_text(more)
    plan(job, registry)
    job.run("apply", {"database-url": registry})
    (repository / "routes.yaml").write_text(MANIFEST)
    assert "- `orders.read`: kept" in plan(job, registry)
    assert "| delete route `orders.read` |" in plan(job, registry, prune="true")


def test_action_comment_is_one_that_each_push_renews(
    job: Job, registry: str, comments: Comments, repository: Path
) -> None:
    for number in range(130):
        comments.add(f"comment {number}", "User")
    comments.add(f"{MARK}\nfrom a person", "User")
    plan(job, registry)
    done = job.run("comment", TOKEN, number=7)
    assert (done.returncode, done.stderr) == (0, "")
    (repository / "routes.yaml").write_text(MANIFEST.replace("Create", "Make"))
    plan(job, registry, prune="true")
    assert job.run("comment", TOKEN, number=7).returncode == 0
    own = [comment for comment in comments.comments[130:] if comment["user"]["type"] == "Bot"]
    assert [comment["body"].splitlines()[0] for comment in own] == [MARK]
    assert "add route `orders.create`" in own[0]["body"]
    assert comments.comments[130]["body"] == f"{MARK}\nfrom a person"
    path = "/repos/shop/routes/issues"
    listed = f"GET {path}/7/comments Bearer t0ken"
    assert comments.calls == [
        *(listed, listed, f"POST {path}/7/comments Bearer t0ken"),
        *(listed, listed, f"PATCH {path}/comments/132 Bearer t0ken"),
    ]


def test_action_comment_of_a_huge_plan_is_cut_at_a_row(job: Job, comments: Comments) -> None:
    rows = "\n".join(f"| add route `orders.r{number}` |  |  |" for number in range(5000))
    (job.temporary / "plan.md").write_text(rows)
    assert job.run("comment", TOKEN, number=7).returncode == 0
    [comment] = comments.comments
    assert len(comment["body"]) < 65_536
    assert comment["body"].endswith(
        " |  |  |\n\nThe plan is too long for a comment; the summary of the job has all of it."
    )
