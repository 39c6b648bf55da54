"""How many tokens an image becomes, by its size in pixels alone: one class per way that processors do it.

Each is an upper bound; `rules.yaml` says of which models it is exact. What an engine would refuse (an aspect ratio
above 200) counts as the largest image.
"""

import math

import msgspec

MAX_ASPECT = 200
"""Qwen's and GLM's processors refuse longer strips."""


class Patches(msgspec.Struct, frozen=True, tag="patches"):
    """Scaled to a number of pixels between two bounds, sides to multiples of a token's square: Qwen, GLM, MiniMax.

    `smart_resize` of transformers' `models/qwen2_vl/image_processing_qwen2_vl.py` and, with `frames` and `grows`, of
    `models/glm4v/image_processing_glm4v.py`.
    """

    unit: int
    """Side of a token's square in pixels."""
    min_pixels: int
    max_pixels: int
    frames: int = 1
    """By how many the pixels of an image count: GLM takes an image for so many frames of a video."""
    grows: bool = False
    """What is narrower than a token is scaled up first."""
    around: int = 2
    """Tokens that begin and end an image."""

    def tokens(self, width: int, height: int) -> int:
        """Of an image of this size."""
        if self.grows and (height < self.unit or width < self.unit):
            scale = max(self.unit / height, self.unit / width)
            height, width = int(height * scale), int(width * scale)
        if min(width, height) < 1 or max(width, height) / min(width, height) > MAX_ASPECT:
            return self.most
        rows, columns = round(height / self.unit), round(width / self.unit)
        pixels = self.frames * rows * columns * self.unit**2
        if pixels > self.max_pixels:
            shrink = math.sqrt(self.frames * height * width / self.max_pixels)
            rows = max(1, math.floor(height / shrink / self.unit))
            columns = max(1, math.floor(width / shrink / self.unit))
        elif pixels < self.min_pixels:
            stretch = math.sqrt(self.min_pixels / (self.frames * height * width))
            rows = math.ceil(height * stretch / self.unit)
            columns = math.ceil(width * stretch / self.unit)
        return rows * columns + self.around

    @property
    def most(self) -> int:
        """Of any image. A strip keeps one row of tokens even where that is more pixels than allowed."""
        square = self.frames * self.unit**2
        largest, smallest = self.max_pixels // square, -(-self.min_pixels // square)
        strip = math.isqrt(MAX_ASPECT * max(largest, 1)) + 1
        return max(largest, strip, smallest + math.isqrt(MAX_ASPECT * smallest) + 2) + self.around


class Fitted(msgspec.Struct, frozen=True, tag="fitted"):
    """Padded to whole squares, and shrunk until so many fit: GLM-5.

    `smart_resize` of transformers' `models/glm5_next/image_processing_pil_glm5_next.py`. What has to be shrunk counts
    as the most that fit; the processor's search over heights finds nearly as many.
    """

    unit: int
    min_tokens: int
    max_tokens: int
    around: int = 2

    def tokens(self, width: int, height: int) -> int:
        """Of an image of this size."""
        squares = math.ceil(width / self.unit) * math.ceil(height / self.unit)
        if squares < self.min_tokens:
            stretch = math.sqrt(self.min_tokens * self.unit**2 / (width * height))
            sides = (max(1, math.ceil(side * stretch)) for side in (width, height))
            squares = math.prod(math.ceil(side / self.unit) for side in sides)
        return min(squares, self.max_tokens) + self.around

    @property
    def most(self) -> int:
        """Of any image."""
        return self.max_tokens + self.around


class Rows(msgspec.Struct, frozen=True, tag="rows"):
    """Shrunk to a longest side, then cut into rows of squares, each with a token at its end: Pixtral, Mistral 3.

    `get_resize_output_image_size` of transformers' `models/pixtral/image_processing_pixtral.py`.
    """

    unit: int
    longest_edge: int
    rounds: bool = False
    """Sides are rounded where they are shrunk, as mistral-common does; else cut off."""

    def tokens(self, width: int, height: int) -> int:
        """Of an image of this size."""
        ratio = max(width / self.longest_edge, height / self.longest_edge)
        if ratio > 1:
            whole = round if self.rounds else math.floor
            width, height = whole(width / ratio), whole(height / ratio)
        return ((width - 1) // self.unit + 2) * ((height - 1) // self.unit + 1)

    @property
    def most(self) -> int:
        """Of any image."""
        return self.tokens(self.longest_edge, self.longest_edge)


class Fixed(msgspec.Struct, frozen=True, tag="fixed"):
    """As many for every image, or at most so many: Gemma; Llama 4 and DeepSeek-OCR, which cut large ones into tiles."""

    count: int

    def tokens(self, width: int, height: int) -> int:
        """Of an image of this size."""
        return self.count

    @property
    def most(self) -> int:
        """Of any image."""
        return self.count


ImageRule = Patches | Fitted | Rows | Fixed
