# Warnings and sanitizers, for every target of ours: shoal_options.
add_library(shoal_options INTERFACE)
set(warnings -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers  # designated initialisers name what differs from the defaults
  $<$<BOOL:${SHOAL_WERROR}>:-Werror>)
target_compile_options(shoal_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:${warnings};-Wpedantic;-Wundef;-Wno-psabi>  # vectors are passed within one translation unit only
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=$<JOIN:${warnings},$<COMMA>>;$<$<BOOL:${SHOAL_WERROR}>:-Werror=all-warnings>>)

# Without what takes the compiler long and tells no more: speed, of debugging all but the lines, of UBSan what ASan finds
# too.
if(SHOAL_SANITIZE)
  target_compile_options(shoal_options INTERFACE
    -fsanitize=${SHOAL_SANITIZE} -fno-sanitize=null,object-size,pointer-overflow -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1 -g1 -Wno-stringop-overflow)  # gcc 12 sees sizes that cannot be
  target_link_options(shoal_options INTERFACE -fsanitize=${SHOAL_SANITIZE})
endif()
