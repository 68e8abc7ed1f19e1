"""rich's console, which prints what it is given without control characters.

A file of its own, since importing rich takes a tenth of a second.
"""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from gateway.cli.safe_text import printable


class SafeConsole(Console):
    """A console whose texts cannot control the terminal; styles and colours are rich's own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of what is printed, with control characters as escapes."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=printable(segment.text))
