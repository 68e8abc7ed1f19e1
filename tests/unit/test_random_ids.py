"""Request ids: their form, and that no id comes twice, not even in a forked process."""

import os
import re

from gateway.runtime import random_ids


def test_random_ids_are_32_hex_digits_and_differ() -> None:
    ids = [random_ids.make() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_random_ids_of_a_forked_child_differ_from_its_parent_s() -> None:
    random_ids.make()
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.write(write_end, random_ids.make().encode())
        os._exit(0)
    os.waitpid(child, 0)
    id_of_child = os.read(read_end, 32).decode()
    os.close(read_end)
    os.close(write_end)
    assert id_of_child not in {random_ids.make() for _ in range(1000)}
