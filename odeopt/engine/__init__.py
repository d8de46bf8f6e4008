"""The jitted loops and what runs in them: ``loops``, their inlined and batched forms, ``record`` and ``Trajectory``."""
