#define SHOAL_ISA avx2
#include "kernels/cpu.inc"
