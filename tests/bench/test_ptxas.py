"""What ptxas says of kernels, read."""

import ptxas

TOLD = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN5shoal4cuda12train_kernelENS0_11TrainLaunchE' for 'sm_90a'
ptxas info    : Function properties for _ZN5shoal4cuda12train_kernelENS0_11TrainLaunchE
    720 bytes stack frame, 232 bytes spill stores, 892 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 720 bytes cumulative stack size, 64 bytes smem
ptxas info    : Function properties for _ZN5shoal4cuda6gatherERNS0_4TeamE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function '_ZN5shoal4cuda13finite_kernelIdEEvNS0_12FiniteLaunchIT_EE' for 'sm_90a'
ptxas info    : Function properties for _ZN5shoal4cuda13finite_kernelIdEEvNS0_12FiniteLaunchIT_EE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 30 registers, used 0 barriers
"""


def test_it_reads_registers_spills_and_shared_memory():
    train, finite = ptxas.kernels(TOLD, threads=256)
    assert train == {
        "kernel": "train_kernel",
        "registers": 128,
        "static_shared": 64,
        "blocks": 2,
        "spills": {"train_kernel": {"stack": 720, "stores": 232, "loads": 892}},
    }
    assert (finite["kernel"], finite["registers"], finite["spills"]) == ("finite_kernel<double>", 30, {})


def test_blocks_follow_from_registers_and_threads():
    assert ptxas.blocks(32, 256) == 8  # 2048 threads
    assert ptxas.blocks(33, 256) == 6  # a warp's registers come in 256s: 1280, 51 warps
    assert ptxas.blocks(255, 256) == 1
    assert ptxas.threads_of_block() % 32 == 0
