"""Features to scores with their protocol and interval; the commands ``evaluate`` and ``explain``."""
