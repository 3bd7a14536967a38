"""What reading a state that is not whole ends in."""


class DamagedStateError(Exception):
    """A state is not what was written."""
