"""The checks, in the order they run; each is ``check(case) -> list[Finding]`` in a file of its own."""
