"""The limit of open files of this process, which most systems set too low for a server."""

import contextlib
import resource


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it.

    Systems start programs with 1,024 and leave it to each program to ask for more; the processes
    that it starts get the same limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS has a hard limit that it does not accept as a soft one.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
