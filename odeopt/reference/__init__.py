"""Reference solutions of flows: solvers, flows under schedules, and ``reference`` itself."""

from .reference import Reference, reference, start_state

__all__ = ["Reference", "reference", "start_state"]
