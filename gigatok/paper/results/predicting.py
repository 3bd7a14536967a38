"""Measurements of a tokenizer alone that may predict its generator's gFID: which, fixed before the runs."""

PREDICTORS = (
    "rfid",
    "rfid_perturbed",
    "psnr",
    "effective_codebook_size",
    "first_token_entropy",
    "determined_share",
)
"""Measured without a generator, in seconds a tokenizer. All of them enter the correction."""
