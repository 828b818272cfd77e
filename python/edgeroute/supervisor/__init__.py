"""The process behind `edgeroute run`: it owns configuration and memory file, and keeps the server running.

The main thread does everything that changes state; the admin listener's threads read, and ask it to reload.
"""
