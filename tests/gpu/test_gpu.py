"""Populations on a GPU, through Python: as on the CPU, and with their weights shared with other libraries."""

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.mpi.ranks import needs_mpi, on_ranks
from tests.population.samples import LARGE, TINY, blocks, labelled, regression
from tests.population.test_convolution import NETWORKS, OPTIMIZERS, images

from shoal import Population, Study, devices, nn, search
from shoal.manager.native import NativeWorker
from shoal.population import native
from shoal.population.room import room
from shoal.space import Choice, Float

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(devices()[0].name == "cpu", reason="there is no GPU here"),
]

IMAGES = nn.Sequential(
    [nn.Conv2d(4, 3), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Dense(6), nn.Tanh(), nn.Dense(3)]
)


def pair(network, **options):
    """Return the same population on the CPU and on the GPU."""
    return [Population(network, device=device, **options) for device in ("cpu", "cuda")]


def test_a_gpu_has_a_uuid():
    gpus = [device for device in devices() if device.name != "cpu"]
    assert len({gpu.uuid for gpu in gpus}) == len(gpus)
    assert all(uuid.UUID(gpu.uuid) and gpu.uuid in str(gpu) for gpu in gpus)


@pytest.mark.parametrize("network", [TINY, LARGE], ids=["tiny", "large"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_training_is_the_cpus(network, loss):
    dataset = {"cross_entropy": labelled, "mse": regression}[loss](90)
    rates = {"lr": [0.01, 0.03], "batch_size": [16, 32], "epsilon": 1e-4}
    cpu, gpu = pair(network, members=2, optimizer="adam", loss=loss, hyperparameters=rates)
    curves = [population.train(dataset, steps=12, record=4) for population in (cpu, gpu)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
    for member in range(2):
        want, got = cpu.parameters(member), gpu.parameters(member)
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5)
    for name, values in cpu.evaluate(dataset).items():
        np.testing.assert_allclose(gpu.evaluate(dataset)[name], values, rtol=1e-4)
    np.testing.assert_allclose(gpu.predict(dataset.x, member=1), cpu.predict(dataset.x, member=1), rtol=1e-3, atol=1e-5)


def test_images_train_as_on_the_cpu():
    dataset = labelled(40, shape=(8, 7, 2))
    cpu, gpu = pair(IMAGES, hyperparameters={"lr": 0.05, "batch_size": 16, "augment_pad": 1, "augment_flip": True})
    curves = [population.train(dataset, steps=6, record=2) for population in (cpu, gpu)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


# Between them they have every layer.
LAYERS = {name: NETWORKS[name] for name in ("activations after everything", "dropout", "projection")}
LAYERS["tiny"] = [nn.Dense(21), nn.Tanh(), nn.Dropout(0.2), nn.Dense(9), nn.ReLU(), nn.Dense(3)]
RUNS = [(name, "sgd") for name in LAYERS]
RUNS += [(name, each) for name in ("projection", "tiny") for each in OPTIMIZERS if each != "sgd"]


@pytest.mark.parametrize(("name", "optimizer"), RUNS)
def test_two_hundred_steps_are_the_cpus(name, optimizer):
    """Roundings grow to some 1e-6; one that takes a unit across the kink of ReLU is worth 1e-4 at these rates.

    At ten times the rates some such runs differ by 1e-2 between two instruction sets of the CPU.
    """
    values = OPTIMIZERS[optimizer]
    values = values | {"lr": values["lr"] / 10, "batch_size": 20}
    cpu, gpu = pair(nn.Sequential(LAYERS[name]), optimizer=optimizer, hyperparameters=values)
    dataset = labelled() if name == "tiny" else images()
    curves = [population.train(dataset, steps=200, record=1) for population in (cpu, gpu)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-4)
    got = gpu.parameters(0)
    for parameter, want in cpu.parameters(0).items():
        np.testing.assert_allclose(got[parameter], want, rtol=0, atol=5e-4, err_msg=parameter)


def test_a_run_repeats_bit_for_bit():
    dataset = labelled(60)
    runs = []
    for steps in ([9], [2, 7]):
        population = Population(LARGE, 3, device="cuda", hyperparameters={"lr": 0.1, "batch_size": 20})
        for count in steps:
            population.train(dataset, steps=count)
        runs.append(blocks(population))
    assert runs[0] == runs[1]


@pytest.mark.skipif(len({each.description for each in devices()[:2]}) > 1, reason="there are no two GPUs alike here")
def test_one_process_trains_on_two_gpus():
    assert [each.name for each in devices()[:2]] == ["cuda:0", "cuda:1"]
    dataset = labelled(60)
    first, second = (
        Population(LARGE, 2, device=device, hyperparameters={"lr": 0.1, "batch_size": 20})
        for device in ("cuda:0", "cuda:1")
    )
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda population: population.train(dataset, steps=7), (second, first)))
    assert second.device == "cuda:1"
    assert blocks(first) == blocks(second)
    second.mutate([1], 0.5)
    block = second.copy_state(1, room("cuda:1", direct=True))
    assert block.__dlpack_device__() == (2, 1)
    first.load_state(0, block)
    assert blocks(first)[0] == blocks(second)[1] != blocks(second)[0]


def test_members_are_copied_saved_and_loaded(tmp_path):
    dataset = labelled(60)
    gpu = Population(TINY, 3, device="cuda", hyperparameters={"lr": [0.1, 0.2, 0.3], "batch_size": 16})
    gpu.train(dataset, steps=5)
    gpu.copy([2], [0])
    assert blocks(gpu)[0] == blocks(gpu)[2]
    gpu.save(tmp_path / "population.safetensors")
    cpu = Population.load(tmp_path / "population.safetensors", device="cpu")
    assert blocks(cpu) == blocks(gpu)
    with pytest.raises(ValueError, match="state of member 1: must have"):
        gpu.load_state(1, b"123")


def test_an_heir_of_another_structure_inherits_as_on_the_cpu():
    dataset = labelled(40, shape=(8, 7, 2))
    wider = nn.Sequential([*IMAGES.layers[:5], nn.Dense(9), nn.Tanh(), nn.Dense(3)])
    cpu, gpu = pair([IMAGES, wider], optimizer="adam", hyperparameters={"batch_size": 16}, input_shape=(8, 7, 2))
    gpu.train(dataset, steps=3)
    cpu.load_state(0, gpu.state(0))
    layers = {"conv1": True, "batchnorm1": True, "dense1": False, "dense2": False}
    assert cpu.inherit(0, 1) == gpu.inherit(0, 1) == layers
    assert blocks(cpu) == blocks(gpu)
    assert np.isfinite(gpu.train(dataset, steps=2)).all()


@pytest.mark.parametrize("network", [LARGE, IMAGES], ids=["dense", "images"])
def test_members_recombine_as_on_the_cpu_bit_for_bit(network):
    shape = (8, 7, 2) if network is IMAGES else (7,)
    cpu, gpu = pair(network, members=4, optimizer="adam", seed=3, input_shape=shape)
    cpu.train(labelled(40, shape=shape), steps=[1, 2, 3, 4])
    for member in range(4):
        gpu.load_state(member, cpu.state(member))
    for population in (cpu, gpu):
        population.crossover([0, 1, 2], [1, 2, 0], [0, 0, 3], rate=0.3)
        population.mutate([3, 1], 0.1)
        population.copy([3, 0], [0, 2], hyperparameters=True)
        population.cross_hyperparameters([1, 2], [0, 3], [3, 1], rate=0.5)
        population.perturb([0, 1, 2, 3], {"lr": (1e-4, 1), "batch_size": (8, 64)}, resample=0.3, log=["lr"])
    assert blocks(cpu) == blocks(gpu)
    assert [cpu.hyperparameters(member) for member in range(4)] == [gpu.hyperparameters(member) for member in range(4)]
    np.testing.assert_allclose(
        gpu.train(labelled(40, shape=shape), 2), cpu.train(labelled(40, shape=shape), 2), rtol=1e-4
    )


def test_members_are_copied_within_the_gpus_memory():
    dataset = labelled(60)
    gpu = Population(TINY, 2, device="cuda", hyperparameters={"lr": 0.1, "batch_size": 16})
    gpu.train(dataset, steps=[5, 0])
    block = gpu.copy_state(0, room("cuda:0", direct=True))
    assert block.__dlpack_device__() == (2, 0)
    description = block.__cuda_array_interface__
    assert (description["typestr"], description["shape"], description["strides"]) == ("|u1", gpu.state(0).shape, (1,))
    np.testing.assert_array_equal(block, gpu.state(0))
    gpu.load_state(1, block)
    assert blocks(gpu)[0] == blocks(gpu)[1]
    np.testing.assert_array_equal(gpu.steps, [5, 5])
    with pytest.raises(ValueError, match="state of member 0: is in a GPU's memory, and this population on the CPU"):
        Population(TINY, device="cpu", input_shape=(7,)).load_state(0, block)
    with pytest.raises(ValueError, match=r"must have \d+ bytes, got 5"):
        gpu.load_state(1, native.device_memory(0, 5))
    with pytest.raises(ValueError, match="must be an array of bytes, got floats"):
        gpu.load_state(1, gpu.device_parameters(0)["dense1.weight"])


def test_members_are_copied_through_pinned_memory():
    gpu = Population(TINY, 2, device="cuda", input_shape=(7,))
    block = gpu.copy_state(0, room("cuda:0", direct=False))
    assert isinstance(block, np.ndarray)
    gpu.load_state(1, block)
    np.testing.assert_array_equal(gpu.state(1), block)


@needs_mpi
@pytest.mark.skipif("emulated" not in devices()[0].description, reason="its MPI need not be CUDA-aware")
def test_states_go_from_gpu_to_gpu():
    """Two ranks share the emulated GPU, whose memory any MPI reaches."""
    stories = set()
    for aware in (False, True):
        told = on_ranks(2, "-m", "tests.gpu.crossing", SHOAL_MPI_CUDA=str(int(aware)))
        ranks = [json.loads(line) for line in told.splitlines()]
        crossed = sum(each["blocks"] for each in ranks)
        assert crossed > 0
        assert sum(each["on_gpu"] for each in ranks) == (crossed if aware else 0)
        stories |= {each["story"] for each in ranks}
    assert len(stories) == 1


def test_the_exploit_of_a_study_stays_on_the_gpu(monkeypatch):
    configs = {trial: {"lr": 0.01 * (trial + 1)} for trial in range(4)}
    options = {"optimizer": "adam", "loss": "cross_entropy", "seed": 2, "device": "cuda"}
    worker = NativeWorker(
        lambda config: TINY, labelled(80), labelled(40, seed=1), rows=4, unit="steps", options=options
    )
    for trial, config in configs.items():
        worker.start(trial, config)
    worker.train(dict.fromkeys(configs, 3))
    before = [worker.state(trial)["member"].tobytes() for trial in configs]
    with monkeypatch.context() as patch:
        for name in ("state", "load_state"):
            patch.setattr(Population, name, lambda *_: pytest.fail("a state came to the host"))
        worker.inherit([(0, 3, {"lr": 0.1}), (1, 0, {"lr": 0.2})], {})
    assert [worker.state(trial)["member"].tobytes() for trial in configs] == [before[i] for i in (3, 0, 2, 3)]


def test_a_study_runs(tmp_path):
    study = Study(
        lambda config: TINY,
        labelled(80),
        labelled(40, seed=1),
        space={"lr": Float(0.01, 0.3, log=True), "batch_size": Choice([16])},
        strategy=search.Random(trials=3, epochs=2),
        device="cuda",
        directory=tmp_path / "run",
    )
    assert len(study.run(progress=False).trials) == 3


needs_a_real_one = pytest.mark.skipif(
    "emulated" in devices()[0].description, reason="other libraries have no emulated GPU"
)


@needs_a_real_one
def test_weights_are_shared_with_cupy():
    gpu = Population(TINY, 1, device="cuda", input_shape=(7,))
    cupy = pytest.importorskip("cupy")
    weight = cupy.asarray(gpu.device_parameters(0)["dense1.weight"])
    np.testing.assert_array_equal(cupy.asnumpy(weight), gpu.parameters(0)["dense1.weight"])
    weight[...] = 2
    cupy.cuda.Device().synchronize()  # CuPy's stream is not the population's
    assert (gpu.parameters(0)["dense1.weight"] == 2).all()


@needs_a_real_one
def test_weights_are_shared_with_pytorch():
    gpu = Population(TINY, 1, device="cuda", input_shape=(7,))
    torch = pytest.importorskip("torch")
    weight = torch.from_dlpack(gpu.device_parameters(0)["dense1.weight"])
    np.testing.assert_array_equal(weight.cpu().numpy(), gpu.parameters(0)["dense1.weight"])
    weight.fill_(2)
    torch.cuda.synchronize()
    assert (gpu.parameters(0)["dense1.weight"] == 2).all()


@needs_a_real_one
def test_weights_go_to_jax_and_back():
    gpu = Population(IMAGES, 1, device="cuda", input_shape=(8, 7, 2))
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX has no GPU here")
    for name, array in gpu.device_parameters(0).items():
        before = gpu.parameters(0)[name]
        weight = jax.dlpack.from_dlpack(array.compact())
        np.testing.assert_array_equal(weight, before)
        array.assign(2 * weight)
        np.testing.assert_array_equal(gpu.parameters(0)[name], 2 * before)
        np.testing.assert_array_equal(weight, before)


@pytest.mark.skipif("emulated" not in devices()[0].description, reason="its driver is as it is")
def test_a_driver_that_is_too_old_is_named_with_both_versions():
    def shoal(*arguments, driver):
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"SHOAL_EMULATED_DRIVER": str(driver)},
            capture_output=True,
            text=True,
            check=False,
        )

    why = "the NVIDIA driver is for CUDA 12.4, and this build of shoal is for CUDA 13.0: update the driver"
    listed = shoal("-m", "shoal", "devices", driver=12040)
    assert listed.returncode == 0
    assert listed.stdout.startswith("Device(cpu")
    assert listed.stderr.startswith(f"no GPU: {why}, or ")
    training = "from shoal import Population, nn; Population(nn.Sequential([nn.Dense(3)]), device='cuda')"
    asked = shoal("-c", training, driver=12040)
    assert f"DeviceError: device: there is no 'cuda' here, only cpu; {why}, or " in asked.stderr
    assert "no GPU: no NVIDIA driver was found" in shoal("-m", "shoal", "devices", driver=0).stderr


def test_the_interface_describes_the_array():
    gpu = Population(TINY, 1, device="cuda", input_shape=(7,))
    array = gpu.device_parameters(0)["dense1.weight"]
    description = array.__cuda_array_interface__
    assert array.shape == description["shape"] == (9, 7)
    assert description["typestr"] == "<f4"
    assert description["strides"] == (64, 4)
    assert array.__dlpack_device__() == (2, 0)
    assert "dltensor" in repr(array.__dlpack__())
    with pytest.raises(ValueError, match="on the CPU, use parameters"):
        Population(TINY, 1, device="cpu", input_shape=(7,)).device_parameters(0)
