// The emulation finds the mistakes that it is there for: each is planted here.
#include <doctest/doctest.h>

#include <cmath>
#include <utility>
#include <vector>

#include <cuda_runtime.h>
#include "kernels/device.h"

using namespace shoal::cuda;
using emulation::Fault;

namespace {

struct Arguments {
  float* out;
  bool mistake;
};

template <class Kernel>
std::vector<float> run(Kernel kernel, bool mistake, std::size_t shared_floats = 64, unsigned threads = 64,
                       unsigned cluster = 1) {
  std::vector<float> out(threads * cluster, NAN);
  const Arguments arguments{out.data(), mistake};
  emulation::launch(dim3(cluster), dim3(threads), shared_floats * sizeof(float), [&] { kernel(arguments); }, cluster);
  return out;
}

// Every thread reads what its neighbour wrote.
void neighbour(const Arguments& a) {
  const unsigned i = threadIdx.x;
  shared_memory()[i] = static_cast<float>(i);
  if (!a.mistake) __syncthreads();
  a.out[i] = shared_memory()[(i + 1) % 64];
}

// Four blocks take turns: each thread adds 1 to what its twin in the block before has written.
void relay(const Arguments& a) {
  for (unsigned turn = 0; turn < 16; ++turn) {
    const unsigned before = (blockIdx.x + 3) % 4;
    if (blockIdx.x == turn % 4)
      a.out[blockIdx.x * 64 + threadIdx.x] = turn == 0 ? 0 : a.out[before * 64 + threadIdx.x] + 1;
    a.mistake ? __syncthreads() : cluster_sync();
  }
}

void one_block_stays_away(const Arguments& a) {
  if (!a.mistake || blockIdx.x != 2) cluster_sync();
}

void divergent(const Arguments& a) {
  if (a.mistake && threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

void early(const Arguments& a) {
  if (a.mistake && threadIdx.x == 5) return;
  __syncthreads();
}

void behind_the_end(const Arguments& a) { shared_memory()[threadIdx.x + (a.mistake ? 1 : 0)] = 1; }

void in_front(const Arguments& a) { shared_memory()[static_cast<int>(threadIdx.x) - (a.mistake ? 1 : 0)] = 1; }

void reads_behind_the_end(const Arguments& a) {
  shared_memory()[threadIdx.x] = 1;
  a.out[threadIdx.x] = shared_memory()[threadIdx.x + (a.mistake ? 1 : 0)];
}

void reads_far_away(const Arguments& a) {
  shared_memory()[threadIdx.x] = 1;
  a.out[threadIdx.x] = shared_memory()[static_cast<int>(threadIdx.x) - (a.mistake ? 30'000 : 0)];
}

void unwritten(const Arguments& a) {
  if (!a.mistake || threadIdx.x != 7) shared_memory()[threadIdx.x] = 1;
  __syncthreads();
  a.out[threadIdx.x] = shared_memory()[threadIdx.x];
}

// Each lane's place among those with odd numbers, by the lane above.
void votes(const Arguments& a) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  if (a.mistake && lane == 9) return;
  const unsigned odd = __ballot_sync(~0u, lane % 2 == 1);
  const int place = __builtin_popcount(odd & ((2u << lane) - 1));
  a.out[threadIdx.x] =
      static_cast<float>(100 * __ffs(static_cast<int>(odd)) + __shfl_sync(~0u, place, (lane + 1) % 32));
}

void ones(Arguments a) { a.out[threadIdx.x] = 1; }

cudaError_t launch_ones(void* out, std::size_t shared_bytes, cudaStream_t stream) {
  Arguments arguments{static_cast<float*>(out), false};
  void* all[] = {&arguments};
  return cudaLaunchCooperativeKernel(ones, dim3(1), dim3(64), all, shared_bytes, stream);
}

void sums(const Arguments& a) { a.out[threadIdx.x] = warp_sum(static_cast<float>(threadIdx.x)); }

}  // namespace

TEST_CASE("emulation: a missing barrier gives wrong numbers") {
  const std::vector<float> right = run(neighbour, false);
  for (std::size_t i = 0; i < 64; ++i) CHECK(right[i] == static_cast<float>((i + 1) % 64));
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    emulation::seed = seed;
    const std::vector<float> wrong = run(neighbour, true);
    CHECK(std::any_of(wrong.begin(), wrong.end(), [](float v) { return std::isnan(v); }));
  }
  emulation::seed = 1;
}

TEST_CASE("emulation: a barrier must be the same for all threads, and be reached by all") {
  CHECK_NOTHROW(run(divergent, false));
  CHECK_THROWS_AS(run(divergent, true), Fault);
  CHECK_NOTHROW(run(early, false));
  CHECK_THROWS_AS(run(early, true), Fault);
}

TEST_CASE("emulation: a cluster's barrier is for all of its blocks") {
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    emulation::seed = seed;
    const std::vector<float> right = run(relay, false, 64, 64, 4), wrong = run(relay, true, 64, 64, 4);
    for (std::size_t i = 0; i < 256; ++i) CHECK(right[i] == static_cast<float>(12 + i / 64));
    CHECK(wrong != right);
  }
  emulation::seed = 1;
  CHECK_NOTHROW(run(one_block_stays_away, false, 64, 64, 4));
  CHECK_THROWS_AS(run(one_block_stays_away, true, 64, 64, 4), Fault);
}

TEST_CASE("emulation: shared memory ends where the launch said, and starts as NaN") {
  CHECK_NOTHROW(run(behind_the_end, false));
  CHECK_THROWS_AS(run(behind_the_end, true), Fault);
  CHECK_NOTHROW(run(behind_the_end, false, 65));
  CHECK_THROWS_AS(run(behind_the_end, true, 65, 65), Fault);  // 16 bytes do not divide it
  CHECK(run(unwritten, false)[7] == 1);
  CHECK(std::isnan(run(unwritten, true)[7]));
}

TEST_CASE("emulation: shared memory begins where it begins, and nothing behind its end is read") {
  constexpr std::size_t kPage = 1024;  // floats
  for (const std::size_t floats : {std::size_t{64}, kPage}) {
    CHECK_NOTHROW(run(in_front, false, floats));
    CHECK_THROWS_AS(run(in_front, true, floats), Fault);
  }
  for (const unsigned threads : {64u, 1024u}) {
    CHECK(run(reads_behind_the_end, false, threads, threads)[7] == 1);
    CHECK_THROWS_AS(run(reads_behind_the_end, true, threads, threads), Fault);
  }
  CHECK(run(reads_far_away, false)[7] == 1);
  CHECK_THROWS_AS(run(reads_far_away, true), Fault);
}

TEST_CASE("emulation: a launch that no device could hold is refused") {
  CHECK_THROWS_AS(run(sums, false, emulation::kSharedLimit / sizeof(float) + 1), Fault);
  CHECK_THROWS_AS(run(sums, false, 0, 1056), Fault);
}

TEST_CASE("emulation: memory, streams and what a kernel may ask for belong to one device") {
  const int before = std::exchange(emulation::devices, 2);
  constexpr std::size_t kBytes = 64 * sizeof(float), kMuchShared = 60'000;
  void *first = nullptr, *second = nullptr;
  cudaStream_t stream = nullptr;
  cudaSetDevice(0);
  cudaMalloc(&first, kBytes);
  cudaSetDevice(1);
  cudaMalloc(&second, kBytes);
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  for (const auto& [memory, device] : {std::pair(first, 0), std::pair(second, 1)}) {
    cudaPointerAttributes attributes{};
    cudaPointerGetAttributes(&attributes, static_cast<float*>(memory) + 63);
    CHECK(attributes.type == cudaMemoryTypeDevice);
    CHECK(attributes.device == device);
  }
  CHECK(launch_ones(second, 0, stream) == cudaSuccess);
  CHECK_THROWS_AS(launch_ones(first, 0, stream), Fault);
  CHECK(launch_ones(second, kMuchShared, stream) == cudaErrorInvalidValue);
  cudaFuncSetAttribute(ones, cudaFuncAttributeMaxDynamicSharedMemorySize, kMuchShared);
  CHECK(launch_ones(second, kMuchShared, stream) == cudaSuccess);

  cudaSetDevice(0);
  CHECK(launch_ones(first, 0, nullptr) == cudaSuccess);
  CHECK(launch_ones(first, 0, stream) == cudaErrorInvalidResourceHandle);
  CHECK(launch_ones(first, kMuchShared, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(first, second, kBytes, cudaMemcpyDefault, nullptr) == cudaSuccess);
  CHECK_THROWS_AS(cudaMemcpyAsync(first, second, kBytes, cudaMemcpyDefault, stream), Fault);
  CHECK_THROWS_AS(cudaMemsetAsync(second, 0, kBytes, stream), Fault);

  const std::size_t limit = std::exchange(emulation::memory_limit, 2 * kBytes);
  void* more = nullptr;
  CHECK(cudaMalloc(&more, 2 * kBytes) == cudaErrorMemoryAllocation);
  CHECK(cudaMalloc(&more, kBytes) == cudaSuccess);  // the other's is not counted
  emulation::memory_limit = limit;
  cudaStreamDestroy(stream);
  for (void* const memory : {first, second, more}) cudaFree(memory);
  emulation::devices = before;
}

TEST_CASE("emulation: shuffles are lane for lane") {
  const std::vector<float> got = run(sums, false);
  for (std::size_t i = 0; i < 64; ++i) CHECK(got[i] == (i < 32 ? 496 : 1520));
}

TEST_CASE("emulation: votes and broadcasts are those of a warp, and need all its lanes") {
  const std::vector<float> got = run(votes, false);
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t above = (i + 1) % 32;
    CHECK(got[i] == static_cast<float>(200 + (above + 1) / 2));
  }
  CHECK_THROWS_AS(run(votes, true), Fault);
}

TEST_CASE("emulation: a divider divides") {
  for (const std::int64_t by : {1, 2, 3, 5, 7, 10, 31, 32, 33, 100, 784, 1000003, 2147483647}) {
    const Divider divider(by);
    for (const int n : {0, 1, 2, 9, 30, 31, 32, 33, 999, 65535, 1 << 20, 2147483646, 2147483647}) {
      CAPTURE(by);
      CAPTURE(n);
      CHECK(divider.quotient(n) == n / by);
      CHECK(divider.rest(n, divider.quotient(n)) == n % by);
    }
  }
}
