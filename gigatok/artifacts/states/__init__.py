"""Resumable training states: everything that makes the next step what it would have been without the stop.

A state is a folder ``state-<number>`` that ``torch.distributed.checkpoint`` (DCP) writes and reads, for one process or
for many; ``state.json`` in it says what the state is of and holds the checksum of each file.
"""
