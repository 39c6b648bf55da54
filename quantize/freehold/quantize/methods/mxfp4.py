"""MXFP4: 4-bit floats in groups of 32 that share a power of two, the format of the OCP standard and of gpt-oss."""

from freehold.quantize.methods.method import Method, QualityLimits

MXFP4 = Method(
    name="mxfp4",
    summary="4-bit floats in groups of 32 (OCP's microscaling): the format gpt-oss ships in",
    weight_bits=4,
    activation_bits=4,
    tool="llm-compressor",
    limits=QualityLimits(perplexity_ratio=1.20, mean_kl_nats=0.20, top1_agreement=0.80),
    fast_on="Blackwell",
    fast_from=10.0,
    loads_from=8.0,
    loads_on_cpu=False,
    group_sizes=(32,),
    bits_of_scale=8,
    scheme={"scheme": "MXFP4"},
)
