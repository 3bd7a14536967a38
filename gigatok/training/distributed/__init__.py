"""Training over several processes: who they are, how a model is spread over them, how they start.

Nothing is imported here: model files know nothing of processes, and one process loads only what it needs.
"""
