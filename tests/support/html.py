"""Read a page of the gateway as a reader sees it: texts by the ids of their elements."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "hr"}


@dataclass
class Element:
    """An element with its attributes, its parent, and all the text inside it."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: list["Element"] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The classes of the element, and the empty name, which every element has."""
        return ["", *self.attributes.get("class", "").split()]

    @property
    def raw(self) -> str:
        """The text as it is, for code."""
        return "".join(self.pieces)

    @property
    def text(self) -> str:
        """The text with single spaces."""
        return " ".join(self.raw.split())

    def all(self, tag: str, name: str = "") -> list["Element"]:
        """The elements inside with this tag and class."""
        found = []
        for child in self.children:
            if child.tag == tag and name in child.classes:
                found.append(child)
            found += child.all(tag, name)
        return found


class Page(HTMLParser):
    """A parsed page. Raises AssertionError if an element is not closed or an id occurs twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self._open = Element("", {})
        self.ids: dict[str, Element] = {}
        self.feed(text)
        assert self._open is self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open)
        self._open.children.append(element)
        if "id" in element.attributes:
            assert element.attributes["id"] not in self.ids
            self.ids[element.attributes["id"]] = element
        if tag not in VOID:
            self._open = element

    def handle_endtag(self, tag: str) -> None:
        assert self._open.tag == tag
        assert self._open.parent
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self._open
        while element:
            element.pieces.append(data)
            element = element.parent

    def links(self) -> list[str]:
        """The targets of all links."""
        return [link.attributes["href"] for link in self.root.all("a")]
