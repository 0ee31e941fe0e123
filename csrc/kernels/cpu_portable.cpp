#define SHOAL_ISA portable
#include "kernels/cpu.inc"
