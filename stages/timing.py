"""DVC stage ``timing``: table 4, decoding time against sampling time of the profile's models."""

from common import run_stage

from gigatok.evaluation.timing.measure import time_profile

if __name__ == "__main__":
    run_stage(time_profile)
