"""Networks that see images: uint8 in, features out."""
