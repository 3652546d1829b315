"""Checkpoints: names, weight norm, what is missing or over, and that no code in a file is run."""

import pickle

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench_extractors._checkpoint import check, count, folded, new_name, old_name, random_arrays, reader

SHAPES = {"a.weight": (4, 3), "a.bias": (4,), "conv.weight_g": (1, 1, 5), "conv.weight_v": (6, 2, 5)}


def state():
    return {name: torch.from_numpy(array) for name, array in random_arrays(SHAPES, 0).items()}


def saved(tmp_path, content):
    torch.save(content, tmp_path / "model.bin")
    return {"model.bin": tmp_path / "model.bin"}


def test_weight_norms_names_go_both_ways():
    for old, new in (
        ("conv.weight_g", "conv.parametrizations.weight.original0"),
        ("x.0.conv.weight_v", "x.0.conv.parametrizations.weight.original1"),
        ("a.weight", "a.weight"),
    ):
        assert new_name(old) == new
        assert old_name(new) == old == old_name(old)


@pytest.mark.parametrize("dim", [0, 2])
def test_weight_norm_is_folded_as_torch_computes_it(dim):
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(4, 6, 5, groups=2), dim=dim)
    tensors = {old_name(f"c.{name}"): value.detach() for name, value in conv.state_dict().items()}
    tensors["c.weight_g"] = tensors["c.weight_g"] * torch.linspace(0.5, 2, tensors["c.weight_g"].numel()).view_as(
        tensors["c.weight_g"]
    )
    conv.load_state_dict({new_name(f"c.{n.removeprefix('c.')}").removeprefix("c."): v for n, v in tensors.items()})
    weight = folded(tensors, "c.weight", dim)
    assert torch.allclose(weight, conv.weight.detach(), rtol=1e-6, atol=0)
    assert set(tensors) == {"c.bias"}


@pytest.mark.parametrize("naming", [old_name, new_name])
@pytest.mark.parametrize("inside", [None, "state_dict"])
def test_a_checkpoint_is_read_as_it_was_written(tmp_path, naming, inside):
    content = {f"model.{naming(name)}": tensor for name, tensor in state().items()}
    content["model.head.weight"] = torch.zeros(9)
    content = content if inside is None else {"state_dict": content, "step": 3}
    read = reader(lambda: SHAPES, inside=inside, prefix="model.", unused=("head.",))
    found = read(saved(tmp_path, content))
    assert found.keys() == SHAPES.keys()
    for name, tensor in state().items():
        assert np.array_equal(found[name], tensor.numpy()), name


def test_what_is_missing_over_or_of_another_shape_is_listed(tmp_path):
    content = state()
    content["b.weight"] = content.pop("a.bias")
    content["a.weight"] = content["a.weight"].T.contiguous()
    with pytest.raises(BenchError) as refused:
        reader(lambda: SHAPES)(saved(tmp_path, content))
    for said in ("model.bin", "1 missing: a.bias", "1 unexpected: b.weight", "a.weight (3, 4) instead of (4, 3)"):
        assert said in str(refused.value)


def test_a_long_list_is_cut():
    with pytest.raises(BenchError, match=r"20 missing: x00, x01, x02, x03, x04 and 15 more"):
        check({}, {f"x{at:02d}": (1,) for at in range(20)}, "it")


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    for content, inside in ((torch.zeros(3), None), ({"weights": 1}, "state_dict")):
        with pytest.raises(BenchError, match="holds no state dict"):
            reader(lambda: SHAPES, inside=inside)(saved(tmp_path, content))


class Shouts:
    def __reduce__(self):
        return (print, ("run!",))


def test_no_code_in_a_checkpoint_is_run(tmp_path, capsys):
    for at, write in enumerate((lambda c, p: torch.save(c, p), lambda c, p: p.write_bytes(pickle.dumps(c)))):
        path = tmp_path / f"{at}.bin"
        write({"a.weight": Shouts()}, path)
        with pytest.raises(BenchError, match=r"\.bin cannot be read as plain tensors"):
            reader(lambda: SHAPES)({path.name: path})
    assert "run!" not in capsys.readouterr().out


def test_untrained_weights_are_those_of_the_seed():
    first, again, other = (random_arrays(SHAPES, seed) for seed in (0, 0, 1))
    assert count(SHAPES) == sum(array.size for array in first.values())
    assert all(np.array_equal(first[name], again[name]) for name in SHAPES)
    assert not np.array_equal(first["a.weight"], other["a.weight"])
    assert (first["conv.weight_g"] == 1).all()
    assert not first["a.bias"].any()
