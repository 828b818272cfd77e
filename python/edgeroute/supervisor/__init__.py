"""The process behind `edgeroute run`: it owns the configuration and the memory file, and keeps the server running.

One thread, the main one, does everything that changes state; the admin listener's threads read, and ask it to reload.
"""


class StartError(Exception):
    """The router cannot start here; the text says why and what to do."""
