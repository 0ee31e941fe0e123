"""Arrays of other libraries in a GPU's memory: data sets and learning curves that are used where they are.

Under emulation there is no other library: the weights of a population stand in for its arrays.
"""

import numpy as np
import pytest
from tests.population.samples import TINY

from shoal import Population, Study, data, devices, gpuarrays, nn, search
from shoal.errors import DataError, StudyError
from shoal.population import native
from shoal.population.room import room
from shoal.search.curves import DISTANCES, nearest
from shoal.space import Float

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(devices()[0].name == "cpu", reason="there is no GPU here"),
]


def on_device(values):
    """Return a C-contiguous float32 array (n, 16 i) in a GPU's memory: the first weights of a dense layer."""
    values = np.ascontiguousarray(values, np.float32)
    holder = Population(
        nn.Sequential([nn.Dense(len(values), bias=False)]), input_shape=(values.shape[1],), device="cuda"
    )
    state = np.array(holder.state(0))
    state[64 : 64 + values.nbytes] = values.view(np.uint8).ravel()
    holder.load_state(0, state)
    return holder.device_parameters(0)["dense1.weight"]


class Described:
    """The same memory through ``__cuda_array_interface__`` alone, as another type."""

    def __init__(self, array, typestr, shape, strides=None):
        given = array.__cuda_array_interface__
        described = {"typestr": typestr, "shape": shape, "strides": strides}
        self.array, self.__cuda_array_interface__ = array, given | described


def samples(count=48, features=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, features)).astype(np.float32), rng.normal(size=(count, 16)).astype(np.float32)


REGRESSION = nn.Sequential([nn.Dense(20), nn.Tanh(), nn.Dense(16)])


def test_a_population_trains_on_arrays_that_are_on_its_gpu():
    x, y = samples()
    there, here = data.from_device(on_device(x), on_device(y)), data.from_arrays(x, y)
    assert (len(there), there.shape, there.outputs, there.classification) == (48, (16,), 16, False)
    populations = [
        Population(REGRESSION, 2, loss="mse", device="cuda", hyperparameters={"batch_size": 10}) for _ in range(2)
    ]
    curves = [pop.train(set_, steps=9, record=3) for pop, set_ in zip(populations, (there, here), strict=True)]
    np.testing.assert_array_equal(*curves)
    scores = [pop.evaluate(set_) for pop, set_ in zip(populations, (there, here), strict=True)]
    for name in scores[0]:
        np.testing.assert_array_equal(scores[0][name], scores[1][name])
    for outputs in (populations[0].predict(there), populations[0].predict(on_device(x))):
        np.testing.assert_array_equal(outputs, populations[1].predict(here))


def test_bytes_with_labels_and_factors():
    rng = np.random.default_rng(1)
    pixels, labels = rng.integers(0, 256, (64, 16), np.uint8), rng.integers(0, 3, 64).astype(np.int32)
    x = Described(on_device(pixels.view(np.float32).repeat(4, axis=1)), "|u1", (64, 64))
    held = gpuarrays.DeviceView(x).to_host()
    y = Described(on_device(labels.view(np.float32).reshape(4, 16)), "<i4", (64,))
    factor = np.linspace(0.001, 0.02, 64)
    there = data.from_device(x, y, classes=3, scale=factor, shift=-0.5)
    here = data.Dataset(held, labels, 3, factor.astype(np.float32), np.full(64, -0.5, np.float32))
    mixed = data.from_device(x, labels, classes=3, scale=factor, shift=-0.5)
    losses = [Population(TINY, 1, device="cuda").train(set_, steps=7) for set_ in (there, here, mixed)]
    np.testing.assert_array_equal(losses[0], losses[1])
    np.testing.assert_array_equal(losses[0], losses[2])


def study(train, valid, **options):
    strategy = search.PBT(population=4, epochs=4, interval_epochs=1, quantile=0.5)
    space = {"lr": Float(1e-3, 0.1, log=True)}
    return Study(lambda config: REGRESSION, train, valid, space=space, strategy=strategy, loss="mse", **options)


