"""NVFP4: 4-bit floats in groups of 16, for weights and activations, on Blackwell's own arithmetic."""

from freehold.quantize.methods.method import Method, QualityLimits

NVFP4 = Method(
    name="nvfp4",
    summary="4-bit floats in groups of 16: Blackwell's own format",
    weight_bits=4,
    activation_bits=4,
    tool="llm-compressor",
    limits=QualityLimits(perplexity_ratio=1.15, mean_kl_nats=0.15, top1_agreement=0.84),
    fast_on="Blackwell",
    fast_from=10.0,
    loads_from=8.0,
    loads_on_cpu=False,
    calibrates=True,
    group_sizes=(16,),
    bits_of_scale=8,
    scheme={"scheme": "NVFP4"},
)
