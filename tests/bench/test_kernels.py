"""The products that the kernels' benchmark times; nothing here looks at times."""

import kernels
import nets
import pytest


def test_each_shape_is_timed_once():
    products = kernels.products([nets.NETS["resnet20"], nets.NETS["a"]])
    assert len({product.numbers for product in products}) == len(products)
    layers = [layer for product in products for layer in product.layers]
    assert sorted(layers) == sorted(["a dense1", "resnet20 dense1", *(f"resnet20 conv{i}" for i in range(1, 20))])


def test_nobody_wants_the_gradient_by_the_data():
    first, second, *_ = kernels.products([nets.NETS["c"]])
    assert first.passes == ("forward", "backward_weights")
    assert second.passes == ("forward", "backward_data", "backward_weights")


def test_numbers_are_those_that_the_program_reads():
    first, *_, last = kernels.products([nets.NETS["c"]])
    assert (first.kind, first.numbers) == ("conv", (64, 16, 28, 28, 1, 28, 28, 6, 5, 5, 1, 1, 2, 2))
    assert (last.kind, last.numbers) == ("dense", (64, 16, 84, 10))
    assert first.text == "64 x 28x28x1 -> 28x28x6, 5x5 / 1"


def test_a_row_has_the_better_layout_of_pytorch():
    product = kernels.products([nets.NETS["c"]])[0]
    row = kernels.row(product, "forward", {"shoal": [30, 20], "contiguous": [5, 5], "channels_last": [10, 20]}, 100)
    assert row["torch_layout"] == "channels_last"
    assert row["share_of_peak"] == {"shoal": 0.25, "torch": 0.15}
    assert row["ratios"]["torch"]["median"] == 2
    assert "c conv1" in kernels.table([row])
    alone = kernels.row(product, "forward", {"shoal": [30, 20]}, 100)
    assert alone["ratios"] == {}
    assert "c conv1" in kernels.table([alone])


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("net", ["c", "b64"])
def test_pytorch_computes_arrays_of_the_right_shapes(net):
    torch = pytest.importorskip("torch")
    import kernels_torch

    op = nets.NETS[net].products[1]
    for passes in kernels_torch.ways(op, batch=3).values():
        forward, by_data, by_weights = (
            result if isinstance(result, torch.Tensor) else next(part for part in result if part is not None)
            for result in (call() for call in passes.values())  # convolution_backward leaves out what is not wanted
        )
        assert forward.shape == (3, op.outputs[-1], *op.outputs[:-1])
        assert by_data.shape == (3, op.inputs[-1], *op.inputs[:-1])
        assert by_weights.numel() == op.outputs[-1] * op.inputs_of_output
