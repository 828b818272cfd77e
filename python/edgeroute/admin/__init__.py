"""The admin listener: probes, metrics, status and reload over HTTP, apart from the traffic."""

from edgeroute.admin.listener import AdminListener, Answers

__all__ = ["AdminListener", "Answers"]
