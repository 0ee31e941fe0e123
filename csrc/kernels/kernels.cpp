#include "kernels/kernels.h"

#include <cstdlib>

#include "shoal/error.h"

namespace shoal {

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}
#endif
namespace portable {
extern const Kernels table;
}

namespace {

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> tables;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) tables.push_back(&avx512::table);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables.push_back(&avx2::table);
#endif
  tables.push_back(&portable::table);
  return tables;
}

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> tables = supported_kernels();
  const char* wanted = std::getenv("SHOAL_ISA");
  if (!wanted || !*wanted) return tables;
  std::string names;
  for (const Kernels* t : tables) {
    if (std::string(t->name) == wanted) return {t};
    names += (names.empty() ? "" : ", ") + std::string(t->name);
  }
  throw InvalidArgument("SHOAL_ISA is '" + std::string(wanted) + "', this processor has: " + names);
}

const Kernels& kernels() {
  static const Kernels& best = *available_kernels().front();
  return best;
}

}  // namespace shoal
