"""Names of the sizes that checkpoints were released in: known without the networks, which need torch."""

RELEASED_TOKENIZERS = ("S-S", "S-B", "B-S", "S-L", "B-L", "L-XL", "XL-XXL", "S-S-2d", "S-B-2d", "B-L-2d")
RELEASED_GENERATORS = ("GPT-B", "GPT-L", "GPT-XL", "GPT-XXL")
