"""Trainings past and present: the list, two of them compared, an old one brought back."""
