"""INT4 weights in AWQ's format, with zero points: for engines and tools that read nothing else."""

from freehold.quantize.methods.method import Method, QualityLimits

AWQ = Method(
    name="awq",
    summary="4-bit integer weights in AWQ's format (AutoRound): for what reads no other; `int4` loses less",
    weight_bits=4,
    activation_bits=16,
    tool="auto-round",
    limits=QualityLimits(perplexity_ratio=1.25, mean_kl_nats=0.25, top1_agreement=0.78),
    fast_on="Ampere, Ada, Hopper, Blackwell",
    fast_from=8.0,
    loads_from=7.5,
    loads_on_cpu=True,
    calibrates=True,
    group_sizes=(128, 64, 32),
    bits_of_scale=20,
    scheme={"bits": 4, "sym": False, "format": "auto_awq"},
)
