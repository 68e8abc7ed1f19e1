"""The routes of a table, grouped by service and prepared for search.

Made once for each table, in a thread and when a page first needs it: a registry may have a
hundred thousand routes.
"""

import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from itertools import accumulate, islice
from typing import NamedTuple

from gateway import statuses
from gateway.registry.records import Route
from gateway.registry.table import Table

MAX_RESULTS = 100
SHORTEST_WORD = 3
"""Characters of a word that may be suggested."""

MAX_COUNTED = 1000
"""Matches after which a search stops: a word of every route must not take a quarter of a second."""

MAX_WORDS = 20_000
MAX_LENGTH_DIFFERENCE = 2
"""Known words with which a misspelt one is compared: about as long, and not too many."""


class Group(NamedTuple):
    """The routes of one service, in the order of their paths."""

    service: str
    title: str
    routes: tuple[Route, ...]


class Results(NamedTuple):
    """The first routes that match, how many match (at most `MAX_COUNTED`), and a word to try."""

    routes: tuple[Route, ...]
    total: int
    suggestion: str


def _every(_: Route) -> bool:
    return True


class SearchIndex:
    """The documented routes of one table, or all; `by_path` has those of each path by method."""

    def __init__(self, table: Table, *, hidden: bool = False) -> None:
        # Weak: the last index must not keep a table that is no longer served.
        self._table = weakref.ref(table)
        chosen = [r for r in table.routes.values() if hidden or r.documentation.documented]
        self._routes = sorted(chosen, key=lambda route: (route.path, route.method))
        self.by_path: dict[str, list[Route]] = {}
        for route in self._routes:
            self.by_path.setdefault(route.path, []).append(route)
        self.groups = tuple(self._grouped(table))
        self.total = len(self._routes)
        lines = [_text(route) for route in self._routes]
        self._text = "\n".join([*lines, ""])
        self._starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
        self._words = self._distinct_words()

    def is_of(self, table: Table) -> bool:
        """Whether the index was made from this table."""
        return self._table() is table

    def _grouped(self, table: Table) -> Iterator[Group]:
        by_service: dict[str, list[Route]] = {}
        for route in self._routes:
            by_service.setdefault(route.service, []).append(route)
        for service in sorted(by_service):
            record = table.services.get(service)
            yield Group(service, record.title if record else service, tuple(by_service[service]))

    def _distinct_words(self) -> list[str]:
        words: dict[str, None] = {}
        for route in self._routes:
            if len(words) > MAX_WORDS:
                break
            words.update(dict.fromkeys(_words_of(route)))
        return list(words)

    def first(self, keep: Callable[[Route], bool]) -> Results:
        """The first routes that fit, by path; counted as `search` does."""
        fitting = list(islice(filter(keep, self._routes), MAX_COUNTED))
        return Results(tuple(fitting[:MAX_RESULTS]), len(fitting), "")

    def search(self, query: str, keep: Callable[[Route], bool] = _every) -> Results:
        """The routes whose name, path, texts, params and statuses contain every word, and fit."""
        words = query.lower().split()
        if not words:
            return Results((), 0, "")
        numbers = self._matches(words, keep)
        routes = tuple(self._routes[number] for number in numbers[:MAX_RESULTS])
        return Results(routes, len(numbers), "" if routes else self._suggestion(words))

    def _matches(self, words: list[str], keep: Callable[[Route], bool]) -> list[int]:
        """The numbers of the routes with every word; the longest word finds the candidates."""
        longest, *others = sorted(words, key=len, reverse=True)
        numbers = (
            number
            for number in self._lines_with(longest)
            if all(word in self._line(number) for word in others) and keep(self._routes[number])
        )
        return list(islice(numbers, MAX_COUNTED))

    def _lines_with(self, word: str) -> Iterator[int]:
        place = self._text.find(word)
        while place >= 0:
            number = bisect_right(self._starts, place) - 1
            yield number
            place = self._text.find(word, self._starts[number + 1])

    def _line(self, number: int) -> str:
        return self._text[self._starts[number] : self._starts[number + 1]]

    def _suggestion(self, words: list[str]) -> str:
        """The query with each unknown word replaced by the closest known one; empty if none is."""
        close = [word if word in self._text else self._closest(word) for word in words]
        return " ".join(close) if all(close) and close != words else ""

    def _closest(self, word: str) -> str:
        similar = [w for w in self._words if abs(len(w) - len(word)) <= MAX_LENGTH_DIFFERENCE]
        return next(iter(get_close_matches(word, similar, n=1)), "")


class SearchIndexCache:
    """The index of the newest table; the first search of a table makes it.

    With `hidden` it also has the routes that are not documented.
    """

    def __init__(self, *, hidden: bool = False) -> None:
        self._hidden = hidden
        self._index: SearchIndex | None = None
        self._making = threading.Lock()

    def index_of(self, table: Table) -> SearchIndex:
        """The index of a table; call it in a thread, where others wait while one makes it."""
        with self._making:
            if self._index is None or not self._index.is_of(table):
                self._index = SearchIndex(table, hidden=self._hidden)
            return self._index


def _text(route: Route) -> str:
    """The searched text of a route, on one line."""
    own = (slug for slug in route.statuses if slug not in statuses.COMMON)
    names = sorted(route.params.property_names - route.params.common)
    parts = (route.name, route.method, route.path, route.title, route.documentation.description)
    return " ".join(" ".join((*parts, *names, *own)).lower().split())


def _words_of(route: Route) -> set[str]:
    text = _text(route)
    for character in "./_{}:":
        text = text.replace(character, " ")
    return {word for word in text.split() if len(word) >= SHORTEST_WORD}
