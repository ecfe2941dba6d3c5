"""Text to tokens and back, for one model: the only place that renders a prompt, in training, evaluation and serving."""

from weitiao.codec.codec import Codec, Encoding, open_codec

__all__ = ["Codec", "Encoding", "open_codec"]