def test_a_study_trains_on_arrays_that_are_on_its_gpu(tmp_path):
    x, y = samples()
    here = [data.from_arrays(x[a:b], y[a:b], name="noise") for a, b in ((0, 32), (32, 48))]
    there = [data.from_device(on_device(x[a:b]), on_device(y[a:b]), name="noise") for a, b in ((0, 32), (32, 48))]
    results = [
        study(*sets, device="cuda:0", directory=tmp_path / sets[0].__class__.__name__).run(progress=False)
        for sets in (here, there)
    ]
    assert results[0].record.trials == results[1].record.trials
    assert results[0].best.model.state(0).tobytes() == results[1].best.model.state(0).tobytes()
    assert results[1].replay().same
    again = study(*here, device="cuda:0", directory=results[1].directory).run(progress=False)
    assert again.record.trials == results[0].record.trials  # the same data, so the same study
    other = data.from_device(on_device(x[:32]), on_device(y[:32] + 1), name="noise")
    with pytest.raises(StudyError, match=r"data\.train\.digest"):
        study(other, there[1], device="cuda:0", directory=results[1].directory).run(progress=False)
    with pytest.raises(ValueError, match="in the memory of cuda:0, the population is on the CPU"):
        study(*there, device="cpu")


def test_a_report_tests_on_an_array_that_is_on_a_gpu(tmp_path):
    pytest.importorskip("plotly")
    there = data.from_device(*map(on_device, samples()))
    result = study(there, there, device="cuda:0", directory=tmp_path / "run").run(progress=False)
    assert "mse" in result.report(test=there).read_text()


def test_an_array_that_cannot_be_used_is_refused():
    x, y = samples()
    good, goals = on_device(x), on_device(y)
    with pytest.raises(DataError, match="x must be in a GPU's memory, got ndarray: use from_arrays"):
        data.from_device(x, goals)
    with pytest.raises(DataError, match="x: an array on a GPU must be C-contiguous"):
        data.from_device(on_device(x[:, :15]), goals)
    with pytest.raises(DataError, match="x must be uint8 or float32, got int32"):
        data.from_device(Described(good, "<i4", (48, 16)), goals)
    with pytest.raises(DataError, match="x has 48 samples but y has 47"):
        data.from_device(good, y[:47])
    with pytest.raises(DataError, match="x must be finite"):
        data.from_device(on_device(np.where(x == x[3, 2], np.nan, x)), goals)
    with pytest.raises(DataError, match=r"y\[0\]: label 7 is outside \[0, 3\)"):
        data.from_device(good, np.full(48, 7), classes=3)
    with pytest.raises(DataError, match="y must be int32"):
        data.from_device(good, Described(goals, "<f8", (48, 8)))
    dataset = data.from_device(good, goals)
    with pytest.raises(ValueError, match="in the memory of cuda:0, the population is on the CPU"):
        Population(REGRESSION, 1, loss="mse", device="cpu").train(dataset, steps=1)


class Copied:
    """What a library takes that asks for a copy."""

    def __init__(self, array):
        self.array, self.__dlpack_device__ = array, array.__dlpack_device__

    def __dlpack__(self):
        return self.array.__dlpack__(stream=-1, dl_device=self.__dlpack_device__(), copy=True)


LAYERS = nn.Sequential([nn.Conv2d(4, 3), nn.BatchNorm(), nn.ReLU(), nn.Dense(6), nn.Tanh(), nn.Dense(3)])


@pytest.mark.parametrize("copied", [native.DeviceArray.compact, Copied], ids=["compact", "dlpack"])
def test_weights_of_every_layer_are_copied_without_gaps(copied):
    gpu = Population(LAYERS, device="cuda", input_shape=(5, 7, 2))
    before = {name: array.copy() for name, array in gpu.parameters(0).items()}
    weights = {name: copied(array) for name, array in gpu.device_parameters(0).items()}
    views = {name: gpuarrays.DeviceView(array) for name, array in weights.items()}  # takes no gaps, as JAX
    x = np.random.default_rng(0).normal(size=(20, 5, 7, 2)).astype(np.float32)
    gpu.train(data.from_arrays(x, np.arange(20) % 3), steps=1)
    assert {name for name, array in gpu.parameters(0).items() if (array == before[name]).all()} == set()
    for name, view in views.items():
        np.testing.assert_array_equal(view.to_host(), before[name])
    with pytest.raises(ValueError, match="must be C-contiguous"):
        gpuarrays.DeviceView(gpu.device_parameters(0)["conv1.weight"])


