#define SHOAL_ISA avx512
#include "kernels/cpu.inc"
