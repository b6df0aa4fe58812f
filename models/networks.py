"""The two regularisers of the paper: a deep DnCNN and the shallow equilibrium block of Table 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.normalised_convolution import normalised_convolution
from operators.validation import require_count, require_number

DNCNN_LAYERS = 17
DNCNN_FEATURES = 64
LUSER_FEATURES = 32
BATCH_NORM_MOMENTUM = 0.1
GROUPS = 8
"""Groups of every GroupNorm. The paper does not give the number, and no parameter count depends on it."""


def _conv(inputs: int, outputs: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)


class StageBatchNorm(nn.Module):
    """BatchNorm whose scale and shift all stages share, with running statistics of every stage.

    The stages of an unrolled network see different images: statistics over all of them fit none. They are
    buffers, so that parameter counts stay as they are.

    Args:
        features: channels C.
        stages: how many sets of statistics, K.

    Attributes:
        running_mean: (K, C).
        running_var: (K, C).
        momentum: share of a batch's own statistics in the running ones; 0 keeps them.
        frozen: whether training normalises by the running statistics too, and keeps them.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, stages: int) -> None:
        super().__init__()
        require_count("features", features)
        require_count("stages", stages)
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(stages, features))
        self.register_buffer("running_var", torch.ones(stages, features))
        self.momentum = BATCH_NORM_MOMENTUM
        self.frozen = False

    def forward(self, x: Tensor, stage: int = 0) -> Tensor:
        """Normalise (B, C, H, W): by the batch's statistics in training, else by the stage's running ones."""
        mean, variance = self.running_mean[stage], self.running_var[stage]
        moves = self.training and not self.frozen
        return F.batch_norm(x, mean, variance, self.weight, self.bias, moves, self.momentum)


class DnCNN(nn.Sequential):
    """17 bias-free 3x3 convolutions with 64 features; BatchNorm after all but the first and the last.

    Maps images (B, C, H, W) to corrections of the same shape. Activations are in place: convolution and
    BatchNorm need their inputs in the backward pass, never their outputs.

    Args:
        channels: image channels C.
        last_scale: factor on the initial correction, so that training starts near the identity.
        stages: how many sets of running statistics every BatchNorm has.

    Source: LUSER, Sec. 4.1; Ryu et al. 2019.
    """

    def __init__(self, channels: int, last_scale: float = 1.0, stages: int = 1) -> None:
        require_count("channels", channels)
        require_number("last_scale", last_scale)
        layers: list[nn.Module] = [_conv(channels, DNCNN_FEATURES, bias=False), nn.ReLU(inplace=True)]
        for _ in range(DNCNN_LAYERS - 2):
            layers += [
                _conv(DNCNN_FEATURES, DNCNN_FEATURES, bias=False),
                StageBatchNorm(DNCNN_FEATURES, stages),
                nn.ReLU(inplace=True),
            ]
        last = _conv(DNCNN_FEATURES, channels, bias=False)
        super().__init__(*layers, last)
        # The scale of the last normalisation is the correction's, even under spectral norm.
        nn.init.constant_(self.norms[-1].weight, last_scale)

    def forward(self, x: Tensor, stage: int = 0) -> Tensor:
        """Return the corrections of images (B, C, H, W), normalised by the statistics of a stage."""
        for layer in self:
            x = layer(x, stage) if isinstance(layer, StageBatchNorm) else layer(x)
        return x

    @property
    def norms(self) -> list[StageBatchNorm]:
        """Every BatchNorm, in order."""
        return [layer for layer in self if isinstance(layer, StageBatchNorm)]


class EquilibriumBlock(nn.Module):
    """The shallow network whose fixed point is LUSER's regulariser.

    ``inject`` sees the stage's input once; ``forward`` is the map r -> Mix(Data(r) (+) injection) that is
    iterated. The last GroupNorm's weight and the last convolution's bias start at zero: the map is then zero, its
    solve converges at once, and the block begins as the identity, without an extra parameter.

    Args:
        channels: image channels C.

    Source: LUSER, Table 1 and Eq. (7); every convolution has a bias, every GroupNorm is affine, the second
    Data convolution is 32 -> 32 (its printed input width is a misprint: the counts of Table 3 settle it).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_count("channels", channels)
        width = LUSER_FEATURES
        self.inject = nn.Sequential(
            _conv(channels, width, bias=True), _activation(), _conv(width, width, bias=True), _activation()
        )
        self.data = nn.Sequential(*_normalised(channels, width), *_normalised(width, width))
        self.mix = nn.Sequential(
            *_normalised(2 * width, 2 * width),
            *_normalised(2 * width, 2 * width),
            _conv(2 * width, channels, bias=True),
        )
        last_norm = self.mix[-3]
        assert isinstance(last_norm, nn.GroupNorm)
        nn.init.zeros_(last_norm.weight)
        # Otherwise every stage adds it to the image: eight stages lose 8 dB of a filtered backprojection.
        nn.init.zeros_(self.mix.get_parameter(f"{len(self.mix) - 1}.bias"))

    def forward(self, r: Tensor, injection: Tensor, *, sparing: bool = False) -> Tensor:
        """Apply the map once.

        Args:
            r: residual images, (B, C, H, W).
            injection: ``inject(d)``, (B, 32, H, W).
            sparing: whether the graph keeps only the inputs of each normalisation; the result is the same to rounding,
                and differentiable once.

        Returns:
            The next residual images, (B, C, H, W).
        """
        if sparing:
            return self._sparing(r, injection)
        return self.mix(torch.cat((self.data(r), injection), dim=1))

    def _sparing(self, r: Tensor, injection: Tensor) -> Tensor:
        first, *layers = [*self.data, *self.mix]
        x: Tensor = first(r)
        for place in range(0, len(layers), 3):
            norm, activation, convolution = layers[place : place + 3]
            assert isinstance(norm, nn.GroupNorm)
            assert isinstance(activation, nn.LeakyReLU)
            assert isinstance(convolution, nn.Conv2d)
            beside = injection if convolution is self.mix[0] else None
            x = normalised_convolution(x, norm, activation, convolution, beside)
        return x


def _activation() -> nn.Module:
    return nn.LeakyReLU(inplace=True)


def _normalised(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return _conv(inputs, outputs, bias=True), nn.GroupNorm(GROUPS, outputs), _activation()
