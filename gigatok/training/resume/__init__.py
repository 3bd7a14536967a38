"""Whether a training is finished, resumed or begun anew, and what the files of a run are known by."""
