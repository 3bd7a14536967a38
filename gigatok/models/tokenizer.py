"""The tokenizer: CNN and transformer encoder, quantizer, transformer and CNN decoder (paper figure 3).

Letters: B batch, H and W pixels, h and w positions of the latent map, N tokens, C latent channels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor, nn

from gigatok.config import GigatokError, TokenizerConfig
from gigatok.models.attention import init_weights
from gigatok.models.cnn import CnnDecoder, CnnEncoder
from gigatok.models.initialisation import start_spatially
from gigatok.models.products import Linear
from gigatok.models.qformer import QFormerDecoder, QFormerEncoder
from gigatok.models.quantizer import QuantizerOutput, VectorQuantizer
from gigatok.models.vit import VitDecoder, VitEncoder


class TokenizerOutput(NamedTuple):
    """What a training step needs."""

    reconstruction: Tensor
    """(B, 3, H, W), not clamped."""
    indices: Tensor
    """(B, N) int64."""
    alignment: Tensor | None
    """(B, h*w, alignment_dim) after the alignment MLP; ``None`` without one."""
    codebook: QuantizerOutput
    encoder_map: Tensor
    """(B, C, h, w) from the CNN encoder."""
    decoder_map: Tensor
    """(B, C, h, w) from the transformer decoder."""
    shortcut: Tensor | None
    """(B, 3, H, W) decoded by the CNN decoder directly from ``encoder_map``; ``None`` unless asked for."""


def alignment_mlp(width: int, teacher_width: int) -> nn.Sequential:
    """Decoder features to the teacher's width (paper section 3.2)."""
    mlp = nn.Sequential(
        Linear(width, 4 * width),
        nn.SiLU(),
        Linear(4 * width, 4 * width),
        nn.SiLU(),
        Linear(4 * width, teacher_width),
    )
    init_weights(mlp)
    return mlp


class Tokenizer(nn.Module):
    """Images to discrete tokens and back.

    ``entropy_temperature``: temperature of the quantizer's entropy loss, ``None`` when that loss is not used.
    ``entropy_group``: images over which that loss averages assignments; ``None``: all of a call.
    """

    def __init__(
        self,
        config: TokenizerConfig,
        entropy_temperature: float | None = 0.01,
        entropy_group: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        channels = config.cnn.latent_channels
        one_dimensional = config.layout == "1d"
        # In the order of the data's way.
        self.cnn_encoder = CnnEncoder(config.cnn)
        self.transformer_encoder: QFormerEncoder | VitEncoder = (
            QFormerEncoder(config) if one_dimensional else VitEncoder(config)
        )
        self.to_code = Linear(channels, config.codebook_dim)
        self.quantizer = VectorQuantizer(
            config.codebook_size,
            config.codebook_dim,
            gradient=config.quantizer_gradient,
            entropy_temperature=entropy_temperature,
            entropy_group=entropy_group,
        )
        self.from_code = Linear(config.codebook_dim, channels)
        self.transformer_decoder: QFormerDecoder | VitDecoder = (
            QFormerDecoder(config) if one_dimensional else VitDecoder(config)
        )
        self.alignment = (
            None if config.alignment_layer is None else alignment_mlp(config.decoder.width, config.alignment_dim)
        )
        self.cnn_decoder = CnnDecoder(config.cnn)
        if config.initialisation == "spatial" and not self.quantizer.codebook.is_meta:
            start_spatially(self, config)

    def forward(self, images: Tensor, shortcut: bool = False) -> TokenizerOutput:
        """images (B, 3, H, W) in [-1, 1]. ``shortcut``: also decode the CNN encoder's map directly."""
        encoder_map = self._encoder_map(images)
        codebook: QuantizerOutput = self.quantizer(self.to_code(self.transformer_encoder(encoder_map)))
        decoded = self.transformer_decoder(self.from_code(codebook.z_q), self.config.alignment_layer)
        return TokenizerOutput(
            reconstruction=self.cnn_decoder(decoded.map),
            indices=codebook.indices,
            alignment=None if self.alignment is None else self.alignment(decoded.tapped),
            codebook=codebook,
            encoder_map=encoder_map,
            decoder_map=decoded.map,
            shortcut=self.cnn_decoder(encoder_map) if shortcut else None,
        )

    def encode(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [-1, 1] -> indices (B, N) int64; a 2D grid row by row."""
        return self.quantizer.search(self.encode_continuous(images))

    def encode_continuous(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [-1, 1] -> what the quantizer gets (B, N, codebook_dim), not normalised."""
        return cast(Tensor, self.to_code(self.transformer_encoder(self._encoder_map(images))))

    def decode(self, indices: Tensor) -> Tensor:
        """indices (B, N) -> images (B, 3, H, W), not clamped."""
        return cast(Tensor, self.cnn_decoder(self.transformer_decoder(self._tokens(indices)).map))

    def reconstruct(self, images: Tensor) -> Tensor:
        """``decode(encode(images))``: (B, 3, H, W) -> the same shape."""
        return self.decode(self.encode(images))

    def encoder_features(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> (B, N, encoder width), after the transformer encoder's last norm."""
        return self.transformer_encoder.features(self._encoder_map(images))

    def decoder_features(self, indices: Tensor, layer: int) -> Tensor:
        """indices (B, N) -> output of decoder block ``layer``, counted from 1: (B, h*w, decoder width)."""
        depth = self.config.decoder.depth
        if not 1 <= layer <= depth:
            raise GigatokError(f"layer {layer} is not in 1..{depth}: the decoder has {depth} blocks")
        return self.transformer_decoder.features(self._tokens(indices), layer)

    def _encoder_map(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> (B, C, h, w)."""
        size = self.config.image_size
        if images.dim() != 4 or images.shape[1:] != (3, size, size):
            raise GigatokError(
                f"images have shape {tuple(images.shape)}; this tokenizer takes (batch, 3, {size}, {size}): "
                "resize them, or build it with another image_size"
            )
        return cast(Tensor, self.cnn_encoder(images))

    def _tokens(self, indices: Tensor) -> Tensor:
        """indices (B, N) -> transformer decoder input (B, N, C)."""
        if indices.dim() != 2 or indices.shape[1] != self.config.tokens:
            raise GigatokError(
                f"indices have shape {tuple(indices.shape)}; this tokenizer takes (batch, {self.config.tokens}) of them"
            )
        return cast(Tensor, self.from_code(self.quantizer.lookup(indices)))
