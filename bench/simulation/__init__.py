"""Replicas of an inference engine, the loads that they get and the policies that spread them; no clock, no sockets."""
