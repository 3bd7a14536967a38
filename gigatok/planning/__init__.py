"""What a run will cost before it starts: parameters, operations, memory, hours and disk.

Nothing is imported here: the command line asks for hours without loading torch.
"""
