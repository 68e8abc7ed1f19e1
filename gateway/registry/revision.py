"""What names a revision of the registry: its number and its random id."""

from typing import NamedTuple
from uuid import UUID


class Revision(NamedTuple):
    """A revision's number, and its random id, which only revision 0 lacks.

    After a restore of the database a number may be used a second time, for other records.
    """

    number: int
    uid: UUID | None


EMPTY = Revision(number=0, uid=None)
"""The registry before its first apply."""
