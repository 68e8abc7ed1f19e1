"""Workflow commands of GitHub: their properties, and the characters that must be escaped."""

from gateway.cli import annotations
from gateway.manifest.source.diagnostic import Diagnostic


def test_an_annotation_has_the_place_that_the_error_has() -> None:
    error = Diagnostic(file="routes.yaml", line=3, column=7, path="routes: a.b", message="wrong")
    assert annotations.error(error) == "::error file=routes.yaml,line=3,col=7::routes: a.b: wrong"
    whole = Diagnostic(file="routes.yaml", message="wrong")
    assert annotations.error(whole) == "::error file=routes.yaml::wrong"


def test_an_annotation_cannot_be_ended_or_extended_by_its_texts() -> None:
    error = Diagnostic(file="a:b,c%\n.yaml", message="100%\r\n::set-output name=a::b")
    assert annotations.error(error) == (
        "::error file=a%3Ab%2Cc%25%0A.yaml::100%25%0D%0A::set-output name=a::b"
    )
    assert annotations.warning("a,b", "x\ny") == "::warning file=a%2Cb::x%0Ay"
