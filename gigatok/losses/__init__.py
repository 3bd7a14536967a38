"""Loss functions: tensors in, scalars out. How they are weighted and scheduled is the training's business."""

from gigatok.losses.adversarial import hinge_discriminator_loss, hinge_generator_loss
from gigatok.losses.alignment import semantic_loss
from gigatok.losses.entropy import entropy_loss
from gigatok.losses.reconstruction import feature_loss, l1_loss, l2_loss

__all__ = [
    "entropy_loss",
    "feature_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "l1_loss",
    "l2_loss",
    "semantic_loss",
]
