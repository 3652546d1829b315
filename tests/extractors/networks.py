"""What tests of extractors with large networks share."""

import numpy as np
import torch

from bench.registry import get
from bench.testing import ExtractorContract
from bench_extractors._modules import load_module, module_shapes


class TinyContract(ExtractorContract):
    """The contract of an extractor's small random configuration, in the lane that is set."""

    def make(self):
        return get("extractors", self.spec).tiny(self.lane)


def random_tensors(shapes, seed=0):
    """Tensors of every kind: norms that scale and shift, running statistics that matter."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes.items():
        noise = rng.standard_normal(shape).astype(np.float32)
        if name.endswith("running_var"):
            noise = np.exp(0.3 * noise)
        elif len(shape) == 1 and name.endswith("weight"):
            noise = 1 + 0.3 * noise
        elif len(shape) > 1:
            noise /= np.sqrt(np.prod(shape[1:]))
        else:
            noise = 0.3 * noise
        out[name] = torch.from_numpy(np.asarray(noise, np.float32))
    return out


def built(make, tensors=None, seed=0):
    """A loaded network with random tensors, and those tensors."""
    tensors = tensors or random_tensors(module_shapes(make), seed)
    return load_module(make, dict(tensors), torch.float32), tensors


def states(net, waves):
    """What a loaded network yields for waves."""
    return list(net(*net.front_end(waves)))


def apart(ours, theirs):
    """The largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())
