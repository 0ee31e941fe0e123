# Warnings and sanitizers, for every target of ours: shoal_options.
add_library(shoal_options INTERFACE)
target_compile_options(shoal_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wundef
  -Wno-missing-field-initializers  # designated initialisers name what differs from the defaults
  -Wno-psabi  # vectors are passed between functions of one translation unit only
  $<$<BOOL:${SHOAL_WERROR}>:-Werror>)

if(SHOAL_SANITIZE)
  target_compile_options(shoal_options INTERFACE
    -fsanitize=${SHOAL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(shoal_options INTERFACE -fsanitize=${SHOAL_SANITIZE})
endif()
