"""Sets of replicas that change while the router runs: what is discovered, what operators change, how engines feel.

All of it happens in the supervisor, beside the traffic: workers see whole generations, and cells.
"""
