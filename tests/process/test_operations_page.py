"""The page for operators shows what its commands really print."""

import console
from support.harness import ROOT


def test_every_output_on_the_page_is_what_its_command_prints() -> None:
    page = ROOT / "docs" / "how-to" / "operate-the-registry.md"
    assert console.rewritten(page) == page.read_text()
