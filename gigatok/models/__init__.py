"""The networks: tokenizers, AR models, the adversary. Plain torch, single device, no files."""

from gigatok.models.ar import ArModel
from gigatok.models.discriminator import PatchGan
from gigatok.models.quantizer import QuantizerOutput, VectorQuantizer
from gigatok.models.sizes import AR_MODELS, TOKENIZERS, build_ar, build_tokenizer, parameters_by_part
from gigatok.models.tokenizer import Tokenizer, TokenizerOutput

__all__ = [
    "AR_MODELS",
    "TOKENIZERS",
    "ArModel",
    "PatchGan",
    "QuantizerOutput",
    "Tokenizer",
    "TokenizerOutput",
    "VectorQuantizer",
    "build_ar",
    "build_tokenizer",
    "parameters_by_part",
]
