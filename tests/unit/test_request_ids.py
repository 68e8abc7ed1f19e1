"""Request ids: of one form, none twice, and none of a parent's in its child."""

import os
import re

from gateway.edge import request_ids


def test_ids_are_32_hex_digits_and_differ() -> None:
    made = [request_ids.make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)


def test_a_child_does_not_go_on_with_its_parent_s() -> None:
    request_ids.make()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, request_ids.make().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 32).decode()
    os.close(reading)
    os.close(writing)
    assert theirs not in {request_ids.make() for _ in range(1000)}