def test_weights_of_every_layer_are_taken_back():
    gpu = Population(LAYERS, 2, device="cuda", input_shape=(5, 7, 2))
    before = np.array(gpu.state(1))
    kept = {name: array.compact() for name, array in gpu.device_parameters(1).items()}
    for name, array in gpu.device_parameters(1).items():
        array.assign(gpu.device_parameters(0)[name].compact())
        np.testing.assert_array_equal(gpu.parameters(1)[name], gpu.parameters(0)[name])
    assert (gpu.state(1) != before).any()
    for name, array in gpu.device_parameters(1).items():
        array.assign(kept[name])
    np.testing.assert_array_equal(gpu.state(1), before)  # with what is between the rows

    weight = gpu.device_parameters(1)["dense1.weight"]
    with pytest.raises(ValueError, match=r"must be float32 of shape \(6, 140\) on cuda:0, got .* \(3, 6\) on cuda:0"):
        weight.assign(kept["dense2.weight"])
    with pytest.raises(ValueError, match=r"must be float32 .*, got int32 of shape \(6, 140\)"):
        weight.assign(Described(kept["dense1.weight"], "<i4", (6, 140)))
    if len(devices()) > 2:
        other = Population(LAYERS, device="cuda:1", input_shape=(5, 7, 2)).device_parameters(0)["dense1.weight"]
        with pytest.raises(ValueError, match=r"on cuda:0, got .* on cuda:1"):
            weight.assign(other.compact())
    with pytest.raises(ValueError, match="must be C-contiguous"):
        weight.assign(gpu.device_parameters(0)["dense1.weight"])
    with pytest.raises(ValueError, match="must have __dlpack__ or __cuda_array_interface__"):
        weight.assign(gpu.parameters(0)["dense1.weight"])


def test_a_block_of_bytes_is_copied_whole():
    gpu = Population(TINY, device="cuda", input_shape=(7,))
    block = gpu.copy_state(0, room("cuda:0", direct=True))
    copy = block.compact()
    np.testing.assert_array_equal(copy, block)
    assert copy.__cuda_array_interface__["data"] != block.__cuda_array_interface__["data"]


def test_an_array_stays_on_its_gpu():
    weight = on_device(np.ones((2, 16)))
    for device in ((1, 0), (2, 1)):  # the host's memory, another GPU's
        with pytest.raises(BufferError, match="the array stays on cuda:0"):
            weight.__dlpack__(dl_device=device)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("holes", [False, True])
def test_the_nearest_curves_have_the_cpus_bits(distance, holes):
    rng = np.random.default_rng(2)
    curves, library = rng.normal(size=(9, 21)), rng.normal(size=(140, 21))
    library[70] = library[3]
    if holes:
        curves, library = (np.where(rng.random(array.shape) < 0.3, np.nan, array) for array in (curves, library))
    want = nearest(curves, library, distance=distance, neighbours=5)
    got = nearest(curves, library, distance=distance, neighbours=5, device="cuda")
    np.testing.assert_array_equal(want[0], got[0])
    np.testing.assert_array_equal(want[1], got[1])


def test_curves_in_a_gpus_memory_are_used_where_they_are():
    rng = np.random.default_rng(3)
    curves, library = rng.normal(size=(4, 16)), rng.normal(size=(33, 16))
    on_gpu = [Described(on_device(array.view(np.float32)), "<f8", array.shape) for array in (curves, library)]
    want = nearest(curves, library, neighbours=3)
    for pair in (on_gpu, [on_gpu[0], library]):
        rows, distances = nearest(*pair, neighbours=3)
        np.testing.assert_array_equal(rows, want[0])
        np.testing.assert_array_equal(distances, want[1])
    with pytest.raises(ValueError, match="library are in the memory of cuda:0, device is cpu"):
        nearest(curves, on_gpu[1], device="cpu")
    with pytest.raises(ValueError, match="a function needs curves and device on the CPU"):
        nearest(*on_gpu, distance=lambda a, b: np.abs(a - b).max(axis=1))


@pytest.mark.parametrize("library", ["cupy", "torch", "jax"])
def test_the_arrays_of_other_libraries_are_used_where_they_are(library):
    if "emulated" in devices()[0].description:
        pytest.skip("other libraries have no emulated GPU")
    x, y = samples()
    if library == "cupy":
        cupy = pytest.importorskip("cupy")
        arrays = [cupy.asarray(x), cupy.asarray(y)]
    elif library == "torch":
        torch = pytest.importorskip("torch")
        arrays = [torch.from_numpy(array).cuda() for array in (x, y)]
    else:
        jax = pytest.importorskip("jax")
        if jax.default_backend() != "gpu":
            pytest.skip("JAX has no GPU here")
        arrays = [jax.device_put(array) for array in (x, y)]
    there, here = data.from_device(*arrays), data.from_arrays(x, y)
    losses = [Population(REGRESSION, 1, loss="mse", device="cuda").train(set_, steps=5) for set_ in (there, here)]
    np.testing.assert_array_equal(*losses)
